//! The engine that computes nothing: it counts what the others have to.

use std::cell::Cell;
use std::rc::Rc;

use crate::models::{ImageConfig, ImageNetwork};
use crate::tensor::{Padding, rules};
use crate::{Init, Result, Scope, Source, Tensor};

/// Floating-point operations of the network `config` on an input `[N, 3, H, W]`: two for every product and sum of its
/// convolutions, those with the zeros of a border included, as the literature counts. What works element by element is left out:
/// it is less than a hundredth, and bound by memory.
///
/// # Errors
/// What the network says of its configuration or of such an input.
pub fn operations(config: &ImageConfig, dims: [usize; 4]) -> Result<f64> {
    let tally = Tally::default();
    let network = ImageNetwork::new(config, &Scope::root(&tally))?;
    let tensor = |dims: &[usize]| CostTensor { dims: dims.to_vec(), tally: tally.clone() };
    match config.styles() {
        0 => network.forward(&tensor(&dims))?,
        styles => network.restyle(&tensor(&dims), &tensor(&[styles]))?,
    };
    Ok(tally.0.get())
}

/// What was counted so far, by all tensors of one network.
#[derive(Clone, Default)]
struct Tally(Rc<Cell<f64>>);

/// Dimensions without values.
#[derive(Clone)]
struct CostTensor {
    dims: Vec<usize>,
    tally: Tally,
}

impl CostTensor {
    fn like(&self, dims: impl Into<Vec<usize>>) -> Self {
        Self { dims: dims.into(), tally: self.tally.clone() }
    }

    /// A result of which every element is the sum of so many products.
    fn sums(&self, dims: impl Into<Vec<usize>>, products: usize) -> Self {
        let result = self.like(dims);
        let elements = result.dims.iter().map(|&size| size as f64).product::<f64>();
        self.tally.0.set(self.tally.0.get() + 2.0 * elements * products as f64);
        result
    }

    fn same(&self, op: &'static str, other: &Self) -> Result<Self> {
        rules::same(op, &self.dims, &other.dims)?;
        Ok(self.clone())
    }
}

impl Source<CostTensor> for Tally {
    fn get(&self, _: &str, dims: &[usize], _: Init) -> Result<CostTensor> {
        Ok(CostTensor { dims: dims.to_vec(), tally: self.clone() })
    }
}

impl Tensor for CostTensor {
    fn dims(&self) -> &[usize] {
        &self.dims
    }

    fn conv2d(&self, weight: &Self, bias: Option<&Self>, stride: usize, padding: impl Into<Padding>) -> Result<Self> {
        let dims = rules::conv2d(&self.dims, &weight.dims, bias.map(Self::dims), stride, padding.into())?;
        Ok(self.sums(dims, weight.dims.iter().skip(1).product()))
    }

    fn instance_norm(&self, weight: &Self, bias: &Self, epsilon: f32) -> Result<Self> {
        Ok(self.like(rules::instance_norm(&self.dims, &weight.dims, &bias.dims, epsilon)?))
    }

    fn relu(&self) -> Result<Self> {
        Ok(self.clone())
    }

    fn leaky_relu(&self, _: f32) -> Result<Self> {
        Ok(self.clone())
    }

    fn clamp(&self, low: f32, high: f32) -> Result<Self> {
        rules::clamp(low, high)?;
        Ok(self.clone())
    }

    fn sigmoid(&self) -> Result<Self> {
        Ok(self.clone())
    }

    fn silu(&self) -> Result<Self> {
        Ok(self.clone())
    }

    fn add(&self, other: &Self) -> Result<Self> {
        self.same("add", other)
    }

    fn sub(&self, other: &Self) -> Result<Self> {
        self.same("sub", other)
    }

    fn mul(&self, other: &Self) -> Result<Self> {
        self.same("mul", other)
    }

    fn affine(&self, _: f32, _: f32) -> Result<Self> {
        Ok(self.clone())
    }

    fn cat_channels(tensors: &[&Self]) -> Result<Self> {
        let dims: Vec<&[usize]> = tensors.iter().map(|t| t.dims()).collect();
        let joined = rules::cat_channels(&dims)?;
        let first = tensors.first().ok_or_else(|| crate::Error::shape("cat_channels", "nothing to join"))?;
        Ok(first.like(joined))
    }

    fn max_pool(&self, kernel: usize, stride: usize) -> Result<Self> {
        Ok(self.like(rules::max_pool(&self.dims, kernel, stride)?))
    }

    fn pixel_shuffle(&self, r: usize) -> Result<Self> {
        Ok(self.like(rules::pixel_shuffle(&self.dims, r)?))
    }

    fn upsample_nearest(&self, factor: usize) -> Result<Self> {
        Ok(self.like(rules::upsample_nearest(&self.dims, factor)?))
    }

    fn tanh(&self) -> Result<Self> {
        Ok(self.clone())
    }

    fn linear(&self, weight: &Self, bias: Option<&Self>) -> Result<Self> {
        let dims = rules::linear(&self.dims, &weight.dims, bias.map(Self::dims))?;
        Ok(self.sums(dims, weight.dims.iter().skip(1).product()))
    }

    fn layer_norm(&self, weight: &Self, bias: &Self, epsilon: f32) -> Result<Self> {
        rules::layer_norm(&self.dims, &weight.dims, &bias.dims, epsilon)?;
        Ok(self.clone())
    }

    fn take(&self, indices: &Self) -> Result<Self> {
        Ok(self.like(rules::take(&self.dims, &indices.dims)?))
    }

    fn attention_weights(&self, keys: &Self, heads: usize, mask: Option<&Self>) -> Result<Self> {
        let dims = rules::attention_weights(&self.dims, &keys.dims, heads, mask.map(Self::dims))?;
        Ok(self.sums(dims, self.dims.last().copied().unwrap_or_default() / heads))
    }

    fn attend(&self, values: &Self) -> Result<Self> {
        let dims = rules::attend(&self.dims, &values.dims)?;
        Ok(self.sums(dims, self.dims.last().copied().unwrap_or_default()))
    }

    fn put(&self, row: &Self, position: &Self) -> Result<Self> {
        rules::put(&self.dims, &row.dims, &position.dims)?;
        Ok(self.clone())
    }

    fn cat_time(tensors: &[&Self]) -> Result<Self> {
        let dims: Vec<&[usize]> = tensors.iter().map(|t| t.dims()).collect();
        let joined = rules::cat_time(&dims)?;
        let first = tensors.first().ok_or_else(|| crate::Error::shape("cat_time", "nothing to join"))?;
        Ok(first.like(joined))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn convolutions_count_two_for_every_product_and_sum() {
        let config: ImageConfig = serde_json::from_str(r#"{"model":"plain","scale":4,"channels":64,"blocks":8}"#).unwrap();
        let weights = 9 * (3 * 64 + 8 * 64 * 64 + 64 * 48);
        assert_eq!(operations(&config, [2, 3, 16, 10]).unwrap(), f64::from(2 * weights * 2 * 16 * 10));
        let style: ImageConfig = serde_json::from_str(r#"{"model":"transform-net","channels":32,"blocks":5}"#).unwrap();
        let million = operations(&style, [1, 3, 256, 256]).unwrap() / 1e6;
        assert!((20_000.0..20_500.0).contains(&million), "{million}");
        let styles: ImageConfig =
            serde_json::from_str(r#"{"model":"transform-net","channels":32,"blocks":5,"styles":7}"#).unwrap();
        let with_styles = operations(&styles, [1, 3, 256, 256]).unwrap() / 1e6;
        assert!((million..1.001 * million).contains(&with_styles), "{with_styles}");
        assert!(operations(&style, [1, 3, 18, 18]).unwrap_err().to_string().contains("multiples of 4"));
    }
}
