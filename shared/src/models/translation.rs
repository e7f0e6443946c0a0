//! Any network from sentence to sentence, as named in a checkpoint.

use serde::{Deserialize, Serialize};

use super::{Seq2Seq, Seq2SeqConfig, Transformer, TransformerConfig};
use crate::{Result, Scope, Tensor};

/// Which network, how large. Stored in checkpoints as JSON: `{"model":"transformer","vocabulary":6000,..}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case")]
pub enum TranslationConfig {
    /// Attention only.
    Transformer(TransformerConfig),
    /// Recurrent.
    #[serde(rename = "seq2seq")]
    Seq2Seq(Seq2SeqConfig),
}

impl TranslationConfig {
    /// Refuses sizes that no sane network has, so that a hostile checkpoint cannot ask for all memory.
    ///
    /// # Errors
    /// [`crate::Error::Checkpoint`] naming the value.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Transformer(c) => c.validate(),
            Self::Seq2Seq(c) => c.validate(),
        }
    }

    /// Rows of the table of words.
    pub fn vocabulary(&self) -> usize {
        match self {
            Self::Transformer(c) => c.vocabulary,
            Self::Seq2Seq(c) => c.vocabulary,
        }
    }

    /// Features of a word.
    pub fn features(&self) -> usize {
        match self {
            Self::Transformer(c) => c.features,
            Self::Seq2Seq(c) => c.features,
        }
    }

    /// Words that a sentence may have, its end included.
    pub fn length(&self) -> usize {
        match self {
            Self::Transformer(c) => c.length,
            Self::Seq2Seq(c) => c.length,
        }
    }
}

/// A network from sentence to sentence.
pub enum TranslationNetwork<T> {
    /// See [`Transformer`].
    Transformer(Transformer<T>),
    /// See [`Seq2Seq`].
    Seq2Seq(Seq2Seq<T>),
}

impl<T: Tensor> TranslationNetwork<T> {
    /// The network that `config` names, with parameters from `scope`.
    pub fn new(config: &TranslationConfig, scope: &Scope<T>) -> Result<Self> {
        Ok(match config {
            TranslationConfig::Transformer(c) => Self::Transformer(Transformer::new(c, scope)?),
            TranslationConfig::Seq2Seq(c) => Self::Seq2Seq(Seq2Seq::new(c, scope)?),
        })
    }
}
