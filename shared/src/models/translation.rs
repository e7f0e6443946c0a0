//! Any network from sentence to sentence, as named in a checkpoint.

use serde::{Deserialize, Serialize};

use super::TransformerConfig;
use crate::Result;

/// Which network, how large. Stored in checkpoints as JSON: `{"model":"transformer","vocabulary":6000,..}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "kebab-case")]
pub enum TranslationConfig {
    /// Attention only.
    Transformer(TransformerConfig),
}

impl TranslationConfig {
    /// Refuses sizes that no sane network has, so that a hostile checkpoint cannot ask for all memory.
    ///
    /// # Errors
    /// [`crate::Error::Checkpoint`] naming the value.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Transformer(c) => c.validate(),
        }
    }

    /// Rows of the table of words.
    pub fn vocabulary(&self) -> usize {
        match self {
            Self::Transformer(c) => c.vocabulary,
        }
    }

    /// Words that a sentence may have, its end included.
    pub fn length(&self) -> usize {
        match self {
            Self::Transformer(c) => c.length,
        }
    }
}
