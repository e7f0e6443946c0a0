//! Operations on sequences, put together from candle's.

use candle_core::{DType, Device, Result, Tensor};

use super::product::product;
use super::rows;

pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, out: &[usize]) -> crate::Result<Tensor> {
    let y = product(&x.reshape(((), weight.dim(1)?))?, &weight.t()?)?.reshape(out)?;
    bias.map_or(Ok(y.clone()), |bias| rows::add_bias(&y, bias))
}

pub fn take(table: &Tensor, indices: &Tensor, out: &[usize]) -> crate::Result<Tensor> {
    let indices = indices.flatten_all()?.to_dtype(DType::U32)?;
    Ok(table.contiguous()?.index_select(&indices, 0)?.reshape(out)?)
}

/// `[B, T, F]` to `[B, heads, T, F / heads]`.
fn split(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (b, t, f) = x.dims3()?;
    x.reshape((b, t, heads, f / heads))?.transpose(1, 2)
}

pub fn attention_weights(q: &Tensor, k: &Tensor, heads: usize, mask: Option<&Tensor>) -> crate::Result<Tensor> {
    let width = q.dim(2)? / heads;
    let scores = product(&split(q, heads)?, &split(k, heads)?.t()?)?;
    rows::softmax(&scores, (width as f32).sqrt().recip(), mask)
}

pub fn attend(weights: &Tensor, values: &Tensor, out: &[usize]) -> crate::Result<Tensor> {
    let heads = weights.dim(1)?;
    Ok(product(weights, &split(values, heads)?)?.transpose(1, 2)?.reshape(out)?)
}

pub fn put(x: &Tensor, row: &Tensor, position: &Tensor) -> crate::Result<Tensor> {
    let at = position.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
    let (length, at) = (x.dim(1)?, at.first().copied().unwrap_or(-1.0));
    if !(at >= 0.0 && at < length as f32) {
        return Err(crate::Error::shape("put", format!("position {at} is not among {length}")));
    }
    let at = at as usize;
    Ok(Tensor::cat(&[&x.narrow(1, 0, at)?, row, &x.narrow(1, at + 1, length - at - 1)?], 1)?)
}
