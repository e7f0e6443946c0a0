use crate::{Init, Result, Scope, Tensor};

/// As in every framework: small against the variance of an activation, large against rounding.
pub const EPSILON: f32 = 1e-5;

/// Instance norm with a scale and a shift for every channel (Ulyanov et al. 2016, arXiv:1607.08022).
pub struct InstanceNorm<T> {
    weight: T,
    bias: T,
}

impl<T: Tensor> InstanceNorm<T> {
    /// For `channels` channels: scale 1, shift 0 at first.
    pub fn new(channels: usize, scope: &Scope<T>) -> Result<Self> {
        Ok(Self {
            weight: scope.get("weight", &[channels], Init::Const(1.0))?,
            bias: scope.get("bias", &[channels], Init::Const(0.0))?,
        })
    }

    /// See [`Tensor::instance_norm`].
    pub fn forward(&self, x: &T) -> Result<T> {
        x.instance_norm(&self.weight, &self.bias, EPSILON)
    }
}
