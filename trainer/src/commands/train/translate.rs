use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::How;
use super::network::{Choice, Sizes};
use super::settings::TrainingArgs;
use crate::translate::config::Config;
use crate::translate::dates;
use crate::translate::network::Size;

/// The learning rate where none is given.
const RATE: f64 = 1e-3;

const EXAMPLES: &str = "Examples:
  German to English, from a folder of files (train.de, train.en, val.de, val.en; .gz too) and an archive of Tatoeba's:
    trainer train translate --src de --tgt en --data multi30k --data deu-eng.zip --minutes 120
  From a table of two columns, separated by tabs:
    trainer train translate --src de --tgt en --data pairs.tsv
  The other direction, starting from what another network knows:
    trainer train translate --src en --tgt de --data multi30k --from runs/translate-de-en/checkpoints/best.safetensors
  A recurrent network with attention, given the right words at first and its own at the end:
    trainer train translate --src de --tgt en --data multi30k --network seq2seq --bidirectional --attention --teacher-forcing 1..0
Stop it with Ctrl-C and go on later with the same command and --resume.";

/// Trains a Transformer or a recurrent network on pairs of sentences.
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
    network: Choice,
    #[command(flatten)]
    sizes: Sizes,
    #[command(flatten)]
    training: TrainingArgs,
}

const DATES_EXAMPLES: &str = "Examples:
  Ten minutes, no data needed:
    trainer train dates
  Then:
    trainer run translate --weights runs/dates/checkpoints/best.safetensors \"le 3 mai 2021\"";

/// Trains a network that reads dates in many forms and languages, and writes them as ISO 8601.
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
    network: Choice,
    #[command(flatten)]
    sizes: Sizes,
    #[command(flatten)]
    training: TrainingArgs,
}

/// What a task takes where nothing is given.
pub(in crate::commands) struct Usual {
    vocabulary: u32,
    /// Dropout and label smoothing.
    regular: f64,
    size: Size,
}

pub(in crate::commands) const SENTENCES: Usual = Usual { vocabulary: 8000, regular: 0.1, size: Size::SENTENCES };
const DATES: Usual = Usual { vocabulary: 400, regular: 0.0, size: Size::DATES };

/// The configuration of a run from `source` to `target` on `data`.
pub(in crate::commands) fn config(
    [source, target]: [String; 2],
    data: Vec<PathBuf>,
    columns: Vec<String>,
    (choice, sizes): (Choice, Sizes),
    training: TrainingArgs,
    usual: &Usual,
) -> Result<Config> {
    let config = Config {
        data,
        source,
        target,
        columns,
        batch: sizes.batch,
        vocabulary: sizes.vocabulary.unwrap_or(usual.vocabulary),
        dropout: sizes.dropout.unwrap_or(usual.regular),
        smoothing: sizes.smoothing.unwrap_or(usual.regular),
        network: sizes.network(choice, usual.size)?,
        training: training.training(RATE)?,
    };
    config.validate()?;
    Ok(config)
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
        config([self.src, self.tgt], self.data, self.columns, (self.network, self.sizes), self.training, &SENTENCES)
    }
}

impl DatesSettings {
    /// The configuration.
    ///
    /// # Errors
    /// When a value makes no sense.
    pub fn config(self) -> Result<Config> {
        let languages = [dates::SOURCE, dates::TARGET].map(str::to_owned);
        config(languages, Vec::new(), Vec::new(), (self.network, self.sizes), self.training, &DATES)
    }
}
