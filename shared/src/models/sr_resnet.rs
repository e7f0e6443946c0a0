//! The lesson's super-resolution network: residual blocks without batch norm (EDSR, Lim et al. 2017, arXiv:1707.02921).

use serde::{Deserialize, Serialize};

use crate::layers::Conv2d;
use crate::{Init, Result, Scope, Tensor};

/// The size of an [`SrResnet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SrResnetConfig {
    /// Upscaling factor: 2, 3 or 4.
    pub scale: usize,
    /// Feature channels; the lesson and EDSR's baseline have 64.
    pub channels: usize,
    /// Residual blocks; the lesson has 8, EDSR's baseline 16.
    pub blocks: usize,
}

impl SrResnetConfig {
    /// The factors of the sub-pixel stages: 4 is reached by 2 and 2, as in the paper.
    fn stages(&self) -> &'static [usize] {
        match self.scale {
            4 => &[2, 2],
            3 => &[3],
            _ => &[2],
        }
    }

    /// Low-resolution pixels around an output pixel's source that can change it. The convolutions after the first shuffle reach
    /// half as far or less, rounded up.
    pub fn receptive_field(&self) -> usize {
        let before = 2 * self.blocks + 3;
        before + self.stages().len()
    }
}

/// Residual scaling: without batch norm it keeps deep stacks stable (Szegedy et al. 2016, arXiv:1602.07261).
const RESIDUAL_SCALE: f32 = 0.1;

struct ResidualBlock<T> {
    conv1: Conv2d<T>,
    conv2: Conv2d<T>,
}

impl<T: Tensor> ResidualBlock<T> {
    fn new(channels: usize, scope: &Scope<T>) -> Result<Self> {
        let conv = |name, gain| Conv2d::new(channels, channels, 3, Init::Kaiming { gain }, &scope.sub(name));
        Ok(Self { conv1: conv("conv1", std::f32::consts::SQRT_2)?, conv2: conv("conv2", 1.0)? })
    }

    fn forward(&self, x: &T) -> Result<T> {
        self.conv2.forward(&self.conv1.relu(x)?)?.affine(RESIDUAL_SCALE, 0.0)?.add(x)
    }
}

/// `[N, 3, H, W]` in 0..1 to `[N, 3, H * scale, W * scale]`, RGB.
pub struct SrResnet<T> {
    head: Conv2d<T>,
    blocks: Vec<ResidualBlock<T>>,
    body_end: Conv2d<T>,
    upsamplers: Vec<(Conv2d<T>, usize)>,
    tail: Conv2d<T>,
}

impl<T: Tensor> SrResnet<T> {
    /// The network with parameters from `scope`.
    pub fn new(config: &SrResnetConfig, scope: &Scope<T>) -> Result<Self> {
        let &SrResnetConfig { channels, blocks, .. } = config;
        let plain = Init::Kaiming { gain: 1.0 };
        let upsampler = |(i, &r): (usize, &usize)| {
            let scope = scope.sub("upsamplers").sub(i);
            Ok((Conv2d::new(channels, channels * r * r, 3, Init::Icnr { gain: 1.0, scale: r }, &scope)?, r))
        };
        Ok(Self {
            head: Conv2d::new(3, channels, 3, plain, &scope.sub("head"))?,
            blocks: (0..blocks).map(|i| ResidualBlock::new(channels, &scope.sub("blocks").sub(i))).collect::<Result<_>>()?,
            body_end: Conv2d::new(channels, channels, 3, plain, &scope.sub("body_end"))?,
            upsamplers: config.stages().iter().enumerate().map(upsampler).collect::<Result<_>>()?,
            tail: Conv2d::new(channels, 3, 3, plain, &scope.sub("tail"))?,
        })
    }

    /// See [`SrResnet`].
    pub fn forward(&self, x: &T) -> Result<T> {
        let features = self.head.forward(x)?;
        let mut y = features.clone();
        for block in &self.blocks {
            y = block.forward(&y)?;
        }
        y = self.body_end.forward(&y)?.add(&features)?;
        for (conv, r) in &self.upsamplers {
            y = conv.forward(&y)?.pixel_shuffle(*r)?;
        }
        self.tail.forward(&y)
    }
}
