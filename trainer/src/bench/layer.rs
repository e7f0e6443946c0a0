use std::fmt;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use shared::session::Engine;

use super::{Cut, Effort, Times};

/// A convolution on a square picture, padded so that only its stride shrinks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Side of the window.
    pub kernel: usize,
    /// Distance of the windows.
    pub stride: usize,
    /// Side of the picture.
    pub side: usize,
}

impl Layer {
    /// What networks for pictures are made of: the bodies of large ones, 1x1 as in RLFN, the strided ones of style transfer, first
    /// and last layers.
    pub fn usual(side: usize) -> Vec<Self> {
        let layer = |inputs, outputs, kernel, stride| Self { inputs, outputs, kernel, stride, side };
        vec![
            layer(64, 64, 3, 1),
            layer(48, 48, 3, 1),
            layer(24, 24, 3, 1),
            layer(64, 64, 1, 1),
            layer(48, 48, 1, 1),
            layer(64, 128, 3, 2),
            layer(3, 64, 3, 1),
            layer(64, 48, 3, 1),
            layer(3, 64, 7, 1),
            layer(32, 3, 9, 1),
        ]
    }

    /// Dimensions of the input.
    pub fn input(&self) -> [usize; 4] {
        [1, self.inputs, self.side, self.side]
    }

    /// Dimensions of the weight.
    pub fn weight(&self) -> [usize; 4] {
        [self.outputs, self.inputs, self.kernel, self.kernel]
    }

    /// On any engine.
    ///
    /// # Errors
    /// The engine's own.
    pub fn forward<T: shared::Tensor>(&self, x: &T, weight: &T, bias: &T) -> shared::Result<T> {
        x.conv2d(weight, Some(bias), self.stride, self.padding())
    }

    fn padding(&self) -> usize {
        self.kernel / 2
    }

    fn output_pixels(&self) -> usize {
        ((self.side + 2 * self.padding() - self.kernel) / self.stride + 1).pow(2)
    }

    /// Floating-point operations, two for every product and sum.
    pub fn operations(&self) -> f64 {
        2.0 * self.weight().iter().product::<usize>() as f64 * self.output_pixels() as f64
    }

    /// The bytes that have to move at least: input, weights and output, once each.
    pub fn bytes(&self) -> f64 {
        let values = self.input().iter().product::<usize>() + self.weight().iter().product::<usize>();
        4.0 * (values + self.outputs * self.output_pixels()) as f64
    }

    /// How long it takes.
    ///
    /// # Errors
    /// The engine's own.
    pub fn time(&self, engine: &Engine, effort: Effort) -> Result<Times> {
        match engine {
            Engine::Candle(device) => self.time_candle(device, effort),
            #[cfg(feature = "webgpu")]
            Engine::WebGpu(context) => super::gpu::layer(context, self, effort),
        }
    }

    /// Measures how its kernel is best cut; nothing where there is nothing to cut.
    ///
    /// # Errors
    /// The engine's own.
    pub fn tune(&self, engine: &Engine) -> Result<Vec<Cut>> {
        match engine {
            Engine::Candle(_) => Ok(Vec::new()),
            #[cfg(feature = "webgpu")]
            Engine::WebGpu(context) => Ok(Cut::of(&super::gpu::tune(context, self)?, context)),
        }
    }

    fn time_candle(&self, device: &Device, effort: Effort) -> Result<Times> {
        let x = Tensor::rand(-1f32, 1.0, &self.input(), device)?;
        let weight = Tensor::rand(-0.1f32, 0.1, &self.weight(), device)?;
        let bias = Tensor::zeros(self.outputs, DType::F32, device)?;
        effort.time(|| {
            self.forward(&x, &weight, &bias)?;
            Ok(device.synchronize()?)
        })
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { inputs, outputs, kernel, stride, .. } = self;
        write!(f, "conv {kernel}x{kernel}, {inputs} to {outputs}")?;
        if *stride > 1 { write!(f, ", stride {stride}") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_follows_the_shapes() {
        let layer = Layer { inputs: 64, outputs: 128, kernel: 3, stride: 2, side: 9 };
        assert_eq!(layer.operations(), f64::from(2 * 128 * 64 * 9 * 25));
        assert_eq!(layer.bytes(), f64::from(4 * (64 * 81 + 128 * 64 * 9 + 128 * 25)));
        assert_eq!(layer.to_string(), "conv 3x3, 64 to 128, stride 2");
    }
}
