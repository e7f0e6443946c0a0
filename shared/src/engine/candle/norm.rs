//! Instance norm. On the CPU two passes forward and two backward; put together from candle's operations it takes nine and more.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::pieces::pieces;
use super::{f32s, ours};

pub fn instance_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f32) -> crate::Result<Tensor> {
    if ours(x) {
        let norm = InstanceNorm { epsilon };
        return Ok(x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, norm)?);
    }
    let channels = (1, weight.elem_count(), 1, 1);
    let centred = x.broadcast_sub(&x.mean_keepdim((2, 3))?)?;
    let deviation = (centred.sqr()?.mean_keepdim((2, 3))? + f64::from(epsilon))?.sqrt()?;
    let y = centred.broadcast_div(&deviation)?;
    Ok(y.broadcast_mul(&weight.reshape(channels)?)?.broadcast_add(&bias.reshape(channels)?)?)
}

#[derive(Clone, Copy)]
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
        let y = pieces(x.len(), height * width, |plane, y| {
            let (x, channel) = (&x[plane * y.len()..], plane % channels);
            let (mean, variance) = moments(&x[..y.len()]);
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
        let gradient = gradient.contiguous()?;
        let of_x = x.apply_op3_no_bwd(weight, &gradient, &InputGradient(*self))?;
        let of_parameters = x.apply_op2_no_bwd(&gradient, &ParameterGradients(*self))?;
        Ok((Some(of_x), Some(of_parameters.get(0)?), Some(of_parameters.get(1)?)))
    }
}

/// Of a plane: mean and deviation, and the sums of the gradient times the normalised values and of the gradient.
fn along(x: &[f32], gradient: &[f32], epsilon: f32) -> [f32; 4] {
    let (mean, variance) = moments(x);
    let deviation = (variance + epsilon).sqrt();
    let (mut products, mut sum) = (0.0f64, 0.0f64);
    for (x, gradient) in x.chunks(RUN).zip(gradient.chunks(RUN)) {
        let (mut p, mut s) = ([0.0f32; LANES], [0.0f32; LANES]);
        for (x, gradient) in x.chunks(LANES).zip(gradient.chunks(LANES)) {
            for (i, (x, gradient)) in x.iter().zip(gradient).enumerate() {
                p[i] += (x - mean) * gradient;
                s[i] += gradient;
            }
        }
        products += f64::from(p.iter().sum::<f32>());
        sum += f64::from(s.iter().sum::<f32>());
    }
    [mean, deviation, (products / f64::from(deviation)) as f32, sum as f32]
}

/// Input, weight and the output's gradient to the input's gradient.
struct InputGradient(InstanceNorm);

impl CustomOp3 for InputGradient {
    fn name(&self) -> &'static str {
        "instance_norm_input_gradient"
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
        let (_, channels, height, width) = lx.shape().dims4()?;
        let pixels = height * width;
        let out = pieces(x.len(), pixels, |plane, out| {
            let (x, gradient) = (&x[plane * pixels..][..pixels], &gradient[plane * pixels..][..pixels]);
            let [mean, deviation, products, sum] = along(x, gradient, self.0.epsilon);
            // Of the gradient, what moves the mean or the variance is lost (Ioffe & Szegedy 2015, arXiv:1502.03167, section 3).
            let (scale, n) = (weight[plane % channels] / deviation, pixels as f32);
            let (level, slope) = (sum / n, products / n / deviation);
            let values = x.iter().zip(gradient);
            out.iter_mut().zip(values).for_each(|(out, (x, g))| *out = scale * (g - level - (x - mean) * slope));
        });
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }
}

/// Input and the output's gradient to the gradients of weight and bias, `[2, C]`.
struct ParameterGradients(InstanceNorm);

impl CustomOp2 for ParameterGradients {
    fn name(&self) -> &'static str {
        "instance_norm_parameter_gradients"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, gradient: &CpuStorage, lg: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, gradient) = (f32s(x, lx)?, f32s(gradient, lg)?);
        let (_, channels, height, width) = lx.shape().dims4()?;
        let planes = x.par_chunks(height * width).zip(gradient.par_chunks(height * width));
        let sums: Vec<[f32; 4]> = planes.map(|(x, gradient)| along(x, gradient, self.0.epsilon)).collect();
        let mut out = vec![0.0; 2 * channels];
        for (plane, [.., products, sum]) in sums.into_iter().enumerate() {
            out[plane % channels] += products;
            out[channels + plane % channels] += sum;
        }
        Ok((CpuStorage::F32(out), Shape::from((2, channels))))
    }
}

/// Sums are made of runs, and runs of lanes, so that a large plane loses no digits.
const LANES: usize = 16;
const RUN: usize = 4096;

/// Mean and variance, relative to the plane's first value, so that a mean that is large against the deviation loses no digits.
fn moments(x: &[f32]) -> (f32, f32) {
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
