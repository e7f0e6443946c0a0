//! Everything that decides a run of translation: `config.toml`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use candle_core::Device;
use indicatif::ProgressBar;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use shared::Scope;
use shared::checkpoint::{Checkpoint, Metadata, Text};
use shared::models::TranslationNetwork;
use shared::text::Tokenizer;
use tracing::info;

use super::batches::{Batches, Encoded};
use super::corpus::{self, Corpus, Pair};
use super::dates;
use super::network::{self, Network};
use super::task::Translating;
use crate::learner::Run;
use crate::training::{Training, within};
use crate::variables::Variables;

/// The whole configuration of a run. The same configuration on the same kind of device gives the same weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folders, tables and archives of pairs; one that stands here twice counts twice. None: dates, made up.
    pub data: Vec<PathBuf>,
    /// The language that is read.
    pub source: String,
    /// The language that is written.
    pub target: String,
    /// The languages of a table's columns, where they are not as usual.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Words a batch, padding included, of both languages together.
    pub batch: u32,
    /// Parts of words in the table.
    pub vocabulary: u32,
    /// Part of the features that is dropped.
    pub dropout: f64,
    /// Part of the loss that wants all words equally likely.
    pub smoothing: f64,
    /// The network.
    pub network: Network,
    /// How it is learnt.
    pub training: Training,
}

/// Dates that are made up to learn from, and to validate on.
const MADE_UP: (usize, usize) = (100_000, 500);

/// Pairs to validate on, at most; those of every corpus in turn.
const VALIDATED: usize = 2000;

impl Config {
    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// As said.
    pub fn validate(&self) -> Result<()> {
        self.training.validate()?;
        within("batch", self.batch.into(), 16.0, 1e6)?;
        within("dropout", self.dropout, 0.0, 0.9)?;
        within("smoothing", self.smoothing, 0.0, 0.9)?;
        within("vocabulary", self.vocabulary.into(), 300.0, 1e6)?;
        ensure!(self.source != self.target, "source and target are both {}", self.source);
        self.network.validate(self.vocabulary as usize)
    }

    /// Reads the data and builds what is learnt, with the run at its beginning. `tokenizer` is that of a run to go on with; without
    /// it, it is that of the weights to start from, or learnt.
    ///
    /// # Errors
    /// When there is no data, or `from` does not fit.
    pub fn prepare(
        &self,
        device: Device,
        tokenizer: Option<Tokenizer>,
        bar: impl Fn(&str) -> ProgressBar,
    ) -> Result<(Translating, Run)> {
        let (train, valid) = self.pairs()?;
        // Weights to start from know the words of their own tokenizer.
        let tokenizer = tokenizer.map_or_else(|| self.inherited(), |tokenizer| Ok(Some(tokenizer)))?;
        let tokenizer = match tokenizer {
            Some(tokenizer) => tokenizer,
            None => {
                let texts = train.iter().flat_map(|p| [p.source.as_str(), p.target.as_str()]);
                tokenizer_of(texts.collect(), self.vocabulary, &bar)?
            }
        };
        let train = self.encode(&tokenizer, &train, &bar)?;
        let (valid_encoded, valid): (Vec<Encoded>, Vec<Pair>) = {
            let encoded = self.encode_all(&tokenizer, &valid, &bar)?;
            encoded.into_iter().zip(valid).filter_map(|(encoded, pair)| Some((encoded?, pair))).unzip()
        };
        ensure!(!train.is_empty(), "no pair is short enough for {} parts of words", self.network.length());
        let words: usize = train.iter().map(|(a, b)| a.len() + b.len() + 2).sum();

        let network = self.network.config(tokenizer.vocabulary());
        let seed = self.training.seed;
        let variables = Variables::new(&device, seed);
        TranslationNetwork::new(&network, &Scope::root(&variables))?;
        self.network.start(&variables)?;
        let mut run = self.training.begin(&variables, device)?;
        let batches = Batches::new(train, self.batch as usize, seed);
        info!(
            "{} pairs of {words} parts of words in {} batches, {} to validate; {} parts are known",
            batches.pairs(),
            batches.len(),
            valid.len(),
            tokenizer.vocabulary()
        );
        let data = match self.data.is_empty() {
            true => "dates, made up".to_owned(),
            false => {
                let name = |p: &PathBuf| p.file_name().unwrap_or(p.as_os_str()).to_string_lossy().into_owned();
                format!("{} ({} pairs)", self.data.iter().map(name).collect::<Vec<_>>().join(", "), batches.pairs())
            }
        };
        let batch = format!("{} words, padding included", u64::from(self.batch) * self.training.accumulate);
        let regular = format!("dropout {}, label smoothing {}", self.dropout, self.smoothing);
        let facts = [("data", data), ("batch", batch), ("regularisation", regular)];
        run.provenance.extend(facts.map(|(fact, value)| (fact.to_owned(), value)));
        let text = Text { source: self.source.clone(), target: self.target.clone(), tokenizer: tokenizer.json().to_owned() };
        let metadata = Metadata { text: Some(text), ..Metadata::new(network) };
        let task = Translating {
            metadata,
            network,
            teacher_forcing: self.network.teacher_forcing(),
            dropout: self.dropout as f32,
            smoothing: self.smoothing as f32,
            seed,
            batches,
            valid: Batches::new(valid_encoded, self.batch as usize, seed),
            valid_pairs: valid,
            exact: self.data.is_empty(),
        };
        Ok((task, run))
    }

    /// The tokenizer of the weights to start from.
    fn inherited(&self) -> Result<Option<Tokenizer>> {
        if let Some(from) = &self.training.from {
            let text = Checkpoint::read(from)?.metadata.text;
            return text.map(|text| Tokenizer::parse(&text.tokenizer)).transpose().with_context(|| from.display().to_string());
        }
        let [encoder, decoder] = self.network.language_models();
        let Some(from) = encoder.or(decoder) else { return Ok(None) };
        let text = network::text(from)?;
        if let Some(other) = decoder {
            let same = network::text(other)?.tokenizer == text.tokenizer;
            ensure!(same, "{} and {} have different tokenizers", from.display(), other.display());
        }
        Ok(Some(Tokenizer::parse(&text.tokenizer).with_context(|| from.display().to_string())?))
    }

    /// Pairs to learn from, and to validate on.
    fn pairs(&self) -> Result<(Vec<Pair>, Vec<Pair>)> {
        if self.data.is_empty() {
            let seed = self.training.seed;
            return Ok((dates::pairs(seed, MADE_UP.0, false), dates::pairs(seed, MADE_UP.1, true)));
        }
        let columns = (!self.columns.is_empty()).then_some(&self.columns[..]);
        let mut train = Vec::new();
        let mut valid: Vec<Vec<Pair>> = Vec::new();
        let mut seen = Vec::new();
        for path in &self.data {
            let Corpus { train: more, valid: held_out, .. } = corpus::read(path, &self.source, &self.target, columns)?;
            let (more, dropped) = corpus::clean(more);
            info!("{}: {} pairs to learn from, {dropped} left out", path.display(), more.len());
            train.extend(more);
            if !seen.contains(&path) {
                seen.push(path);
                valid.push(held_out);
            }
        }
        let longest = valid.iter().map(Vec::len).max().unwrap_or_default();
        let in_turn = (0..longest).flat_map(|i| valid.iter().filter_map(move |v| v.get(i).cloned()));
        let valid: Vec<Pair> = in_turn.take(VALIDATED).collect();
        ensure!(!train.is_empty(), "nothing to learn from: there is no part called `train` in the data");
        ensure!(!valid.is_empty(), "nothing to validate on: there is no part called `val` in the data");
        Ok((train, valid))
    }

    /// As numbers; what is too long is left out.
    fn encode(&self, tokenizer: &Tokenizer, pairs: &[Pair], bar: impl Fn(&str) -> ProgressBar) -> Result<Vec<Encoded>> {
        Ok(self.encode_all(tokenizer, pairs, bar)?.into_iter().flatten().collect())
    }

    fn encode_all(
        &self,
        tokenizer: &Tokenizer,
        pairs: &[Pair],
        bar: impl Fn(&str) -> ProgressBar,
    ) -> Result<Vec<Option<Encoded>>> {
        let bar = bar("cutting words {wide_bar} {pos}/{len}");
        bar.set_length(pairs.len() as u64);
        let most = self.network.length() - 1;
        let encoded = pairs.par_iter().map(|pair| {
            bar.inc(1);
            let encoded = (tokenizer.encode(&pair.source)?, tokenizer.encode(&pair.target)?);
            let fits = |words: &[u32]| !words.is_empty() && words.len() <= most;
            Ok((fits(&encoded.0) && fits(&encoded.1)).then_some(encoded))
        });
        let encoded = encoded.collect::<shared::Result<Vec<_>>>()?;
        bar.finish_and_clear();
        Ok(encoded)
    }
}

/// Learns the parts of words of `texts`, at most `vocabulary`.
///
/// # Errors
/// When there are too few.
pub fn tokenizer_of(texts: Vec<&str>, vocabulary: u32, bar: impl Fn(&str) -> ProgressBar) -> Result<Tokenizer> {
    let spinner = bar("learning the parts of words {spinner} {elapsed}");
    spinner.enable_steady_tick(std::time::Duration::from_millis(200));
    let tokenizer = Tokenizer::train(texts.into_iter(), vocabulary as usize)?;
    spinner.finish_and_clear();
    Ok(tokenizer)
}
