//! Convolution with gradients: ours on the CPU, candle's elsewhere.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor};

use super::activation::{leaky_relu, leaky_relu_gradient};
use super::direct::Epilogue;
use super::planes::{Geometry, MAX_TAPS, mirrored};
use super::{direct, f32s, ours, sum_per_channel};
use crate::tensor::Padding;

/// With a `slope`, a leaky ReLU follows.
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: Padding,
    slope: Option<f32>,
) -> crate::Result<Tensor> {
    let kernel = weight.dim(2)?;
    let direct = padding.size() < kernel && stride <= kernel && kernel * kernel <= MAX_TAPS;
    if direct && ours(x) {
        let zeros;
        let bias = match bias {
            Some(bias) => bias,
            None => {
                zeros = Tensor::zeros(weight.dim(0)?, DType::F32, x.device())?;
                &zeros
            }
        };
        return Ok(x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, Conv2d { stride, padding, slope })?);
    }
    let (x, padding) = match padding {
        Padding::Zeros(size) => (x.clone(), size),
        Padding::Reflect(size) => (reflect(x, size)?, 0),
    };
    let y = if stride == 1 {
        x.conv2d(weight, padding, 1, 1, 1)?
    } else {
        // candle's backward of a strided convolution fails where the window does not end at the border. Rows and columns that
        // no window reaches are cut off first.
        let padded = x.pad_with_zeros(2, padding, padding)?.pad_with_zeros(3, padding, padding)?;
        let used = |size: usize| (size - kernel) / stride * stride + kernel;
        let (h, w) = (used(padded.dim(2)?), used(padded.dim(3)?));
        padded.narrow(2, 0, h)?.narrow(3, 0, w)?.contiguous()?.conv2d(weight, 0, stride, 1, 1)?
    };
    let y = match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, bias.elem_count(), 1, 1))?)?,
        None => y,
    };
    match slope {
        Some(slope) => leaky_relu(&y, slope),
        None => Ok(y),
    }
}

/// Height and width with `size` mirrored pixels on every side, by index, whose gradient candle has right.
fn reflect(x: &Tensor, size: usize) -> Result<Tensor> {
    let mirror = |x: &Tensor, dim: usize| {
        let length = x.dim(dim)?;
        let indices = (0..length + 2 * size).map(|i| mirrored(i, size, length) as u32).collect();
        x.index_select(&Tensor::from_vec(indices, length + 2 * size, x.device())?, dim)
    };
    mirror(&mirror(x, 2)?, 3)
}

/// Input, weight and bias to output.
struct Conv2d {
    stride: usize,
    padding: Padding,
    /// Of the leaky ReLU that follows, if one does.
    slope: Option<f32>,
}

/// Weight and the output's gradient to the input's gradient.
struct InputGradient {
    geometry: Geometry,
}

/// Input and the output's gradient to the weight's gradient.
struct WeightGradient {
    geometry: Geometry,
}

impl Conv2d {
    fn geometry(&self, x: &Shape, weight: &Shape) -> Result<Geometry> {
        let (batch, inputs, height, width) = x.dims4()?;
        let (outputs, _, kernel, _) = weight.dims4()?;
        let &Self { stride, padding, .. } = self;
        Ok(Geometry { batch, inputs, outputs, height, width, kernel, stride, padding })
    }
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let g = self.geometry(x_layout.shape(), weight_layout.shape())?;
        let bias = f32s(bias, bias_layout)?;
        let y = direct::forward(
            &g,
            f32s(x, x_layout)?,
            f32s(weight, weight_layout)?,
            &Epilogue { bias: Some(bias), slope: self.slope },
        );
        Ok((CpuStorage::F32(y), Shape::from((g.batch, g.outputs, g.out_height(), g.out_width()))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let geometry = self.geometry(x.shape(), weight.shape())?;
        let mut gradient = gradient.contiguous()?;
        if let Some(slope) = self.slope {
            gradient = leaky_relu_gradient(result, &gradient, slope)?;
        }
        // Only what leads to a variable needs a gradient: not the pictures that the first convolution reads, nor the weights
        // of a network that judges another one.
        let input = match x.track_op() {
            true => Some(weight.apply_op2_no_bwd(&gradient, &InputGradient { geometry })?),
            false => None,
        };
        let weight = match weight.track_op() {
            true => Some(x.apply_op2_no_bwd(&gradient, &WeightGradient { geometry })?),
            false => None,
        };
        let bias = match bias.track_op() {
            true => Some(sum_per_channel(&gradient)?),
            false => None,
        };
        Ok((input, weight, bias))
    }
}

impl CustomOp2 for InputGradient {
    fn name(&self) -> &'static str {
        "conv2d_input_gradient"
    }

    fn cpu_fwd(&self, w: &CpuStorage, lw: &Layout, gradient: &CpuStorage, lg: &Layout) -> Result<(CpuStorage, Shape)> {
        let g = &self.geometry;
        let x = direct::input_gradient(g, f32s(gradient, lg)?, f32s(w, lw)?);
        Ok((CpuStorage::F32(x), Shape::from((g.batch, g.inputs, g.height, g.width))))
    }
}

impl CustomOp2 for WeightGradient {
    fn name(&self) -> &'static str {
        "conv2d_weight_gradient"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, gradient: &CpuStorage, lg: &Layout) -> Result<(CpuStorage, Shape)> {
        let g = &self.geometry;
        let w = direct::weight_gradient(g, f32s(x, lx)?, f32s(gradient, lg)?);
        Ok((CpuStorage::F32(w), Shape::from((g.outputs, g.inputs, g.kernel, g.kernel))))
    }
}
