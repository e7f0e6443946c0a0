//! Instance norm. On the CPU two passes forward; put together from candle's operations it takes nine.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{f32s, ours, sum_per_channel};

pub fn instance_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f32) -> crate::Result<Tensor> {
    if ours(x) {
        let norm = InstanceNorm { epsilon };
        return Ok(x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, norm)?);
    }
    let channels = (1, weight.elem_count(), 1, 1);
    let y = normalised(x, epsilon)?.0;
    Ok(y.broadcast_mul(&weight.reshape(channels)?)?.broadcast_add(&bias.reshape(channels)?)?)
}

/// `(x - mean) / deviation`, and the deviation `[N, C, 1, 1]`.
fn normalised(x: &Tensor, epsilon: f32) -> Result<(Tensor, Tensor)> {
    let centred = x.broadcast_sub(&x.mean_keepdim((2, 3))?)?;
    let deviation = (centred.sqr()?.mean_keepdim((2, 3))? + f64::from(epsilon))?.sqrt()?;
    Ok((centred.broadcast_div(&deviation)?, deviation))
}

struct InstanceNorm {
    epsilon: f32,
}

impl CustomOp3 for InstanceNorm {
    fn name(&self) -> &'static str {
        "instance_norm"
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
        let (_, channels, height, width) = lx.shape().dims4()?;
        let mut y = vec![0.0; x.len()];
        let planes = y.par_chunks_mut(height * width).zip(x.par_chunks(height * width)).enumerate();
        planes.for_each(|(plane, (y, x))| {
            let channel = plane % channels;
            let (mean, variance) = moments(x);
            let scale = weight[channel] / (variance + self.epsilon).sqrt();
            let shift = bias[channel] - mean * scale;
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * scale + shift);
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
        let (y, deviation) = normalised(x, self.epsilon)?;
        let along = gradient.mul(&y)?;
        // Of the gradient, what moves the mean or the variance is lost (Ioffe & Szegedy 2015, arXiv:1502.03167, section 3).
        let rest = gradient.broadcast_sub(&gradient.mean_keepdim((2, 3))?)?;
        let rest = rest.sub(&y.broadcast_mul(&along.mean_keepdim((2, 3))?)?)?;
        let scale = weight.reshape((1, weight.elem_count(), 1, 1))?.broadcast_div(&deviation)?;
        Ok((Some(rest.broadcast_mul(&scale)?), Some(sum_per_channel(&along)?), Some(sum_per_channel(gradient)?)))
    }
}

/// Mean and variance. Sums of runs, so that a large plane loses no digits, and relative to the plane's first value, so that a
/// mean that is large against the deviation does not either.
fn moments(x: &[f32]) -> (f32, f32) {
    const LANES: usize = 16;
    const RUN: usize = 4096;
    let start = x.first().copied().unwrap_or(0.0);
    let (mut sum, mut squares) = (0.0f64, 0.0f64);
    for run in x.chunks(RUN) {
        let (mut s, mut q) = ([0.0f32; LANES], [0.0f32; LANES]);
        let chunks = run.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for i in 0..LANES {
                let v = chunk[i] - start;
                s[i] += v;
                q[i] += v * v;
            }
        }
        for (i, v) in rest.iter().map(|v| v - start).enumerate() {
            s[i] += v;
            q[i] += v * v;
        }
        sum += f64::from(s.iter().sum::<f32>());
        squares += f64::from(q.iter().sum::<f32>());
    }
    let n = x.len() as f64;
    let mean = sum / n;
    (start + mean as f32, (squares / n - mean * mean).max(0.0) as f32)
}
