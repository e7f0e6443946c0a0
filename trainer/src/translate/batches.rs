//! Sentences in batches.

use std::sync::Mutex;

use candle_core::{DType, Device, Result, Tensor};
use rand::RngExt;
use rand::seq::SliceRandom;
use shared::pipeline::translate::HIDDEN;
use shared::text::{END, PADDING, START};

use crate::seed;

/// Sentences as numbers, source and target, without their ends.
pub type Encoded = (Vec<u32>, Vec<u32>);

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
    pub fn get(&self, step: u64) -> Vec<&Encoded> {
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
    /// Which it is.
    pub step: u64,
    /// Sentences.
    pub count: usize,
    /// `[count, sources]`, the end included.
    pub source: Vec<f32>,
    /// Words of the longest source, its end included.
    pub sources: usize,
    /// `[count, 1, sources]`.
    pub source_mask: Vec<f32>,
    /// `[count, targets]`: the start and all words but the last.
    pub before: Vec<f32>,
    /// Words of the longest target, its end included.
    pub targets: usize,
    /// The words to come, the end included.
    pub after: Vec<Option<u32>>,
    /// `[count, targets]`: 1 where the network gets its own word instead of the right one; `None`: nowhere.
    pub own: Option<Vec<f32>>,
}

impl Batch {
    /// Of these pairs.
    pub fn new(step: u64, pairs: &[&Encoded]) -> Self {
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
            own: None,
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

    /// With the right words, each with the probability `forced`, and the network's own in place of the others (Bengio et al.
    /// 2015, arXiv:1506.03099).
    pub fn forced(mut self, forced: f64, seed: u64) -> Self {
        if forced < 1.0 {
            let mut rng = seed::rng(seed, "teacher forcing", self.step);
            let own = self.before.iter().map(|_| f32::from(u8::from(rng.random::<f64>() >= forced)));
            self.own = Some(own.collect());
        }
        self
    }

    /// Words of all sentences, step by step, `[count, 1]` each, of `values` `[count, width]`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn steps(&self, values: &[f32], width: usize, device: &Device) -> Result<Vec<Tensor>> {
        let column = |t: usize| values.iter().skip(t).step_by(width.max(1)).copied().collect::<Vec<_>>();
        (0..width).map(|t| Tensor::from_vec(column(t), (self.count, 1), device)).collect()
    }

    /// Of every step of the source 1 where a word stands, `[count, 1, features]`; `None` where all stand.
    ///
    /// # Errors
    /// When the device fails.
    pub fn present(&self, features: usize, device: &Device, dtype: DType) -> Result<Vec<Option<Tensor>>> {
        let stands: Vec<f32> = self.source_mask.iter().map(|&m| if m < 0.0 { 0.0 } else { 1.0 }).collect();
        let steps = self.steps(&stands, self.sources, device)?;
        let one = |(t, step): (usize, Tensor)| {
            if stands.iter().skip(t).step_by(self.sources.max(1)).all(|&s| s > 0.0) {
                return Ok(None);
            }
            let wide = step.unsqueeze(2)?.broadcast_as((self.count, 1, features))?.contiguous()?;
            Ok(Some(wide.to_dtype(dtype)?))
        };
        steps.into_iter().enumerate().map(one).collect()
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
        let present = batch.present(2, &Device::Cpu, DType::F32).unwrap();
        assert!(present[..2].iter().all(Option::is_none));
        assert_eq!(present[3].as_ref().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap(), [1., 1., 0., 0.]);
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
