//! Any super-resolution network, as named in a checkpoint.

use serde::{Deserialize, Serialize};

use super::{Rlfn, RlfnConfig, SrResnet, SrResnetConfig};
use crate::{Error, Result, Scope, Tensor};

/// Which network, how large. Stored in checkpoints as JSON: `{"model":"rlfn","scale":4,"channels":48,"blocks":6}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case")]
pub enum SuperresConfig {
    /// The small, fast one.
    Rlfn(RlfnConfig),
    /// The lesson's.
    SrResnet(SrResnetConfig),
}

impl SuperresConfig {
    /// Upscaling factor.
    pub fn scale(&self) -> usize {
        match self {
            Self::Rlfn(c) => c.scale,
            Self::SrResnet(c) => c.scale,
        }
    }

    /// How many low-resolution pixels around an output pixel's source can change it: the halo of a tile.
    pub fn receptive_field(&self) -> usize {
        match self {
            Self::Rlfn(c) => c.receptive_field(),
            Self::SrResnet(c) => c.receptive_field(),
        }
    }

    /// Refuses sizes that no sane network has, so that a hostile checkpoint cannot ask for all memory.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] naming the value.
    pub fn validate(&self) -> Result<()> {
        let (scale, channels, blocks) = match *self {
            Self::Rlfn(RlfnConfig { scale, channels, blocks }) => (scale, channels, blocks),
            Self::SrResnet(SrResnetConfig { scale, channels, blocks }) => (scale, channels, blocks),
        };
        let check = |name, value, range: std::ops::RangeInclusive<usize>| {
            if range.contains(&value) {
                return Ok(());
            }
            Err(Error::Checkpoint(format!("{name} is {value}, must be {} to {}", range.start(), range.end())))
        };
        check("scale", scale, 2..=4)?;
        check("channels", channels, 1..=512)?;
        check("blocks", blocks, 1..=128)
    }
}

/// A super-resolution network: `[N, 3, H, W]` in 0..1 to `[N, 3, H * scale, W * scale]`.
pub enum Superres<T> {
    /// See [`Rlfn`].
    Rlfn(Rlfn<T>),
    /// See [`SrResnet`].
    SrResnet(SrResnet<T>),
}

impl<T: Tensor> Superres<T> {
    /// The network that `config` names, with parameters from `scope`.
    pub fn new(config: &SuperresConfig, scope: &Scope<T>) -> Result<Self> {
        config.validate()?;
        Ok(match config {
            SuperresConfig::Rlfn(c) => Self::Rlfn(Rlfn::new(c, scope)?),
            SuperresConfig::SrResnet(c) => Self::SrResnet(SrResnet::new(c, scope)?),
        })
    }

    /// Enlarges a batch.
    pub fn forward(&self, x: &T) -> Result<T> {
        match self {
            Self::Rlfn(m) => m.forward(x),
            Self::SrResnet(m) => m.forward(x),
        }
    }
}
