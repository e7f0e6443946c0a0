//! The candle engine: computes at once, with gradients.
//!
//! Most operations are candle's own. Convolution on the CPU is ours (`conv`); where candle 0.11 computes a wrong gradient
//! without an error, the operation is put together from ones that are right. `tests/tests/gradients.rs` checks every operation
//! against finite differences in f64.

mod activation;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
mod conv;
mod direct;
mod enlarge;
mod gram;
mod lanes;
mod norm;
mod pieces;
mod planes;
mod pool;
mod product;
mod rows;
mod sequence;
mod winograd;

pub use gram::gram;

/// Has convolutions on the CPU multiply in bf16 and add in f32 from now on, in the whole program, where the CPU can do that at once
/// (AMX, on Linux). False, and nothing is changed, where it cannot.
pub fn multiply_in_bf16() -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    return amx::multiply_in_bf16();
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    false
}

use candle_core::{CpuStorage, D, DType, Device, Layout, Tensor};

use crate::checkpoint::{self, Tensors};
use crate::tensor::{Padding, rules};
use crate::{Result, Source};

impl crate::Tensor for Tensor {
    fn dims(&self) -> &[usize] {
        Self::dims(self)
    }

    fn conv2d(&self, weight: &Self, bias: Option<&Self>, stride: usize, padding: impl Into<Padding>) -> Result<Self> {
        let padding = padding.into();
        rules::conv2d(self.dims(), weight.dims(), bias.map(Self::dims), stride, padding)?;
        conv::conv2d(self, weight, bias, stride, padding, None)
    }

    fn conv2d_leaky_relu(
        &self,
        weight: &Self,
        bias: Option<&Self>,
        stride: usize,
        padding: impl Into<Padding>,
        slope: f32,
    ) -> Result<Self> {
        let padding = padding.into();
        rules::conv2d(self.dims(), weight.dims(), bias.map(Self::dims), stride, padding)?;
        conv::conv2d(self, weight, bias, stride, padding, Some(slope))
    }

    fn instance_norm(&self, weight: &Self, bias: &Self, epsilon: f32) -> Result<Self> {
        rules::instance_norm(self.dims(), weight.dims(), bias.dims(), epsilon)?;
        norm::instance_norm(self, weight, bias, epsilon)
    }

    fn relu(&self) -> Result<Self> {
        activation::leaky_relu(self, 0.0)
    }

    fn leaky_relu(&self, slope: f32) -> Result<Self> {
        activation::leaky_relu(self, slope)
    }

    fn clamp(&self, low: f32, high: f32) -> Result<Self> {
        rules::clamp(low, high)?;
        activation::clamp(self, low, high)
    }

    fn sigmoid(&self) -> Result<Self> {
        // Through tanh: 1 / (1 + exp(-x)) has the gradient 0 * inf = NaN far below zero.
        Ok(((self * 0.5)?.tanh()? * 0.5)?.affine(1.0, 0.5)?)
    }

    fn silu(&self) -> Result<Self> {
        Ok(self.mul(&crate::Tensor::sigmoid(self)?)?)
    }

    fn add(&self, other: &Self) -> Result<Self> {
        rules::same("add", self.dims(), other.dims())?;
        Ok(self.add(other)?)
    }

    fn sub(&self, other: &Self) -> Result<Self> {
        rules::same("sub", self.dims(), other.dims())?;
        Ok(self.sub(other)?)
    }

    fn mul(&self, other: &Self) -> Result<Self> {
        rules::same("mul", self.dims(), other.dims())?;
        Ok(self.mul(other)?)
    }

    fn affine(&self, scale: f32, shift: f32) -> Result<Self> {
        Ok(self.affine(scale.into(), shift.into())?)
    }

    fn cat_channels(tensors: &[&Self]) -> Result<Self> {
        let dims: Vec<&[usize]> = tensors.iter().map(|t| t.dims()).collect();
        rules::cat_channels(&dims)?;
        Ok(Self::cat(tensors, 1)?)
    }

    fn pixel_shuffle(&self, r: usize) -> Result<Self> {
        let [n, c, h, w] = rules::pixel_shuffle(self.dims(), r)?;
        let split = self.reshape(&[n, c, r, r, h / r, w / r])?;
        Ok(split.permute([0, 1, 4, 2, 5, 3])?.reshape((n, c, h, w))?)
    }

    fn max_pool(&self, kernel: usize, stride: usize) -> Result<Self> {
        let out = rules::max_pool(self.dims(), kernel, stride)?;
        pool::max_pool(self, kernel, stride, out)
    }

    fn upsample_nearest(&self, factor: usize) -> Result<Self> {
        let out = rules::upsample_nearest(self.dims(), factor)?;
        enlarge::nearest(self, factor, out)
    }

    fn tanh(&self) -> Result<Self> {
        Ok(self.tanh()?)
    }

    fn linear(&self, weight: &Self, bias: Option<&Self>) -> Result<Self> {
        let out = rules::linear(self.dims(), weight.dims(), bias.map(Self::dims))?;
        sequence::linear(self, weight, bias, &out)
    }

    fn layer_norm(&self, weight: &Self, bias: &Self, epsilon: f32) -> Result<Self> {
        rules::layer_norm(self.dims(), weight.dims(), bias.dims(), epsilon)?;
        rows::layer_norm(self, weight, bias, epsilon)
    }

    fn take(&self, indices: &Self) -> Result<Self> {
        let out = rules::take(self.dims(), indices.dims())?;
        sequence::take(self, indices, &out)
    }

    fn attention_weights(&self, keys: &Self, heads: usize, mask: Option<&Self>) -> Result<Self> {
        rules::attention_weights(self.dims(), keys.dims(), heads, mask.map(Self::dims))?;
        sequence::attention_weights(self, keys, heads, mask)
    }

    fn attend(&self, values: &Self) -> Result<Self> {
        let out = rules::attend(self.dims(), values.dims())?;
        sequence::attend(self, values, &out)
    }

    fn put(&self, row: &Self, position: &Self) -> Result<Self> {
        rules::put(self.dims(), row.dims(), position.dims())?;
        sequence::put(self, row, position)
    }

    fn cat_time(tensors: &[&Self]) -> Result<Self> {
        let dims: Vec<&[usize]> = tensors.iter().map(|t| t.dims()).collect();
        rules::cat_time(&dims)?;
        Ok(Self::cat(tensors, 1)?)
    }
}

/// Stored parameters as constant candle tensors.
pub struct Constants<'a> {
    /// Where they are stored.
    pub tensors: &'a Tensors,
    /// Where they go.
    pub device: &'a Device,
}

impl Source<Tensor> for Constants<'_> {
    fn get(&self, name: &str, dims: &[usize], _: crate::Init) -> Result<Tensor> {
        Ok(Tensor::from_vec(checkpoint::values(self.tensors, name, dims)?, dims, self.device)?)
    }
}

/// The values of a tensor, row-major, as f32.
///
/// # Errors
/// When the device fails.
pub fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// Whether our own operations are for this tensor: f32 on the CPU.
fn ours(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32
}

/// The values of a contiguous f32 tensor on the CPU, for operations of our own.
///
/// # Errors
/// When it is another.
pub fn f32s<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match storage {
        CpuStorage::F32(values) => Ok(&values[activation::contiguous(layout)?]),
        _ => candle_core::bail!("internal: f32 only"),
    }
}

/// Sum over batch, height and width: the gradient of a bias.
fn sum_per_channel(x: &Tensor) -> candle_core::Result<Tensor> {
    x.flatten_from(2)?.sum(D::Minus1)?.sum(0)
}
