//! The Gram matrix of a feature with its gradient: on the CPU as the convolution kernels see it, where candle's product packs a
//! turned copy of every feature, which was a tenth of a step of style transfer.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::direct::{self, Epilogue};
use super::planes::Geometry;
use super::{f32s, ours};
use crate::tensor::Padding;

/// How the channels of one picture go together: `[1, C, H, W]` to `[C, C]`, `x xᵀ` with the pixels as columns.
///
/// # Errors
/// When it is not one picture, or the device fails.
pub fn gram(x: &Tensor) -> Result<Tensor> {
    let (1, channels, ..) = x.dims4()? else { bail!("gram: one picture, not {:?}", x.dims()) };
    if ours(x) {
        return x.contiguous()?.apply_op1(Gram);
    }
    let rows = x.reshape((channels, ()))?;
    rows.matmul(&rows.t()?)
}

struct Gram;

/// A product with a matrix `[C, C]`: pixel by pixel, so a convolution of 1x1.
fn pixelwise(layout: &Layout) -> Result<Geometry> {
    let (batch, channels, height, width) = layout.shape().dims4()?;
    Ok(Geometry { batch, inputs: channels, outputs: channels, height, width, kernel: 1, stride: 1, padding: Padding::Zeros(0) })
}

impl CustomOp1 for Gram {
    fn name(&self) -> &'static str {
        "gram"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (g, x) = (pixelwise(layout)?, f32s(x, layout)?);
        // The gradient of the weights, were the output's gradient the input itself.
        Ok((CpuStorage::F32(direct::weight_gradient(&g, x, x)), Shape::from((g.outputs, g.inputs))))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(x.apply_op2_no_bwd(&(gradient + gradient.t()?)?.contiguous()?, &GramGradient)?))
    }
}

/// The feature and the matrix's gradient, with what is turned added to it, to the feature's gradient.
struct GramGradient;

impl CustomOp2 for GramGradient {
    fn name(&self) -> &'static str {
        "gram_gradient"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, gradient: &CpuStorage, lg: &Layout) -> Result<(CpuStorage, Shape)> {
        let g = pixelwise(lx)?;
        let out = direct::forward(&g, f32s(x, lx)?, f32s(gradient, lg)?, &Epilogue::default());
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }
}
