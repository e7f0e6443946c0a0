//! Sentences, decoded on the GPU: words, scores and what was seen of both sentences stay there, and several words are computed
//! for every time that something is read back.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use super::search::{Beam, Candidate, Hypothesis, Search};
use super::translate::HIDDEN;
use crate::checkpoint::Checkpoint;
use crate::engine::webgpu::{Carry, Constants, Context, GpuTensor, Plan, Repeat};
use crate::models::{Transformer, TransformerConfig, TranslationConfig};
use crate::text::{END, START};
use crate::{Error, Result, Scope, Tensor};

/// Words that are computed for every time that something is read back.
const WORDS: usize = 8;

/// Rows by which the cache of a sentence grows: sentences that need about as many share plans.
const CACHE_STEP: usize = 32;

/// Plans kept: sentences of a text have many lengths.
const PLANS: usize = 16;

/// What hides sentences of a beam that do not exist yet.
const NEVER: f32 = -1e30;

/// A Transformer on the GPU that continues sentences.
pub struct Decoder {
    model: Transformer<GpuTensor>,
    config: TransformerConfig,
    context: Arc<Context>,
    plans: RefCell<VecDeque<(Sizes, Rc<Plans>)>>,
}

/// What plans are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sizes {
    /// Words of the source, its end included.
    source: usize,
    beam: usize,
    /// Words that can be written.
    cache: usize,
}

struct Plans {
    encode: Plan,
    step: Repeat,
}

/// The inputs of a step, then what is seen of the translation, then of the source.
const WORDS_IN: usize = 0;
const PARENTS_IN: usize = 1;
const SCORES_IN: usize = 2;
const POSITIONS_IN: usize = 3;
const POSITION_IN: usize = 4;
const STATE_IN: usize = 5;
/// The outputs of a step, then what is seen of the translation.
const BEAM_OUT: usize = 0;
const ATTENTION_OUT: usize = 1;
const POSITIONS_OUT: usize = 2;
const POSITION_OUT: usize = 3;
const STATE_OUT: usize = 4;

impl Decoder {
    /// Loads the network of `checkpoint`.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when it is no Transformer or its weights do not fit, or the engine's own.
    pub fn new(checkpoint: &Checkpoint, context: &Arc<Context>) -> Result<Self> {
        let TranslationConfig::Transformer(config) = *checkpoint.translation()? else {
            return Err(Error::Checkpoint("the GPU decodes with a Transformer only".into()));
        };
        let source = Constants { checkpoint, context };
        let model = Transformer::new(&config, &Scope::root(&source))?;
        Ok(Self { model, config, context: context.clone(), plans: RefCell::default() })
    }

    /// Begins to translate a sentence, its words as numbers, by beam search.
    ///
    /// # Errors
    /// [`Error::Text`] when words are to be drawn by chance, which the GPU does not do; or the engine's own.
    pub fn begin(&self, words: &[u32], search: &Search) -> Result<GpuDecoding> {
        if search.sampling.is_some() {
            return Err(Error::Text("words are drawn by chance on the CPU only".into()));
        }
        let search = Search { beam: search.beam.max(1), most: search.most.clamp(1, self.config.length), ..*search };
        let cache = search.most.next_multiple_of(CACHE_STEP).min(self.config.length);
        let sizes = Sizes { source: words.len() + 1, beam: search.beam, cache };
        let plans = self.plans(sizes)?;
        let numbers = |values: &mut dyn Iterator<Item = u32>| -> Vec<f32> { values.map(|v| v as f32).collect() };
        let beam = search.beam;
        plans.encode.give(0, &numbers(&mut words.iter().copied().chain([END])))?;
        plans.encode.give(1, &numbers(&mut (0..sizes.source as u32)))?;
        plans.step.give_by(STATE_IN + 2 * self.config.decoder, &plans.encode)?;
        plans.step.give(WORDS_IN, &vec![START as f32; beam])?;
        plans.step.give(PARENTS_IN, &vec![0.0; beam])?;
        let scores: Vec<f32> = (0..beam).map(|i| if i == 0 { 0.0 } else { NEVER }).collect();
        plans.step.give(SCORES_IN, &scores)?;
        plans.step.give(POSITIONS_IN, &vec![0.0; beam])?;
        plans.step.give(POSITION_IN, &[0.0])?;
        Ok(GpuDecoding { plans, sizes, heads: self.config.heads, left: search.most, beam: Beam::new(search) })
    }

    fn plans(&self, sizes: Sizes) -> Result<Rc<Plans>> {
        let mut plans = self.plans.borrow_mut();
        if let Some((_, plan)) = plans.iter().find(|(s, _)| *s == sizes) {
            return Ok(plan.clone());
        }
        let made = Rc::new(self.plan(sizes)?);
        plans.truncate(PLANS - 1);
        plans.push_front((sizes, made.clone()));
        Ok(made)
    }

    fn plan(&self, Sizes { source, beam, cache }: Sizes) -> Result<Plans> {
        let (words, positions) = (GpuTensor::input([1, source]), GpuTensor::input([1, source]));
        let memory = self.model.encode(&words, &positions, None, &crate::layers::Keep)?;
        let empty = |dims: &[usize]| Ok(GpuTensor::input(dims));
        let state = self.model.start(&memory, cache, empty)?;
        // Of every layer, two tensors for the translation and two for the source.
        let of_source = |i: &usize| i % 4 >= 2;
        let tensors: Vec<&GpuTensor> = state.tensors().enumerate().filter(|(i, _)| of_source(i)).map(|(_, t)| t).collect();
        let encode = Plan::of(&self.context, &[&words, &positions], &tensors)?;

        let [words, positions] = [(); 2].map(|()| GpuTensor::input([beam, 1]));
        let [parents, scores] = [(); 2].map(|()| GpuTensor::input([beam]));
        let position = GpuTensor::input([1]);
        let (mut own, mut of_sources) = (Vec::new(), Vec::new());
        let mut i = 0;
        let state = state.map(|t| {
            let [_, rows, features] = crate::tensor::rules::dims3("decoder", t.dims())?;
            let input = GpuTensor::input([beam, rows, features]);
            i += 1;
            if of_source(&(i - 1)) {
                of_sources.push(input.clone());
                return Ok(input);
            }
            own.push(input.clone());
            input.take(&parents)
        })?;
        let table = (0..cache).flat_map(|p| (0..cache).map(move |t| if t <= p { 0.0 } else { HIDDEN })).collect();
        let mask = GpuTensor::constant(&self.context, table, &[cache, cache])?.take(&positions)?;
        let step = self.model.step(&words, &positions, &position, &mask, None, &state)?;
        let chosen = step.logits.beam(&scores, END as usize)?;
        let next = [positions.affine(1.0, 1.0)?, position.affine(1.0, 1.0)?];

        let mut inputs = vec![&words, &parents, &scores, &positions, &position];
        inputs.extend(own.iter().chain(&of_sources));
        let mut outputs = vec![&chosen, &step.attention, &next[0], &next[1]];
        outputs.extend(step.state.tensors().enumerate().filter(|(i, _)| !of_source(i)).map(|(_, t)| t));
        let carry = |output, from, input| Carry { output, from, input };
        let mut carried = vec![
            carry(BEAM_OUT, 0, WORDS_IN),
            carry(BEAM_OUT, beam, PARENTS_IN),
            carry(BEAM_OUT, 2 * beam, SCORES_IN),
            carry(POSITIONS_OUT, 0, POSITIONS_IN),
            carry(POSITION_OUT, 0, POSITION_IN),
        ];
        carried.extend((0..own.len()).map(|i| carry(STATE_OUT + i, 0, STATE_IN + i)));
        let step = Repeat::new(&self.context, &inputs, &outputs, carried, vec![BEAM_OUT, ATTENTION_OUT])?;
        Ok(Plans { encode, step })
    }
}

/// A sentence that is being translated on the GPU. Only one at a time: it is the plans' state.
pub struct GpuDecoding {
    plans: Rc<Plans>,
    sizes: Sizes,
    heads: usize,
    /// Words that may still be written.
    left: usize,
    beam: Beam,
}

impl GpuDecoding {
    /// Up to eight words further; false when there is nothing left to search.
    ///
    /// # Errors
    /// When the engine fails, or rates a word NaN.
    pub async fn step(&mut self) -> Result<bool> {
        let steps = WORDS.min(self.left);
        self.left -= steps;
        for noted in self.plans.step.advance(steps).await? {
            if self.beam.alive().is_empty() {
                return Ok(false);
            }
            let [chosen, attention] = &noted[..] else { return Err(Error::Gpu("internal: a step without outputs".into())) };
            let candidates = self.candidates(chosen)?;
            self.beam.extend(&candidates, &self.attention(attention))?;
        }
        Ok(!self.beam.alive().is_empty())
    }

    /// What the GPU has chosen, and the ends among it.
    fn candidates(&self, chosen: &[f32]) -> Result<Vec<Candidate>> {
        let beam = self.sizes.beam;
        let alive = self.beam.alive();
        let before = |parent: usize| alive.get(parent).map_or(NEVER, |sentence| sentence.log_probability);
        let mut all = Vec::with_capacity(2 * beam);
        let mut rows = chosen.chunks_exact(beam);
        let (Some(words), Some(parents), Some(totals), Some(ends)) = (rows.next(), rows.next(), rows.next(), rows.next()) else {
            return Err(Error::Gpu("internal: a step without words".into()));
        };
        for ((&word, &parent), &total) in words.iter().zip(parents).zip(totals) {
            if !total.is_finite() {
                return Err(Error::Text("the network rates a word NaN".into()));
            }
            let parent = parent as usize;
            all.push(Candidate { parent, word: word as u32, log: total - before(parent), total });
        }
        all.extend(ends.iter().zip(alive).enumerate().map(|(parent, (&log, sentence))| Candidate {
            parent,
            word: END,
            log,
            total: sentence.log_probability + log,
        }));
        // Stable: the GPU's own order must stay.
        all.sort_by(|a, b| b.total.total_cmp(&a.total));
        Ok(all)
    }

    /// Of every sentence, the mean over heads.
    fn attention(&self, values: &[f32]) -> Vec<Vec<f32>> {
        let Self { sizes: Sizes { source, .. }, heads, .. } = *self;
        let mean =
            |sentence: &[f32]| (0..source).map(|s| sentence.iter().skip(s).step_by(source).sum::<f32>() / heads as f32).collect();
        values.chunks_exact(heads * source).map(mean).collect()
    }

    /// As [`Beam::best`].
    pub fn best(&self) -> Option<&Hypothesis> {
        self.beam.best()
    }

    /// As [`Beam::into_result`].
    pub fn into_result(self) -> Vec<Hypothesis> {
        self.beam.into_result()
    }
}
