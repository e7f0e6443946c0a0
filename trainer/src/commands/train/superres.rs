use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::How;
use super::settings::TrainingArgs;
use crate::superres::Size;
use crate::superres::config::Config;

/// The learning rate where none is given.
const RATE: f64 = 2e-3;

const EXAMPLES: &str = "Examples:
  Three minutes on made-up pictures, no data needed:
    trainer train superres --minutes 3
  On folders of photos, validated on others, to runs/x2:
    trainer train superres --scale 2 --size quality --data photos --data more --val holiday --minutes 60 --name x2
  Stop it with Ctrl-C and go on later with the same command and --resume.
  From x2 to x4, starting from what x2 has learnt:
    trainer train superres --scale 4 --from runs/x2/checkpoints/best.safetensors --data photos --minutes 60 --name x4
  Small patches first, in half precision on a GPU:
    trainer train superres --sizes 24,48 --precision bf16 --device cuda:0 --data photos --steps 20000
  Can the network learn one batch by heart? If not, something is broken:
    trainer train superres --overfit --steps 300 --every 100";

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct Superres {
    #[command(flatten)]
    pub settings: Settings,
    #[command(flatten)]
    pub how: How,
}

/// Everything that decides the result.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Folders of pictures (or single ones), searched recursively. None: pictures are made up.
    #[arg(long, value_name = "DIR")]
    data: Vec<PathBuf>,
    /// Pictures to validate on. None: every 20th of the data is kept back.
    #[arg(long, value_name = "DIR")]
    val: Vec<PathBuf>,
    /// Upscaling factor.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=4))]
    scale: u8,
    /// Which network.
    #[arg(long, value_enum, default_value = "fast")]
    size: Size,
    /// Feature channels, instead of the size's own.
    #[arg(long)]
    channels: Option<usize>,
    /// Residual blocks, instead of the size's own.
    #[arg(long)]
    blocks: Option<usize>,
    /// Pairs of patches a batch.
    #[arg(long, default_value_t = 16)]
    batch: u32,
    /// Sides of the small patches, in pixels. Several: each for an equal part of the run, in batches of as many pixels.
    #[arg(long, value_delimiter = ',', default_value = "32")]
    sizes: Vec<u32>,
    #[command(flatten)]
    training: TrainingArgs,
}

impl Settings {
    /// The configuration.
    ///
    /// # Errors
    /// When a value makes no sense, or a file of phases cannot be read.
    pub fn config(self) -> Result<Config> {
        let config = Config {
            data: self.data,
            validation: self.val,
            batch: self.batch,
            sizes: self.sizes,
            network: self.size.config(self.scale.into(), self.channels, self.blocks),
            training: self.training.training(RATE)?,
        };
        config.validate()?;
        Ok(config)
    }

    /// What the run is called where no name is given.
    pub fn name(&self) -> String {
        format!("superres-x{}-{:?}", self.scale, self.size).to_lowercase()
    }
}
