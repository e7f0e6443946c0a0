//! Nearest-neighbour enlargement. Ours in f32 on the CPU, where by broadcasting it took a fifth of the main thread's time in style transfer.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

use super::pieces::pieces;
use super::{f32s, ours};

/// `[N, C, H, W]` to `out`, `factor` times as high and as wide.
pub fn nearest(x: &Tensor, factor: usize, out: [usize; 4]) -> crate::Result<Tensor> {
    if ours(x) {
        return Ok(x.contiguous()?.apply_op1(Nearest(factor))?);
    }
    let (n, c, h, w) = x.dims4()?;
    // By broadcasting: the backward of candle's upsample_nearest2d overwrites gradients that its input already has.
    let cells = x.reshape(&[n, c, h, 1, w, 1])?.broadcast_as(&[n, c, h, factor, w, factor])?;
    Ok(cells.reshape(&out)?)
}

struct Nearest(usize);

impl CustomOp1 for Nearest {
    fn name(&self) -> &'static str {
        "upsample_nearest"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, c, height, width) = layout.shape().dims4()?;
        let (x, &Self(factor)) = (f32s(x, layout)?, self);
        let (area, wide) = (height * width, width * factor);
        let y = pieces(x.len() * factor * factor, area * factor * factor, |plane, y| {
            let lines = x[plane * area..][..area].chunks_exact(width);
            for (lines, line) in y.chunks_exact_mut(wide * factor).zip(lines) {
                let (first, others) = lines.split_at_mut(wide);
                first.chunks_exact_mut(factor).zip(line).for_each(|(pixels, &value)| pixels.fill(value));
                others.chunks_exact_mut(wide).for_each(|other| other.copy_from_slice(first));
            }
        });
        Ok((CpuStorage::F32(y), Shape::from((n, c, height * factor, wide))))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(x.apply_op2_no_bwd(&gradient.contiguous()?, &NearestGradient(self.0))?))
    }
}

/// The input, for its size, and the output's gradient to the input's: the sum over the pixels that a pixel became.
struct NearestGradient(usize);

impl CustomOp2 for NearestGradient {
    fn name(&self) -> &'static str {
        "upsample_nearest_gradient"
    }

    fn cpu_fwd(&self, _: &CpuStorage, lx: &Layout, gradient: &CpuStorage, lg: &Layout) -> Result<(CpuStorage, Shape)> {
        let (.., height, width) = lx.shape().dims4()?;
        let (gradient, &Self(factor)) = (f32s(gradient, lg)?, self);
        let (area, wide) = (height * width, width * factor);
        let out = pieces(lx.shape().elem_count(), area, |plane, out| {
            let lines = gradient[plane * area * factor * factor..].chunks_exact(wide);
            for (y, line) in lines.take(height * factor).enumerate() {
                let out = &mut out[y / factor * width..][..width];
                out.iter_mut().zip(line.chunks_exact(factor)).for_each(|(out, pixels)| *out += pixels.iter().sum::<f32>());
            }
        });
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }
}
