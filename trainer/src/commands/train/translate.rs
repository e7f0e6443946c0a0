use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::How;
use super::settings::TrainingArgs;
use crate::translate::config::{Config, Size};
use crate::translate::dates;

/// The learning rate where none is given.
const RATE: f64 = 1e-3;

const EXAMPLES: &str = "Examples:
  German to English, from a folder of files (train.de, train.en, val.de, val.en; .gz too) and an archive of Tatoeba's:
    trainer train translate --src de --tgt en --data multi30k --data deu-eng.zip --minutes 120
  From a table of two columns, separated by tabs:
    trainer train translate --src de --tgt en --data pairs.tsv
  The other direction, starting from what another network knows:
    trainer train translate --src en --tgt de --data multi30k --from runs/translate-de-en/checkpoints/best.safetensors
Stop it with Ctrl-C and go on later with the same command and --resume.";

/// Trains a Transformer on pairs of sentences.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct Translate {
    #[command(flatten)]
    pub settings: Settings,
    #[command(flatten)]
    pub how: How,
}

/// Everything that decides the result.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// The language to read, by its code: de, en, fr, ..
    #[arg(long, value_name = "CODE")]
    src: String,
    /// The language to write.
    #[arg(long, value_name = "CODE")]
    tgt: String,
    /// Folders, tables (.tsv, .txt) and archives (.zip) of pairs; one that is given twice counts twice.
    #[arg(long, value_name = "PATH", required = true)]
    data: Vec<PathBuf>,
    /// Languages of the columns of tables [default: those of --src and --tgt; in an archive English first].
    #[arg(long, value_delimiter = ',', value_name = "CODES")]
    columns: Vec<String>,
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    training: TrainingArgs,
}

const DATES_EXAMPLES: &str = "Examples:
  Ten minutes, no data needed:
    trainer train dates
  Then:
    trainer run translate --weights runs/dates/checkpoints/best.safetensors \"le 3 mai 2021\"";

/// Trains a Transformer that reads dates in many forms and languages, and writes them as ISO 8601.
#[derive(Debug, Clone, Args)]
#[command(after_help = DATES_EXAMPLES)]
pub struct Dates {
    #[command(flatten)]
    pub settings: DatesSettings,
    #[command(flatten)]
    pub how: How,
}

/// Everything that decides the result.
#[derive(Debug, Clone, Args)]
pub struct DatesSettings {
    #[command(flatten)]
    network: Network,
    #[command(flatten)]
    training: TrainingArgs,
}

/// The network's size and what keeps it from learning by heart; without a value, what suits the task.
#[derive(Debug, Clone, Args)]
struct Network {
    /// Parts of words in the table [default: 8000; 400 for dates].
    #[arg(long)]
    vocabulary: Option<u32>,
    /// Features of a word [default: 256; 64].
    #[arg(long)]
    features: Option<usize>,
    /// Heads of an attention [default: 4].
    #[arg(long)]
    heads: Option<usize>,
    /// Features in the middle of a feed-forward part [default: 512; 128].
    #[arg(long)]
    hidden: Option<usize>,
    /// Layers of the encoder [default: 4; 2].
    #[arg(long)]
    encoder: Option<usize>,
    /// Layers of the decoder [default: 2].
    #[arg(long)]
    decoder: Option<usize>,
    /// Words a batch, both languages and padding counted.
    #[arg(long, default_value_t = 4096)]
    batch: u32,
    /// Part of the features that is dropped [default: 0.1; 0].
    #[arg(long)]
    dropout: Option<f64>,
    /// Label smoothing: part of the loss that wants all words equally likely [default: 0.1; 0].
    #[arg(long)]
    smoothing: Option<f64>,
}

/// What a task takes where nothing is given.
struct Usual {
    vocabulary: u32,
    /// Dropout and label smoothing.
    regular: f64,
    size: Size,
}

const SENTENCES: Usual = Usual { vocabulary: 8000, regular: 0.1, size: Size::SENTENCES };
const DATES: Usual = Usual { vocabulary: 400, regular: 0.0, size: Size::DATES };

impl Network {
    /// The configuration of a run from `source` to `target` on `data`.
    fn config(
        self,
        [source, target]: [String; 2],
        data: Vec<PathBuf>,
        columns: Vec<String>,
        training: TrainingArgs,
        usual: &Usual,
    ) -> Result<Config> {
        let config = Config {
            data,
            source,
            target,
            columns,
            batch: self.batch,
            vocabulary: self.vocabulary.unwrap_or(usual.vocabulary),
            dropout: self.dropout.unwrap_or(usual.regular),
            smoothing: self.smoothing.unwrap_or(usual.regular),
            network: Size {
                features: self.features.unwrap_or(usual.size.features),
                heads: self.heads.unwrap_or(usual.size.heads),
                hidden: self.hidden.unwrap_or(usual.size.hidden),
                encoder: self.encoder.unwrap_or(usual.size.encoder),
                decoder: self.decoder.unwrap_or(usual.size.decoder),
                length: usual.size.length,
            },
            training: training.training(RATE)?,
        };
        config.validate()?;
        Ok(config)
    }
}

impl Settings {
    /// What the run is called where no name is given.
    pub fn name(&self) -> String {
        format!("translate-{}-{}", self.src, self.tgt)
    }

    /// The configuration.
    ///
    /// # Errors
    /// When a value makes no sense.
    pub fn config(self) -> Result<Config> {
        self.network.config([self.src, self.tgt], self.data, self.columns, self.training, &SENTENCES)
    }
}

impl DatesSettings {
    /// The configuration.
    ///
    /// # Errors
    /// When a value makes no sense.
    pub fn config(self) -> Result<Config> {
        let languages = [dates::SOURCE, dates::TARGET].map(str::to_owned);
        self.network.config(languages, Vec::new(), Vec::new(), self.training, &DATES)
    }
}
