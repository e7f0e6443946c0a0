//! A recurrent language model (Mikolov et al. 2010): the next word from those before it. What it learns of a language without
//! translations, a [`super::Seq2Seq`] of the same size can start from (Ramachandran et al. 2017, arXiv:1611.02683).

use serde::{Deserialize, Serialize};

use super::recurrent::{CellKind, Stack, masked};
use super::seq2seq::limits;
use crate::layers::{Dropout, Linear};
use crate::{Error, Init, Result, Scope, Tensor};

/// The size of a [`LanguageModel`]. Stored in checkpoints as JSON: `{"model":"recurrent-language","vocabulary":6000,..}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "model", rename = "recurrent-language")]
pub struct LanguageConfig {
    /// Rows of the table of words.
    pub vocabulary: usize,
    /// Features of a word.
    pub features: usize,
    /// What it is made of.
    pub cell: CellKind,
    /// Layers.
    pub layers: usize,
    /// Words that a sentence may have, its end included.
    pub length: usize,
}

impl LanguageConfig {
    /// The name under `model` in a checkpoint.
    pub const NAME: &str = "recurrent-language";

    /// Refuses sizes that no sane network has.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] naming the value.
    pub fn validate(&self) -> Result<()> {
        let Self { vocabulary, features, layers, length, .. } = *self;
        limits(vocabulary, features, &[("layers", layers)], length)
    }
}

/// Rates next words.
pub struct LanguageModel<T> {
    /// `[V, F]`.
    words: T,
    layers: Stack<T>,
    output: Linear<T>,
}

impl<T: Tensor> LanguageModel<T> {
    /// A network of this size.
    pub fn new(config: &LanguageConfig, scope: &Scope<T>) -> Result<Self> {
        config.validate()?;
        let &LanguageConfig { vocabulary, features, cell, layers, .. } = config;
        Ok(Self {
            words: scope.get("words", &[vocabulary, features], Init::Kaiming { gain: 1.0 })?,
            layers: Stack::new(cell, features, layers, &scope.sub("layers"))?,
            output: Linear::new(features, features, &scope.sub("output"))?,
        })
    }

    /// Logits `[B, T, V]` of every next word, given those before it, `[B, 1]` each.
    pub fn forward(&self, words: &[T], dropout: &dyn Dropout<T>) -> Result<T> {
        let mut carried = None;
        let mut outputs = Vec::with_capacity(words.len());
        for words in words {
            let x = embed(&self.words, words)?;
            let (before, masks, output_mask) = match carried {
                Some(carried) => carried,
                None => (self.layers.start(&x)?, self.layers.masks(&x, dropout)?, dropout.mask(&x)?),
            };
            let (y, after) = self.layers.forward(&x, &before, &masks)?;
            outputs.push(masked(&y, output_mask.as_ref())?);
            carried = Some((after, masks, output_mask));
        }
        self.output.forward(&joined(&outputs)?)?.linear(&self.words, None)
    }

    /// Where a tensor of this network belongs in the encoder of a [`super::Seq2Seq`].
    pub fn in_encoder(name: &str) -> Option<String> {
        match name.strip_prefix("layers.") {
            Some(rest) => rest.split_once('.').map(|(layer, rest)| format!("encoder.{layer}.forward.{rest}")),
            None => (name == "words").then(|| name.to_owned()),
        }
    }

    /// Where a tensor of this network belongs in the decoder of a [`super::Seq2Seq`].
    pub fn in_decoder(name: &str) -> Option<String> {
        Some(name.strip_prefix("layers.").map_or_else(|| name.to_owned(), |rest| format!("decoder.{rest}")))
    }
}

/// Rows of a table of words, of variance 1.
pub fn embed<T: Tensor>(table: &T, words: &T) -> Result<T> {
    let features = table.dims().last().copied().unwrap_or(1);
    table.take(words)?.affine((features as f32).sqrt(), 0.0)
}

/// Steps as one sequence.
pub fn joined<T: Tensor>(steps: &[T]) -> Result<T> {
    match steps {
        [] => Err(Error::shape("cat_time", "no words")),
        [one] => Ok(one.clone()),
        steps => T::cat_time(&steps.iter().collect::<Vec<_>>()),
    }
}
