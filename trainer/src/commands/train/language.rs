use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use shared::models::CellKind;

use super::How;
use super::network::CellName;
use super::settings::TrainingArgs;
use crate::translate::language::{Config, Size};

/// The learning rate where none is given.
const RATE: f64 = 1e-3;
/// Parts of words in a sentence, its end included.
const LENGTH: usize = 128;

const EXAMPLES: &str = "Examples:
  One network for both languages, and translation that starts from it:
    trainer train language --data multi30k --lang de,en --minutes 20
    trainer train translate --network seq2seq --src de --tgt en --data multi30k \\
      --encoder-from runs/language-de-en/checkpoints/best.safetensors \\
      --decoder-from runs/language-de-en/checkpoints/best.safetensors";

/// Trains a recurrent network to continue sentences of one language or several.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct Language {
    #[command(flatten)]
    pub settings: Settings,
    #[command(flatten)]
    pub how: How,
}

/// Everything that decides the result.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// The languages, by their codes: de, en, fr, ..
    #[arg(long, value_delimiter = ',', value_name = "CODES", required = true)]
    lang: Vec<String>,
    /// Folders, tables (.tsv, .txt) and archives (.zip) with sentences of the languages; what pairs them is not used.
    #[arg(long, value_name = "PATH", required = true)]
    data: Vec<PathBuf>,
    /// Languages of the columns of tables [default: the first column; in an archive English first].
    #[arg(long, value_delimiter = ',', value_name = "CODES")]
    columns: Vec<String>,
    /// Parts of words in the table.
    #[arg(long, default_value_t = 8000)]
    vocabulary: u32,
    /// What it is made of.
    #[arg(long, value_enum, default_value = "gru")]
    cell: CellName,
    /// Features of a word.
    #[arg(long, default_value_t = 256)]
    features: usize,
    /// Layers; as many as the encoder and the decoder have that are to start from it.
    #[arg(long, default_value_t = 2)]
    depth: usize,
    /// Words a batch, padding counted.
    #[arg(long, default_value_t = 4096)]
    batch: u32,
    /// Part of the features that is dropped.
    #[arg(long, default_value_t = 0.1)]
    dropout: f64,
    #[command(flatten)]
    training: TrainingArgs,
}

impl Settings {
    /// What the run is called where no name is given.
    pub fn name(&self) -> String {
        format!("language-{}", self.lang.join("-"))
    }

    /// The configuration.
    ///
    /// # Errors
    /// When a value makes no sense.
    pub fn config(self) -> Result<Config> {
        let config = Config {
            data: self.data,
            languages: self.lang,
            columns: self.columns,
            batch: self.batch,
            vocabulary: self.vocabulary,
            dropout: self.dropout,
            network: Size { cell: CellKind::from(self.cell), features: self.features, layers: self.depth, length: LENGTH },
            training: self.training.training(RATE)?,
        };
        config.validate()?;
        Ok(config)
    }
}
