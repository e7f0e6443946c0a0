use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::How;
use super::objective::ObjectiveArgs;
use super::settings::TrainingArgs;
use crate::style::adain::config::Config;

/// The learning rate where none is given.
const RATE: f64 = 1e-3;

/// The weight of the style where none is given.
const STYLE_WEIGHT: f64 = 10.0;

const EXAMPLES: &str = "Examples:
  An hour on folders of photos and of paintings, to runs/adain; photos lend their style too:
    trainer train adain --judge vgg.safetensors --data photos --style paintings --style photos --gram stats --minutes 60
  What came of it, with a picture of one's own as style:
    trainer run style --weights runs/adain/checkpoints/best.safetensors --take mosaic.jpg photo.jpg -o result.png
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
    /// A picture or a folder of pictures to take styles from; may be given again, and each is drawn as often.
    #[arg(long, value_name = "PATH", required = true)]
    style: Vec<PathBuf>,
    /// Styles to validate on, which should not be among the others. None: the first picture of every --style.
    #[arg(long, value_name = "PATH")]
    val_style: Vec<PathBuf>,
    /// The network that judges, and that the encoder learns to see from: VGG-16 or VGG-19, a safetensors file.
    #[arg(long, value_name = "FILE")]
    judge: PathBuf,
    /// Channels at full resolution.
    #[arg(long, default_value_t = 32)]
    channels: usize,
    /// Residual blocks of the decoder.
    #[arg(long, default_value_t = 3)]
    blocks: usize,
    /// Pairs of crops a batch.
    #[arg(long, default_value_t = 4)]
    batch: usize,
    /// Side of a crop, a multiple of 4.
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// Weight of seeing as the judge does.
    #[arg(long, default_value_t = 1.0)]
    seeing: f64,
    /// Layers whose statistics are style [default: those that suit the network].
    #[arg(long, value_delimiter = ',')]
    style_layers: Vec<String>,
    #[command(flatten)]
    objective: ObjectiveArgs,
    #[command(flatten)]
    training: TrainingArgs,
}

impl Settings {
    /// The configuration.
    ///
    /// # Errors
    /// When a value makes no sense, or a file of phases cannot be read.
    pub fn config(self) -> Result<Config> {
        let mut objective = self.objective.objective(self.style_layers, STYLE_WEIGHT);
        if objective.content_layer.is_empty() {
            "relu3_1".clone_into(&mut objective.content_layer);
        }
        let config = Config {
            data: self.data,
            validation: self.val,
            styles: self.style,
            validation_styles: self.val_style,
            judge: self.judge,
            channels: self.channels,
            blocks: self.blocks,
            batch: self.batch,
            size: self.size,
            seeing: self.seeing,
            objective,
            training: self.training.training(RATE)?,
        };
        config.validate()?;
        Ok(config)
    }
}
