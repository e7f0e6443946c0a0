//! What works on rows of features: sums over rows, layer norm, softmax. On the CPU in one pass each, all threads at work;
//! candle's own reductions and broadcasts walk over the elements one by one on one thread.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, D, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{f32s, ours};

/// Elements per task: large enough that a task outweighs its hand-over.
const CHUNK: usize = 1 << 14;

/// Rows per task.
fn rows(features: usize) -> usize {
    (CHUNK / features.max(1)).max(1)
}

fn features(layout: &Layout) -> Result<usize> {
    layout.shape().dims().last().copied().filter(|&f| f > 0).map_or_else(|| bail!("internal: no features"), Ok)
}

/// `x + bias`, the bias added to every row.
pub fn add_bias(x: &Tensor, bias: &Tensor) -> crate::Result<Tensor> {
    Ok(if ours(x) { x.contiguous()?.apply_op2(&bias.contiguous()?, AddBias)? } else { x.broadcast_add(bias)? })
}

/// See [`crate::Tensor::layer_norm`].
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f32) -> crate::Result<Tensor> {
    if ours(x) {
        return Ok(x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, LayerNorm { epsilon })?);
    }
    let y = normalised(x, epsilon)?.0;
    Ok(y.broadcast_mul(weight)?.broadcast_add(bias)?)
}

/// The softmax over the last dimension of `scale * x + mask`; `x` is `[B, H, T, S]`, `mask` `[B or 1, T or 1, S]`. The mask is a
/// constant.
pub fn softmax(x: &Tensor, scale: f32, mask: Option<&Tensor>) -> crate::Result<Tensor> {
    if ours(x) {
        let x = x.contiguous()?;
        return Ok(match mask {
            Some(mask) => x.apply_op2(&mask.contiguous()?, Softmax { scale })?,
            None => x.apply_op1(Softmax { scale })?,
        });
    }
    let x = (x * f64::from(scale))?;
    let x = match mask {
        Some(mask) => x.broadcast_add(&mask.unsqueeze(1)?)?,
        None => x,
    };
    let e = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
    Ok(e.broadcast_div(&e.sum_keepdim(D::Minus1)?)?)
}

/// The sum over all rows: the gradient of a bias.
fn sum_of_rows(x: &Tensor) -> Result<Tensor> {
    if ours(x) {
        return x.contiguous()?.apply_op1_no_bwd(&SumOfRows);
    }
    x.flatten_to(D::Minus2)?.sum(0)
}

/// `(x - mean) / deviation`, and the deviation, of every row.
fn normalised(x: &Tensor, epsilon: f32) -> Result<(Tensor, Tensor)> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + f64::from(epsilon))?.sqrt()?;
    Ok((centred.broadcast_div(&deviation)?, deviation))
}

struct AddBias;

impl CustomOp2 for AddBias {
    fn name(&self) -> &'static str {
        "add_bias"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, bias: &CpuStorage, lb: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, bias) = (f32s(x, lx)?, f32s(bias, lb)?);
        let mut y = x.to_vec();
        y.par_chunks_mut(rows(bias.len()) * bias.len()).for_each(|chunk| {
            chunk.chunks_mut(bias.len()).for_each(|row| row.iter_mut().zip(bias).for_each(|(y, b)| *y += b));
        });
        Ok((CpuStorage::F32(y), lx.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(gradient.clone()), Some(sum_of_rows(gradient)?)))
    }
}

struct SumOfRows;

impl CustomOp1 for SumOfRows {
    fn name(&self) -> &'static str {
        "sum_of_rows"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, n) = (f32s(x, layout)?, features(layout)?);
        // In the order of the chunks, so that the sum does not depend on the threads.
        let parts: Vec<Vec<f32>> = x
            .par_chunks(rows(n) * n)
            .map(|chunk| {
                let mut sum = vec![0.0f32; n];
                chunk.chunks(n).for_each(|row| sum.iter_mut().zip(row).for_each(|(s, v)| *s += v));
                sum
            })
            .collect();
        let mut total = vec![0.0f32; n];
        parts.iter().for_each(|part| total.iter_mut().zip(part).for_each(|(t, v)| *t += v));
        Ok((CpuStorage::F32(total), Shape::from(n)))
    }
}

struct LayerNorm {
    epsilon: f32,
}

/// Mean and one over the deviation of a row.
fn moments(row: &[f32], epsilon: f32) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = sum(row, |v| v) / n;
    let variance = sum(row, |v| (v - mean) * (v - mean)) / n;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

/// A sum in lanes, which the compiler makes vectors of.
fn sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; 16];
    let chunks = row.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().map(|&v| f(v)).sum();
    chunks.for_each(|chunk| lanes.iter_mut().zip(chunk).for_each(|(l, &v)| *l += f(v)));
    lanes.iter().sum::<f32>() + rest
}

/// As [`sum`], of products.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (ca, cb) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = ca.remainder().iter().zip(cb.remainder()).map(|(a, b)| a * b).sum();
    ca.zip(cb).for_each(|(a, b)| {
        for i in 0..16 {
            lanes[i] += a[i] * b[i];
        }
    });
    lanes.iter().sum::<f32>() + rest
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        weight: &CpuStorage,
        lw: &Layout,
        bias: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight, bias) = (f32s(x, lx)?, f32s(weight, lw)?, f32s(bias, lb)?);
        let n = features(lx)?;
        let mut y = vec![0.0; x.len()];
        let size = rows(n) * n;
        y.par_chunks_mut(size).zip(x.par_chunks(size)).for_each(|(y, x)| {
            for (y, x) in y.chunks_mut(n).zip(x.chunks(n)) {
                let (mean, scale) = moments(x, self.epsilon);
                for i in 0..n {
                    y[i] = (x[i] - mean) * scale * weight[i] + bias[i];
                }
            }
        });
        Ok((CpuStorage::F32(y), lx.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (gradient, x) = (gradient.contiguous()?, x.contiguous()?);
        let input = LayerNormGradient { epsilon: self.epsilon, along: false };
        let along = LayerNormGradient { epsilon: self.epsilon, along: true };
        let dx = x.apply_op3_no_bwd(&weight.contiguous()?, &gradient, &input)?;
        let along = x.apply_op3_no_bwd(&weight.contiguous()?, &gradient, &along)?;
        Ok((Some(dx), Some(sum_of_rows(&along)?), Some(sum_of_rows(&gradient)?)))
    }
}

/// Input, weight and the output's gradient to the input's gradient or, `along`, to the gradient times the normalised input.
struct LayerNormGradient {
    epsilon: f32,
    along: bool,
}

impl CustomOp3 for LayerNormGradient {
    fn name(&self) -> &'static str {
        "layer_norm_gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        weight: &CpuStorage,
        lw: &Layout,
        gradient: &CpuStorage,
        lg: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight, gradient) = (f32s(x, lx)?, f32s(weight, lw)?, f32s(gradient, lg)?);
        let n = features(lx)?;
        let mut out = vec![0.0; x.len()];
        let size = rows(n) * n;
        out.par_chunks_mut(size).zip(x.par_chunks(size)).zip(gradient.par_chunks(size)).for_each(|((out, x), g)| {
            for ((out, x), g) in out.chunks_mut(n).zip(x.chunks(n)).zip(g.chunks(n)) {
                let (mean, scale) = moments(x, self.epsilon);
                for i in 0..n {
                    let gradient = if self.along { g[i] } else { g[i] * weight[i] };
                    out[i] = gradient;
                }
                if self.along {
                    out.iter_mut().zip(x).for_each(|(o, x)| *o *= (x - mean) * scale);
                    continue;
                }
                // Of the gradient, what moves the mean or the variance is lost.
                let level = sum(out, |v| v) / n as f32;
                let along = (dot(out, x) - mean * sum(out, |v| v)) * scale / n as f32;
                out.iter_mut().zip(x).for_each(|(o, x)| *o = (*o - level - (x - mean) * scale * along) * scale);
            }
        });
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }
}

struct Softmax {
    scale: f32,
}

impl Softmax {
    /// `mask(row)` is the mask of a row.
    fn forward<'a>(&self, x: &[f32], n: usize, mask: impl Fn(usize) -> Option<&'a [f32]> + Sync) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        let many = rows(n);
        y.par_chunks_mut(many * n).zip(x.par_chunks(many * n)).enumerate().for_each(|(chunk, (y, x))| {
            for (i, (y, x)) in y.chunks_mut(n).zip(x.chunks(n)).enumerate() {
                match mask(chunk * many + i) {
                    Some(mask) => y.iter_mut().zip(x).zip(mask).for_each(|((y, x), m)| *y = x * self.scale + m),
                    None => y.iter_mut().zip(x).for_each(|(y, x)| *y = x * self.scale),
                }
                let most = y.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                y.iter_mut().for_each(|y| *y = (*y - most).exp());
                let share = 1.0 / sum(y, |v| v);
                y.iter_mut().for_each(|y| *y *= share);
            }
        });
        y
    }

    fn gradient(&self, y: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(y.apply_op2_no_bwd(&gradient.contiguous()?, &SoftmaxGradient { scale: self.scale })?))
    }
}

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.forward(f32s(x, layout)?, features(layout)?, |_| None);
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, y: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        self.gradient(y, gradient)
    }
}

impl CustomOp2 for Softmax {
    fn name(&self) -> &'static str {
        "masked_softmax"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, mask: &CpuStorage, lm: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, mask) = (f32s(x, lx)?, f32s(mask, lm)?);
        let ((_, heads, t, s), (batch, times, _)) = (lx.shape().dims4()?, lm.shape().dims3()?);
        let row = |row: usize| {
            let (b, t) = (row / (heads * t) % batch, row % t % times);
            Some(&mask[(b * times + t) * s..][..s])
        };
        Ok((CpuStorage::F32(self.forward(x, s, row)), lx.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, y: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((self.gradient(y, gradient)?, None))
    }
}

/// The softmax and its gradient to the gradient of what went in.
struct SoftmaxGradient {
    scale: f32,
}

impl CustomOp2 for SoftmaxGradient {
    fn name(&self) -> &'static str {
        "softmax_gradient"
    }

    fn cpu_fwd(&self, y: &CpuStorage, ly: &Layout, g: &CpuStorage, lg: &Layout) -> Result<(CpuStorage, Shape)> {
        let (y, g, n) = (f32s(y, ly)?, f32s(g, lg)?, features(ly)?);
        let mut out = vec![0.0; y.len()];
        let size = rows(n) * n;
        out.par_chunks_mut(size).zip(y.par_chunks(size)).zip(g.par_chunks(size)).for_each(|((out, y), g)| {
            for ((out, y), g) in out.chunks_mut(n).zip(y.chunks(n)).zip(g.chunks(n)) {
                let mean = dot(y, g);
                for i in 0..n {
                    out[i] = self.scale * y[i] * (g[i] - mean);
                }
            }
        });
        Ok((CpuStorage::F32(out), ly.shape().clone()))
    }
}
