//! Residual Local Feature Network (Kong et al. 2022, arXiv:2205.07514): the small, fast one.

use serde::{Deserialize, Serialize};

use crate::layers::Conv2d;
use crate::{Init, Result, Scope, Tensor};

/// The size of an [`Rlfn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RlfnConfig {
    /// Upscaling factor: 2, 3 or 4.
    pub scale: usize,
    /// Feature channels.
    pub channels: usize,
    /// Residual blocks.
    pub blocks: usize,
}

impl RlfnConfig {
    /// Pixels around an output pixel's source that can change it: every 3x3 convolution adds one.
    pub fn receptive_field(&self) -> usize {
        3 * self.blocks + 3
    }
}

/// Slope of the leaky ReLU, as in the paper.
const SLOPE: f32 = 0.05;
/// He's gain for it, `sqrt(2 / (1 + slope^2))`.
const GAIN: f32 = 1.4125;

/// Three refinement convolutions, a skip around them, and a 1x1 convolution.
///
/// The paper's enhanced spatial attention at the end is left out: it pools with stride over the whole picture, so a tile would
/// not see what the picture sees, and what tiles compute must equal what the untiled network computes.
struct ResidualBlock<T> {
    refine: [Conv2d<T>; 3],
    mix: Conv2d<T>,
}

impl<T: Tensor> ResidualBlock<T> {
    fn new(channels: usize, scope: &Scope<T>) -> Result<Self> {
        let conv = |name: &str, kernel, gain| Conv2d::new(channels, channels, kernel, Init::Kaiming { gain }, &scope.sub(name));
        Ok(Self {
            // A fresh block starts close to its skip, so that depth does not multiply the variance.
            refine: [conv("refine.0", 3, GAIN)?, conv("refine.1", 3, GAIN)?, conv("refine.2", 3, 0.1 * GAIN)?],
            mix: conv("mix", 1, 1.0)?,
        })
    }

    fn forward(&self, x: &T) -> Result<T> {
        let [first, second, third] = &self.refine;
        let y = first.leaky_relu(x, SLOPE)?;
        let y = second.leaky_relu(&y, SLOPE)?;
        let y = third.leaky_relu(&y, SLOPE)?;
        self.mix.forward(&y.add(x)?)
    }
}

/// `[N, 3, H, W]` in 0..1 to `[N, 3, H * scale, W * scale]`, RGB.
pub struct Rlfn<T> {
    head: Conv2d<T>,
    blocks: Vec<ResidualBlock<T>>,
    tail: Conv2d<T>,
    upsampler: Conv2d<T>,
    scale: usize,
}

impl<T: Tensor> Rlfn<T> {
    /// The network with parameters from `scope`.
    pub fn new(config: &RlfnConfig, scope: &Scope<T>) -> Result<Self> {
        let &RlfnConfig { scale, channels, blocks } = config;
        Ok(Self {
            head: Conv2d::new(3, channels, 3, Init::Kaiming { gain: 1.0 }, &scope.sub("head"))?,
            blocks: (0..blocks).map(|i| ResidualBlock::new(channels, &scope.sub("blocks").sub(i))).collect::<Result<_>>()?,
            tail: Conv2d::new(channels, channels, 3, Init::Kaiming { gain: 0.5 }, &scope.sub("tail"))?,
            upsampler: Conv2d::new(channels, 3 * scale * scale, 3, Init::Icnr { gain: 0.1, scale }, &scope.sub("upsampler"))?,
            scale,
        })
    }

    /// See [`Rlfn`].
    pub fn forward(&self, x: &T) -> Result<T> {
        let features = self.head.forward(x)?;
        let mut y = features.clone();
        for block in &self.blocks {
            y = block.forward(&y)?;
        }
        let y = self.tail.forward(&y)?.add(&features)?;
        // The network learns what nearest-neighbour enlargement lacks: it starts at that picture instead of at noise.
        self.upsampler.forward(&y)?.pixel_shuffle(self.scale)?.add(&x.upsample_nearest(self.scale)?)
    }
}
