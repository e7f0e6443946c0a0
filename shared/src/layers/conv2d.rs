use crate::tensor::Padding;
use crate::{Init, Result, Scope, Tensor};

/// A convolution with bias; of stride 1 and padded with zeros so that the size stays, unless told otherwise.
pub struct Conv2d<T> {
    weight: T,
    bias: T,
    stride: usize,
    padding: Padding,
}

impl<T: Tensor> Conv2d<T> {
    /// `inputs` to `outputs` channels with a `kernel` x `kernel` window (odd), weight `[outputs, inputs, kernel, kernel]`.
    pub fn new(inputs: usize, outputs: usize, kernel: usize, init: Init, scope: &Scope<T>) -> Result<Self> {
        Ok(Self {
            weight: scope.get("weight", &[outputs, inputs, kernel, kernel], init)?,
            bias: scope.get("bias", &[outputs], Init::Const(0.0))?,
            stride: 1,
            padding: Padding::Zeros(kernel / 2),
        })
    }

    /// With windows `stride` pixels apart.
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// With another border.
    pub fn padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    /// `[N, inputs, H, W]` to `[N, outputs, H / stride, W / stride]`, rounded up, with the padding of [`Conv2d::new`].
    pub fn forward(&self, x: &T) -> Result<T> {
        x.conv2d(&self.weight, Some(&self.bias), self.stride, self.padding)
    }

    /// And a ReLU.
    pub fn relu(&self, x: &T) -> Result<T> {
        self.leaky_relu(x, 0.0)
    }

    /// And a leaky ReLU.
    pub fn leaky_relu(&self, x: &T, slope: f32) -> Result<T> {
        x.conv2d_leaky_relu(&self.weight, Some(&self.bias), self.stride, self.padding, slope)
    }
}
