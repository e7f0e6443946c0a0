//! The network of a run, as `config.toml` holds it; the table of words comes with the tokenizer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::Tensor;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use shared::checkpoint::Checkpoint;
use shared::models::{CellKind, Config, LanguageModel, Seq2SeqConfig, TransformerConfig, TranslationConfig};
use tracing::info;

use crate::training::within;
use crate::variables::Variables;

/// Which network, and what only that one is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Network {
    /// Attention only.
    Transformer(Size),
    /// Recurrent.
    Seq2Seq(Recurrent),
}

/// A network that says which `cell` it is made of is recurrent; files from before there were any say nothing.
impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let table = toml::Table::deserialize(deserializer)?;
        let read = match table.contains_key("cell") {
            true => table.try_into().map(Self::Seq2Seq),
            false => table.try_into().map(Self::Transformer),
        };
        read.map_err(D::Error::custom)
    }
}

/// The size of a Transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Features of a word.
    pub features: usize,
    /// Heads of an attention.
    pub heads: usize,
    /// Features in the middle of a feed-forward part.
    pub hidden: usize,
    /// Layers of the encoder.
    pub encoder: usize,
    /// Layers of the decoder.
    pub decoder: usize,
    /// Parts of words in a sentence, its end included.
    pub length: usize,
}

impl Size {
    /// For sentences: 5.7 million parameters with a table of 8,000, below 12 MB in f16.
    pub const SENTENCES: Self = Self { features: 256, heads: 4, hidden: 512, encoder: 4, decoder: 2, length: 128 };
    /// For dates.
    pub const DATES: Self = Self { features: 64, heads: 4, hidden: 128, encoder: 2, decoder: 2, length: 64 };
}

/// A recurrent network and how it is helped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recurrent {
    /// What it is made of.
    pub cell: CellKind,
    /// Features of a word and of every state.
    pub features: usize,
    /// Layers of the encoder.
    pub encoder: usize,
    /// Layers of the decoder.
    pub decoder: usize,
    /// Whether the encoder reads from both ends.
    pub bidirectional: bool,
    /// Whether the decoder looks at the words of the source.
    pub attention: bool,
    /// Parts of words in a sentence, its end included.
    pub length: usize,
    /// The probability with which the decoder gets the right word before, at the beginning of the run and at its end; without it,
    /// it always gets its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher_forcing: Option<[f64; 2]>,
    /// A language model that the encoder starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder_from: Option<PathBuf>,
    /// A language model that the decoder starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_from: Option<PathBuf>,
}

impl Network {
    /// With a table of so many words.
    pub fn config(&self, vocabulary: usize) -> TranslationConfig {
        match *self {
            Self::Transformer(Size { features, heads, hidden, encoder, decoder, length }) => {
                let config = TransformerConfig { vocabulary, features, heads, hidden, encoder, decoder, length };
                TranslationConfig::Transformer(config)
            }
            Self::Seq2Seq(Recurrent { cell, features, encoder, decoder, bidirectional, attention, length, .. }) => {
                let config = Seq2SeqConfig { vocabulary, features, cell, encoder, decoder, bidirectional, attention, length };
                TranslationConfig::Seq2Seq(config)
            }
        }
    }

    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// As said.
    pub fn validate(&self, vocabulary: usize) -> Result<()> {
        self.teacher_forcing().into_iter().try_for_each(|forced| within("teacher forcing", forced, 0.0, 1.0))?;
        Ok(self.config(vocabulary).validate()?)
    }

    /// The probability of the right word before, at the beginning of the run and at its end. A Transformer always gets it.
    pub fn teacher_forcing(&self) -> [f64; 2] {
        match self {
            Self::Transformer(_) => [1.0; 2],
            Self::Seq2Seq(recurrent) => recurrent.teacher_forcing.unwrap_or_default(),
        }
    }

    /// The language models to start from: of the encoder and of the decoder.
    pub fn language_models(&self) -> [Option<&Path>; 2] {
        match self {
            Self::Transformer(_) => [None; 2],
            Self::Seq2Seq(recurrent) => [&recurrent.encoder_from, &recurrent.decoder_from].map(|from| from.as_deref()),
        }
    }

    /// Copies what language models know. Where both have a table of words, that of the decoder counts: it is the output, too.
    ///
    /// # Errors
    /// When a file cannot be read, is none of a language model, or fits nowhere.
    pub fn start(&self, variables: &Variables) -> Result<()> {
        let places: [fn(&str) -> Option<String>; 2] = [LanguageModel::<Tensor>::in_encoder, LanguageModel::<Tensor>::in_decoder];
        for (from, place) in self.language_models().into_iter().zip(places) {
            let Some(from) = from else { continue };
            let Checkpoint { metadata, tensors } = Checkpoint::read(from)?;
            let Config::Language(_) = metadata.config else { bail!("{}: no language model", from.display()) };
            let all = tensors.len();
            let placed: BTreeMap<_, _> = tensors.into_iter().filter_map(|(name, t)| Some((place(&name)?, t))).collect();
            let loaded = variables.load(&placed)?;
            ensure!(loaded > 0, "{}: none of its tensors fits this network", from.display());
            info!("{loaded} of the {all} tensors of {}", from.display());
        }
        Ok(())
    }

    /// Parts of words in a sentence, its end included.
    pub fn length(&self) -> usize {
        match self {
            Self::Transformer(size) => size.length,
            Self::Seq2Seq(recurrent) => recurrent.length,
        }
    }
}

/// The text of a checkpoint.
///
/// # Errors
/// When it cannot be read or has none.
pub fn text(from: &Path) -> Result<shared::checkpoint::Text> {
    let text = Checkpoint::read(from)?.metadata.text;
    text.with_context(|| format!("{}: it has no tokenizer", from.display()))
}
