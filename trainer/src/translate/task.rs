//! Translation as something to learn.

use std::sync::Mutex;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use rand::seq::SliceRandom;
use shared::Scope;
use shared::checkpoint::{Checkpoint, Metadata};
use shared::models::{Transformer, TransformerConfig};
use shared::pipeline::search::Search;
use shared::pipeline::translate::{HIDDEN, Translator};
use shared::text::{END, PADDING, START};

use super::corpus::Pair;
use super::dropout::Noise;
use super::evaluate;
use super::loss::cross_entropy;
use crate::learner::{Sample, Task, Validation};
use crate::seed;

/// Sentences that are translated at every validation, and those of them that are shown.
const TRANSLATED: usize = 200;
const SHOWN: usize = 12;

/// Sentences as numbers, source and target, without their ends.
pub type Encoded = (Vec<u32>, Vec<u32>);

/// Learns to continue the right translation, word by word (teacher forcing).
pub struct Translating {
    /// What checkpoints say.
    pub metadata: Metadata,
    /// The network.
    pub network: TransformerConfig,
    /// The part of features that is dropped.
    pub dropout: f32,
    /// The part of the loss that wants all words equally likely.
    pub smoothing: f32,
    /// Seed of batches and dropout.
    pub seed: u64,
    /// What is learnt from.
    pub batches: Batches,
    /// What is validated on, as numbers.
    pub valid: Batches,
    /// The same as text.
    pub valid_pairs: Vec<Pair>,
    /// Whether every letter counts, as with dates.
    pub exact: bool,
}

/// Pairs in batches of about as many words, alike in length so that little is padding.
pub struct Batches {
    pairs: Vec<Encoded>,
    /// Where batches begin and end in a list of pairs sorted by length: lengths alone decide, so every epoch has as many.
    cuts: Vec<(usize, usize)>,
    seed: u64,
    /// The order of an epoch: of pairs, sorted by length with ties shuffled, and of batches.
    order: Mutex<(u64, Vec<u32>, Vec<u32>)>,
}

impl Batches {
    /// Of at most `words` words each, padding included, source and target together.
    pub fn new(pairs: Vec<Encoded>, words: usize, seed: u64) -> Self {
        let mut lengths: Vec<(usize, usize)> = pairs.iter().map(size).collect();
        lengths.sort_unstable();
        let mut cuts = Vec::new();
        let (mut start, mut widest) = (0, (0, 0));
        for (i, &(source, target)) in lengths.iter().enumerate() {
            let wider = (widest.0.max(source), widest.1.max(target));
            if i > start && (wider.0 + wider.1) * (i - start + 1) > words {
                cuts.push((start, i));
                (start, widest) = (i, (source, target));
            } else {
                widest = wider;
            }
        }
        if start < lengths.len() {
            cuts.push((start, lengths.len()));
        }
        Self { pairs, cuts, seed, order: Mutex::new((u64::MAX, Vec::new(), Vec::new())) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.cuts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cuts.is_empty()
    }

    /// Pairs in all batches.
    pub fn pairs(&self) -> usize {
        self.pairs.len()
    }

    /// The pairs of the batch of a step: every pair once an epoch.
    fn get(&self, step: u64) -> Vec<&Encoded> {
        let count = self.cuts.len().max(1) as u64;
        let (epoch, number) = (step / count, (step % count) as usize);
        let mut order = self.order.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if order.0 != epoch {
            let mut rng = seed::rng(self.seed, "order of sentences", epoch);
            let mut pairs: Vec<u32> = (0..self.pairs.len() as u32).collect();
            pairs.shuffle(&mut rng);
            // Stable: what is as long stays shuffled.
            pairs.sort_by_key(|&i| size(&self.pairs[i as usize]));
            let mut batches: Vec<u32> = (0..self.cuts.len() as u32).collect();
            batches.shuffle(&mut rng);
            *order = (epoch, pairs, batches);
        }
        let (start, end) = order.2.get(number).and_then(|&b| self.cuts.get(b as usize)).copied().unwrap_or_default();
        order.1[start..end].iter().map(|&i| &self.pairs[i as usize]).collect()
    }
}

/// Words of both sides, with start or end.
fn size(pair: &Encoded) -> (usize, usize) {
    (pair.0.len() + 1, pair.1.len() + 1)
}

/// Sentences side by side, filled up to the longest.
pub struct Batch {
    step: u64,
    count: usize,
    /// `[count, sources]`, the end included.
    source: Vec<f32>,
    sources: usize,
    /// `[count, 1, sources]`.
    source_mask: Vec<f32>,
    /// `[count, targets]`: the start and all words but the last.
    before: Vec<f32>,
    targets: usize,
    /// The words to come, the end included.
    after: Vec<Option<u32>>,
}

impl Batch {
    fn new(step: u64, pairs: &[&Encoded]) -> Self {
        let longest = |side: fn(&Encoded) -> usize| pairs.iter().map(|p| side(p)).max().unwrap_or(1);
        let (sources, targets) = (longest(|p| p.0.len() + 1), longest(|p| p.1.len() + 1));
        let mut batch = Self {
            step,
            count: pairs.len(),
            source: Vec::with_capacity(pairs.len() * sources),
            sources,
            source_mask: Vec::with_capacity(pairs.len() * sources),
            before: Vec::with_capacity(pairs.len() * targets),
            targets,
            after: Vec::with_capacity(pairs.len() * targets),
        };
        for (source, target) in pairs {
            let padded = |words: &mut dyn Iterator<Item = u32>, length: usize| -> Vec<f32> {
                words.chain(std::iter::repeat(PADDING)).take(length).map(|w| w as f32).collect()
            };
            batch.source.extend(padded(&mut source.iter().copied().chain([END]), sources));
            batch.source_mask.extend((0..sources).map(|i| if i <= source.len() { 0.0 } else { HIDDEN }));
            batch.before.extend(padded(&mut [START].into_iter().chain(target.iter().copied()), targets));
            let after = target.iter().copied().chain([END]).map(Some).chain(std::iter::repeat(None));
            batch.after.extend(after.take(targets));
        }
        batch
    }
}

impl Translating {
    fn loss_of(
        &self,
        model: &Transformer<Tensor>,
        batch: Batch,
        dropout: f32,
        smoothing: f32,
        device: &Device,
        dtype: DType,
    ) -> Result<Tensor> {
        let Batch { step, count, source, sources, source_mask, before, targets, after } = batch;
        let dropout = Noise::new(dropout, self.seed, step);
        // Numbers of words stay f32: half a precision has no room for them.
        let words = |values: Vec<f32>, width| Tensor::from_vec(values, (count, width), device);
        let positions = |width: usize| words((0..count).flat_map(|_| (0..width).map(|i| i as f32)).collect(), width);
        let source_mask = Tensor::from_vec(source_mask, (count, 1, sources), device)?.to_dtype(dtype)?;
        let later = (0..targets).flat_map(|t| (0..targets).map(move |s| if s <= t { 0.0 } else { HIDDEN })).collect();
        let mask = Tensor::from_vec(later, (1, targets, targets), device)?.to_dtype(dtype)?;

        let source = model.encode(&words(source, sources)?, &positions(sources)?, Some(&source_mask), &dropout)?;
        let (before, at) = (words(before, targets)?, positions(targets)?);
        let logits = model.decode(&before, &at, &mask, &source, Some(&source_mask), &dropout)?;
        let logits = logits.flatten_to(1)?.to_dtype(DType::F32)?;
        Ok(cross_entropy(&logits, &after, smoothing)?)
    }
}

impl Task for Translating {
    type Model = Transformer<Tensor>;
    type Batch = Batch;

    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn model(&self, scope: &Scope<Tensor>) -> shared::Result<Self::Model> {
        Transformer::new(&self.network, scope)
    }

    fn batch(&self, step: u64, _: f64) -> Batch {
        Batch::new(step, &self.batches.get(step))
    }

    fn describe(&self, step: u64) -> String {
        format!("number {step} of seed {}", self.seed)
    }

    fn loss(&self, model: &Self::Model, batch: Batch, device: &Device, dtype: DType) -> Result<Tensor> {
        self.loss_of(model, batch, self.dropout, self.smoothing, device, dtype)
    }

    fn validate(&self, weights: &Checkpoint, device: &Device) -> Result<Validation> {
        let source = shared::engine::candle::Constants { checkpoint: weights, device };
        let model = Transformer::new(&self.network, &Scope::root(&source))?;
        let (mut sum, mut words) = (0.0, 0.0);
        for step in 0..self.valid.len() as u64 {
            let batch = Batch::new(step, &self.valid.get(step));
            let count = batch.after.iter().flatten().count() as f64;
            sum += f64::from(self.loss_of(&model, batch, 0.0, 0.0, device, DType::F32)?.to_scalar::<f32>()?) * count;
            words += count;
        }
        let loss = sum / f64::max(words, 1.0);

        // A sentence alone is too little work for a GPU.
        let translator = Translator::new(weights, &Device::Cpu)?;
        let pairs = &self.valid_pairs[..self.valid_pairs.len().min(TRANSLATED)];
        let translations = evaluate::translate(&translator, pairs, &Search { beam: 1, ..Search::default() }, || ())?;
        let scores = evaluate::scores(pairs, &translations);
        let metrics = match self.exact {
            true => vec![("exact_match", scores.exact_match), ("bleu", scores.bleu)],
            false => vec![("bleu", scores.bleu), ("chrf", scores.chrf)],
        };
        let shown = pairs.iter().zip(&translations).take(SHOWN);
        let sample = shown.map(|(p, t)| format!("{}\n  = {}\n  > {t}\n", p.source, p.target)).collect();
        Ok(Validation { loss, metrics, sample: Some(Sample::Text(sample)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn padding_stands_behind_and_counts_nothing() {
        let (a, b) = ((vec![5, 6, 7], vec![8]), (vec![9], vec![10, 11]));
        let batch = Batch::new(0, &[&a, &b]);
        assert_eq!(batch.source, [5., 6., 7., 2., 9., 2., 0., 0.]);
        assert_eq!(batch.source_mask, [0., 0., 0., 0., 0., 0., HIDDEN, HIDDEN]);
        assert_eq!(batch.before, [1., 8., 0., 1., 10., 11.]);
        assert_eq!(batch.after, [Some(8), Some(END), None, Some(10), Some(11), Some(END)]);
    }

    proptest! {
        #[test]
        fn every_pair_comes_once_an_epoch(
            lengths in prop::collection::vec((1usize..30, 1usize..30), 1..200), words in 60usize..400
        ) {
            let pairs: Vec<Encoded> =
                lengths.iter().enumerate().map(|(i, &(a, b))| (vec![i as u32; a], vec![0; b])).collect();
            let batches = Batches::new(pairs, words, 3);
            let epoch = |number: u64| -> Vec<Vec<u32>> {
                let steps = number * batches.len() as u64..(number + 1) * batches.len() as u64;
                steps.map(|s| batches.get(s).iter().map(|p| p.0[0]).collect()).collect()
            };
            for number in [0, 1] {
                let mut all: Vec<u32> = epoch(number).concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..lengths.len() as u32).collect::<Vec<_>>());
            }
            prop_assert_eq!(epoch(0), epoch(0));
            for step in 0..batches.len() as u64 {
                let batch = batches.get(step);
                let most = |f: fn(&Encoded) -> usize| batch.iter().map(|p| f(p)).max().unwrap();
                let padded = batch.len() * (most(|p| size(p).0) + most(|p| size(p).1));
                prop_assert!(padded <= words || batch.len() == 1);
            }
        }
    }
}
