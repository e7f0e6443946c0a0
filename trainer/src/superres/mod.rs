//! Super-resolution: training and evaluation.

pub mod card;
pub mod config;
pub mod evaluate;
pub mod task;

use clap::ValueEnum;
use shared::models::{ImageConfig, RlfnConfig, SrResnetConfig};

/// The sizes that the page offers, and the lesson's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Size {
    /// RLFN with 24 channels and 3 blocks, about 60 thousand parameters: for a CPU.
    Fast,
    /// RLFN with 48 channels and 4 blocks, about 300 thousand parameters: for a GPU.
    Quality,
    /// The lesson's residual network with 64 channels and 8 blocks.
    Lesson,
}

impl Size {
    /// The network of this size; `channels` and `blocks` override its own.
    pub fn config(self, scale: usize, channels: Option<usize>, blocks: Option<usize>) -> ImageConfig {
        let rlfn = |c, b| ImageConfig::Rlfn(RlfnConfig { scale, channels: channels.unwrap_or(c), blocks: blocks.unwrap_or(b) });
        match self {
            Self::Fast => rlfn(24, 3),
            Self::Quality => rlfn(48, 4),
            Self::Lesson => {
                ImageConfig::SrResnet(SrResnetConfig { scale, channels: channels.unwrap_or(64), blocks: blocks.unwrap_or(8) })
            }
        }
    }
}
