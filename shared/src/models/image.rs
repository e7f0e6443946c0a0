//! Any network from picture to picture, as named in a checkpoint.

use serde::{Deserialize, Serialize};

use super::config::within;
use super::{
    AdaIn, AdaInConfig, Plain, PlainConfig, Rlfn, RlfnConfig, SrResnet, SrResnetConfig, TransformNet, TransformNetConfig,
};
use crate::{Error, Result, Scope, Tensor};

/// Which network, how large. Stored in checkpoints as JSON: `{"model":"rlfn","scale":4,"channels":48,"blocks":6}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case")]
pub enum ImageConfig {
    /// The small, fast one for super-resolution.
    Rlfn(RlfnConfig),
    /// The lesson's for super-resolution.
    SrResnet(SrResnetConfig),
    /// The yardstick.
    Plain(PlainConfig),
    /// The one for style transfer.
    TransformNet(TransformNetConfig),
    /// The one whose styles are any pictures.
    #[serde(rename = "adain")]
    AdaIn(AdaInConfig),
}

impl ImageConfig {
    /// Upscaling factor.
    pub fn scale(&self) -> usize {
        match self {
            Self::Rlfn(c) => c.scale,
            Self::SrResnet(c) => c.scale,
            Self::Plain(c) => c.scale,
            Self::TransformNet(_) | Self::AdaIn(_) => 1,
        }
    }

    /// How many input pixels around an output pixel's source can change it: the halo of a tile. `None` when all of them can.
    pub fn receptive_field(&self) -> Option<usize> {
        match self {
            Self::Rlfn(c) => Some(c.receptive_field()),
            Self::SrResnet(c) => Some(c.receptive_field()),
            Self::Plain(c) => Some(c.receptive_field()),
            Self::TransformNet(_) | Self::AdaIn(_) => None,
        }
    }

    /// Styles in it; 0 where it takes no mixture of them.
    pub fn styles(&self) -> usize {
        match self {
            Self::TransformNet(c) => c.styles,
            Self::AdaIn(c) => c.styles,
            Self::Rlfn(_) | Self::SrResnet(_) | Self::Plain(_) => 0,
        }
    }

    /// Refuses sizes that no sane network has, so that a hostile checkpoint cannot ask for all memory.
    ///
    /// # Errors
    /// [`crate::Error::Checkpoint`] naming the value.
    pub fn validate(&self) -> Result<()> {
        let (scale, channels, blocks) = match *self {
            Self::Rlfn(RlfnConfig { scale, channels, blocks }) => (Some(scale), channels, blocks),
            Self::SrResnet(SrResnetConfig { scale, channels, blocks }) => (Some(scale), channels, blocks),
            Self::Plain(PlainConfig { scale, channels, blocks }) => (Some(scale), channels, blocks),
            Self::TransformNet(TransformNetConfig { channels, blocks, .. }) => (None, channels, blocks),
            Self::AdaIn(AdaInConfig { channels, features, blocks, .. }) => {
                within("features", features, 1..=1024)?;
                (None, channels, blocks)
            }
        };
        scale.map_or(Ok(()), |scale| within("scale", scale, 2..=4))?;
        within("styles", self.styles(), 0..=256)?;
        within("channels", channels, 1..=512)?;
        within("blocks", blocks, 1..=128)
    }
}

/// A network `[N, 3, H, W]` to `[N, 3, H * scale, W * scale]`; pictures are RGB in 0..1.
pub enum ImageNetwork<T> {
    /// See [`Rlfn`].
    Rlfn(Rlfn<T>),
    /// See [`SrResnet`].
    SrResnet(SrResnet<T>),
    /// See [`Plain`].
    Plain(Plain<T>),
    /// See [`TransformNet`].
    TransformNet(TransformNet<T>),
    /// See [`AdaIn`].
    AdaIn(AdaIn<T>),
}

impl<T: Tensor> ImageNetwork<T> {
    /// The network that `config` names, with parameters from `scope`.
    pub fn new(config: &ImageConfig, scope: &Scope<T>) -> Result<Self> {
        config.validate()?;
        Ok(match config {
            ImageConfig::Rlfn(c) => Self::Rlfn(Rlfn::new(c, scope)?),
            ImageConfig::SrResnet(c) => Self::SrResnet(SrResnet::new(c, scope)?),
            ImageConfig::Plain(c) => Self::Plain(Plain::new(c, scope)?),
            ImageConfig::TransformNet(c) => Self::TransformNet(TransformNet::new(c, scope)?),
            ImageConfig::AdaIn(c) => Self::AdaIn(AdaIn::new(c, scope)?),
        })
    }

    /// The network's output for a batch.
    ///
    /// # Errors
    /// [`Error::Shape`] where it wants a mixture of styles, or the picture does not suit it.
    pub fn forward(&self, x: &T) -> Result<T> {
        match self {
            Self::Rlfn(m) => m.forward(x),
            Self::SrResnet(m) => m.forward(x),
            Self::Plain(m) => m.forward(x),
            Self::TransformNet(m) => m.forward(x, None),
            Self::AdaIn(_) => Err(Error::shape("forward", "this network wants a style")),
        }
    }

    /// The same in a mixture `[styles]` of the network's styles.
    ///
    /// # Errors
    /// [`Error::Shape`] where it has none.
    pub fn restyle(&self, x: &T, mixture: &T) -> Result<T> {
        match self {
            Self::TransformNet(m) => m.forward(x, Some(mixture)),
            Self::AdaIn(m) => m.forward(x, mixture),
            Self::Rlfn(_) | Self::SrResnet(_) | Self::Plain(_) => Err(Error::shape("restyle", "this network has no styles")),
        }
    }

    /// What it sees in a picture: `[N, features, H / 4, W / 4]`.
    ///
    /// # Errors
    /// [`Error::Shape`] where it is no [`AdaIn`].
    pub fn features(&self, x: &T) -> Result<T> {
        match self {
            Self::AdaIn(m) => m.encode(x),
            Self::Rlfn(_) | Self::SrResnet(_) | Self::Plain(_) | Self::TransformNet(_) => {
                Err(Error::shape("features", "this network learns its styles in training, and cannot take one from a picture"))
            }
        }
    }
}
