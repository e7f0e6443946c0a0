use crate::{Init, Result, Scope, Tensor};

/// As in every framework.
const EPSILON: f32 = 1e-5;

/// Layer norm with a scale and a shift for every feature (Ba et al. 2016, arXiv:1607.06450).
pub struct LayerNorm<T> {
    weight: T,
    bias: T,
}

impl<T: Tensor> LayerNorm<T> {
    /// For `features` features: scale 1, shift 0 at first.
    pub fn new(features: usize, scope: &Scope<T>) -> Result<Self> {
        Ok(Self {
            weight: scope.get("weight", &[features], Init::Const(1.0))?,
            bias: scope.get("bias", &[features], Init::Const(0.0))?,
        })
    }

    /// See [`Tensor::layer_norm`].
    pub fn forward(&self, x: &T) -> Result<T> {
        x.layer_norm(&self.weight, &self.bias, EPSILON)
    }
}
