//! A plain stack of convolutions with a pixel shuffle at its end (ESPCN's shape, Shi et al. 2016, arXiv:1609.05158). Nobody
//! trains it: it is a yardstick, the network `sr` that `cargo xtask bench` runs on every engine.

use serde::{Deserialize, Serialize};

use crate::layers::Conv2d;
use crate::{Init, Result, Scope, Tensor};

/// The size of a [`Plain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlainConfig {
    /// Upscaling factor: 2, 3 or 4.
    pub scale: usize,
    /// Feature channels.
    pub channels: usize,
    /// Convolutions with ReLU between the first and the last.
    pub blocks: usize,
}

impl PlainConfig {
    /// Pixels around an output pixel's source that can change it.
    pub fn receptive_field(&self) -> usize {
        self.blocks + 2
    }
}

/// `[N, 3, H, W]` to `[N, 3, H * scale, W * scale]`.
pub struct Plain<T> {
    head: Conv2d<T>,
    body: Vec<Conv2d<T>>,
    tail: Conv2d<T>,
    scale: usize,
}

impl<T: Tensor> Plain<T> {
    /// The network with parameters from `scope`.
    pub fn new(config: &PlainConfig, scope: &Scope<T>) -> Result<Self> {
        let &PlainConfig { scale, channels, blocks } = config;
        let relu = Init::Kaiming { gain: std::f32::consts::SQRT_2 };
        Ok(Self {
            head: Conv2d::new(3, channels, 3, Init::Kaiming { gain: 1.0 }, &scope.sub("head"))?,
            body: (0..blocks)
                .map(|i| Conv2d::new(channels, channels, 3, relu, &scope.sub("body").sub(i)))
                .collect::<Result<_>>()?,
            tail: Conv2d::new(channels, 3 * scale * scale, 3, Init::Kaiming { gain: 1.0 }, &scope.sub("tail"))?,
            scale,
        })
    }

    /// See [`Plain`].
    pub fn forward(&self, x: &T) -> Result<T> {
        let mut y = self.head.forward(x)?;
        for conv in &self.body {
            y = conv.relu(&y)?;
        }
        self.tail.forward(&y)?.pixel_shuffle(self.scale)
    }
}
