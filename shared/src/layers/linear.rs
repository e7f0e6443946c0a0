use crate::{Init, Result, Scope, Tensor};

/// `x W^T + b` over the last dimension.
pub struct Linear<T> {
    weight: T,
    bias: T,
}

impl<T: Tensor> Linear<T> {
    /// `inputs` to `outputs` features, weight `[outputs, inputs]`.
    pub fn new(inputs: usize, outputs: usize, scope: &Scope<T>) -> Result<Self> {
        Ok(Self {
            weight: scope.get("weight", &[outputs, inputs], Init::Kaiming { gain: 1.0 })?,
            bias: scope.get("bias", &[outputs], Init::Const(0.0))?,
        })
    }

    /// `[.., inputs]` to `[.., outputs]`.
    pub fn forward(&self, x: &T) -> Result<T> {
        x.linear(&self.weight, Some(&self.bias))
    }
}
