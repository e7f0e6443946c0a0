use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::How;
use super::objective::ObjectiveArgs;
use super::settings::TrainingArgs;
use crate::style::config::{Config, StylePicture};

/// The learning rate where none is given.
const RATE: f64 = 2e-3;

/// The weight of the style where none is given.
const STYLE_WEIGHT: f64 = 10.0;

const EXAMPLES: &str = "Examples:
  Two styles, an hour on folders of photos, to runs/style:
    trainer train style --judge vgg.safetensors --style wave=great_wave.jpg --style night.jpg --data photos --minutes 60
  One more style for a network that is there; only the new style's parameters are learnt:
    trainer train style --judge vgg.safetensors --add-to web/models/style.safetensors --style scream.jpg --data photos
The networks that judge come by `trainer data perceptual`.";

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct Train {
    #[command(flatten)]
    pub settings: Settings,
    #[command(flatten)]
    pub how: How,
}

/// Everything that decides the result.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Folders of photos to restyle, searched recursively. None: pictures are made up.
    #[arg(long, value_name = "DIR")]
    data: Vec<PathBuf>,
    /// Photos to validate on, the first four of them. None: the last four of the data are kept back.
    #[arg(long, value_name = "DIR")]
    val: Vec<PathBuf>,
    /// The network that judges: SqueezeNet 1.1, VGG-16 or VGG-19 in torchvision's names, a safetensors file.
    #[arg(long, value_name = "FILE")]
    judge: PathBuf,
    /// A style and its name; may be given again. Without a name it is called as the file is.
    #[arg(long, value_name = "NAME=FILE", required = true)]
    style: Vec<StylePicture>,
    /// Add the styles to this network, and learn nothing but their own parameters.
    #[arg(long, value_name = "FILE", visible_alias = "add-style")]
    add_to: Option<PathBuf>,
    /// Channels at full resolution; 32 in the paper, but with instance norm half of them will do.
    #[arg(long, default_value_t = 16)]
    channels: usize,
    /// Residual blocks.
    #[arg(long, default_value_t = 5)]
    blocks: usize,
    /// Crops a batch.
    #[arg(long, default_value_t = 4)]
    batch: usize,
    /// Side of a crop, a multiple of 4.
    #[arg(long, default_value_t = 160)]
    size: usize,
    /// Shorter side of the style pictures.
    #[arg(long, default_value_t = 320)]
    style_size: usize,
    /// Layers whose statistics are style [default: those that suit the network].
    #[arg(long, value_delimiter = ',')]
    style_layers: Vec<String>,
    #[command(flatten)]
    objective: ObjectiveArgs,
    /// Weight of what the result makes of a camera's noise, against flicker; 1 is a result that changes as much as the photo.
    #[arg(long, default_value_t = 0.0)]
    stability: f64,
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
            judge: self.judge,
            channels: self.channels,
            blocks: self.blocks,
            batch: self.batch,
            size: self.size,
            style_size: self.style_size,
            add_to: self.add_to,
            objective: self.objective.objective(self.style_layers, STYLE_WEIGHT),
            stability: self.stability,
            styles: self.style,
            training: self.training.training(RATE)?,
        };
        config.validate()?;
        Ok(config)
    }
}
