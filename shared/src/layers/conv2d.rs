use crate::{Init, Result, Scope, Tensor};

/// A convolution of stride 1 with bias, padded with zeros so that the size stays.
pub struct Conv2d<T> {
    weight: T,
    bias: T,
    padding: usize,
}

impl<T: Tensor> Conv2d<T> {
    /// `inputs` to `outputs` channels with a `kernel` x `kernel` window (odd), weight `[outputs, inputs, kernel, kernel]`.
    pub fn new(inputs: usize, outputs: usize, kernel: usize, init: Init, scope: &Scope<T>) -> Result<Self> {
        Ok(Self {
            weight: scope.get("weight", &[outputs, inputs, kernel, kernel], init)?,
            bias: scope.get("bias", &[outputs], Init::Const(0.0))?,
            padding: kernel / 2,
        })
    }

    /// `[N, inputs, H, W]` to `[N, outputs, H, W]`.
    pub fn forward(&self, x: &T) -> Result<T> {
        x.conv2d(&self.weight, Some(&self.bias), 1, self.padding)
    }
}
