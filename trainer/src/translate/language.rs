//! Next words of one language or several, as something to learn; what is learnt is a start for translation.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};
use indicatif::ProgressBar;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use shared::Scope;
use shared::checkpoint::{Checkpoint, Metadata, Text};
use shared::models::{CellKind, LanguageConfig, LanguageModel};
use shared::text::Tokenizer;
use tracing::info;

use super::batches::{Batch, Batches, Encoded};
use super::config::tokenizer_of;
use super::corpus;
use super::dropout::Noise;
use super::loss::cross_entropy;
use super::network::Network;
use crate::learner::{Run, Task, Validation};
use crate::training::{Training, within};
use crate::variables::Variables;

/// The whole configuration of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folders, tables and archives that hold sentences of the languages.
    pub data: Vec<PathBuf>,
    /// The languages; one network learns all of them.
    pub languages: Vec<String>,
    /// The languages of a table's columns, where they are not as usual.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Words a batch, padding included.
    pub batch: u32,
    /// Parts of words in the table.
    pub vocabulary: u32,
    /// Part of the features that is dropped.
    pub dropout: f64,
    /// The network.
    pub network: Size,
    /// How it is learnt.
    pub training: Training,
}

/// The size of a language model; the table of words comes with the tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// What it is made of.
    pub cell: CellKind,
    /// Features of a word and of every state.
    pub features: usize,
    /// Layers.
    pub layers: usize,
    /// Parts of words in a sentence, its end included.
    pub length: usize,
}

impl Size {
    /// So that a network for sentences can start from it; it has as many layers as the deeper of the two sides.
    pub fn of(network: &Network, cell: CellKind) -> Self {
        let (features, layers) = match network {
            Network::Transformer(size) => (size.features, size.encoder.max(size.decoder)),
            Network::Seq2Seq(recurrent) => (recurrent.features, recurrent.encoder.max(recurrent.decoder)),
        };
        Self { cell, features, layers, length: network.length() }
    }

    fn config(self, vocabulary: usize) -> LanguageConfig {
        let Self { cell, features, layers, length } = self;
        LanguageConfig { vocabulary, features, cell, layers, length }
    }
}

impl Config {
    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// As said.
    pub fn validate(&self) -> Result<()> {
        self.training.validate()?;
        within("batch", self.batch.into(), 16.0, 1e6)?;
        within("dropout", self.dropout, 0.0, 0.9)?;
        within("vocabulary", self.vocabulary.into(), 300.0, 1e6)?;
        ensure!(!self.languages.is_empty(), "no language is given");
        Ok(self.network.config(self.vocabulary as usize).validate()?)
    }

    /// Reads the data and builds what is learnt, with the run at its beginning. `tokenizer` is that of a run to go on with;
    /// without it, it is learnt.
    ///
    /// # Errors
    /// When there is no data.
    pub fn prepare(
        &self,
        device: Device,
        tokenizer: Option<Tokenizer>,
        bar: impl Fn(&str) -> ProgressBar,
    ) -> Result<(Predicting, Run)> {
        let (train, valid) = self.sentences()?;
        let texts = || train.iter().map(String::as_str).collect();
        let tokenizer = tokenizer.map_or_else(|| tokenizer_of(texts(), self.vocabulary, &bar), Ok)?;
        let encode = |sentences: &[String]| -> Result<Vec<Encoded>> {
            let fits = |words: &Vec<u32>| !words.is_empty() && words.len() < self.network.length;
            let encoded = sentences.par_iter().map(|sentence| tokenizer.encode(sentence));
            let encoded = encoded.collect::<shared::Result<Vec<_>>>()?;
            Ok(encoded.into_iter().filter(fits).map(|words| (Vec::new(), words)).collect())
        };
        let (train, valid) = (encode(&train)?, encode(&valid)?);
        ensure!(!train.is_empty(), "no sentence is short enough for {} parts of words", self.network.length);

        let network = self.network.config(tokenizer.vocabulary());
        let seed = self.training.seed;
        let variables = Variables::new(&device, seed);
        LanguageModel::new(&network, &Scope::root(&variables))?;
        let mut run = self.training.begin(&variables, device)?;
        let batches = Batches::new(train, self.batch as usize, seed);
        info!("{} sentences in {} batches, {} to validate", batches.pairs(), batches.len(), valid.len());
        let languages = self.languages.join(",");
        let facts = [("data", format!("{} sentences of {languages}", batches.pairs())), ("dropout", self.dropout.to_string())];
        run.provenance.extend(facts.map(|(fact, value)| (fact.to_owned(), value)));
        let text = Text { source: languages.clone(), target: languages, tokenizer: tokenizer.json().to_owned() };
        let metadata = Metadata { text: Some(text), ..Metadata::new(network) };
        let valid = Batches::new(valid, self.batch as usize, seed);
        Ok((Predicting { metadata, network, dropout: self.dropout as f32, seed, batches, valid }, run))
    }

    /// Sentences to learn from, and to validate on.
    fn sentences(&self) -> Result<(Vec<String>, Vec<String>)> {
        let columns = (!self.columns.is_empty()).then_some(&self.columns[..]);
        let (mut train, mut valid) = (Vec::new(), Vec::new());
        for path in &self.data {
            for language in &self.languages {
                let corpus = corpus::read(path, language, language, columns)?;
                train.extend(corpus.train.into_iter().map(|pair| pair.source));
                valid.extend(corpus.valid.into_iter().map(|pair| pair.source));
            }
        }
        ensure!(!train.is_empty(), "nothing to learn from: there is no part called `train` in the data");
        ensure!(!valid.is_empty(), "nothing to validate on: there is no part called `val` in the data");
        Ok((train, valid))
    }
}

/// Learns to continue sentences, word by word.
pub struct Predicting {
    /// What checkpoints say.
    pub metadata: Metadata,
    network: LanguageConfig,
    dropout: f32,
    seed: u64,
    batches: Batches,
    valid: Batches,
}

impl Predicting {
    /// Logits of all next words, one row a word.
    fn logits(&self, model: &LanguageModel<Tensor>, batch: &Batch, dropout: f32, device: &Device) -> Result<Tensor> {
        let words = batch.steps(&batch.before, batch.targets, device)?;
        let logits = model.forward(&words, &Noise::new(dropout, self.seed, batch.step))?;
        Ok(logits.flatten_to(1)?.to_dtype(DType::F32)?)
    }
}

impl Task for Predicting {
    type Model = LanguageModel<Tensor>;
    type Batch = Batch;

    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn model(&self, scope: &Scope<Tensor>) -> shared::Result<Self::Model> {
        LanguageModel::new(&self.network, scope)
    }

    fn batch(&self, step: u64, _: f64) -> Batch {
        Batch::new(step, &self.batches.get(step))
    }

    fn describe(&self, step: u64) -> String {
        format!("number {step} of seed {}", self.seed)
    }

    fn loss(&self, model: &Self::Model, batch: Batch, device: &Device, _: DType) -> Result<Tensor> {
        Ok(cross_entropy(&self.logits(model, &batch, self.dropout, device)?, &batch.after, 0.0)?)
    }

    fn validate(&self, weights: &Checkpoint, device: &Device) -> Result<Validation> {
        let source = shared::engine::candle::Constants { tensors: &weights.tensors, device };
        let model = LanguageModel::new(&self.network, &Scope::root(&source))?;
        let (mut sum, mut right, mut words) = (0.0, 0.0, 0.0);
        for step in 0..self.valid.len() as u64 {
            let batch = Batch::new(step, &self.valid.get(step));
            let logits = self.logits(&model, &batch, 0.0, device)?;
            let count = batch.after.iter().flatten().count() as f64;
            sum += f64::from(cross_entropy(&logits, &batch.after, 0.0)?.to_scalar::<f32>()?) * count;
            let best = logits.argmax(1)?.to_vec1::<u32>()?;
            right += best.iter().zip(&batch.after).filter(|(best, after)| Some(**best) == **after).count() as f64;
            words += count;
        }
        let words = f64::max(words, 1.0);
        Ok(Validation { loss: sum / words, metrics: vec![("accuracy", right / words)], sample: None })
    }
}
