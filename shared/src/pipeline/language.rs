//! Networks on candle that continue sentences, for [`super::search`].

use candle_core::{DType, Device, Shape, Tensor as Candle};

use super::search::{Language, Ratings};
use super::translate::HIDDEN;
use crate::layers::Keep;
use crate::models::{DecoderMasks, RecurrentState, Sentences, Seq2Seq, State, Transformer, TranslationNetwork};
use crate::text::END;
use crate::{Result, Tensor};

/// Any network for sentences that has read its source.
pub enum CandleLanguage<'a> {
    /// Attention only.
    Transformer(AttentionLanguage<'a>),
    /// Recurrent.
    Seq2Seq(RecurrentLanguage<'a>),
}

impl<'a> CandleLanguage<'a> {
    /// Reads the source; at most `most` words can be written.
    pub(super) fn new(model: &'a TranslationNetwork<Candle>, words: &[u32], most: usize, device: &Device) -> Result<Self> {
        let words: Vec<u32> = words.iter().copied().chain([END]).collect();
        Ok(match model {
            TranslationNetwork::Transformer(model) => Self::Transformer(AttentionLanguage::new(model, &words, most, device)?),
            TranslationNetwork::Seq2Seq(model) => Self::Seq2Seq(RecurrentLanguage::new(model, &words, device)?),
        })
    }
}

impl Language for CandleLanguage<'_> {
    fn step(&mut self, words: &[u32], parents: &[usize]) -> Result<Ratings> {
        match self {
            Self::Transformer(language) => language.step(words, parents),
            Self::Seq2Seq(language) => language.step(words, parents),
        }
    }
}

/// A Transformer at work.
pub struct AttentionLanguage<'a> {
    model: &'a Transformer<Candle>,
    state: State<Candle>,
    cache: usize,
    position: usize,
    device: Device,
}

impl<'a> AttentionLanguage<'a> {
    fn new(model: &'a Transformer<Candle>, words: &[u32], most: usize, device: &Device) -> Result<Self> {
        let length = words.len();
        let source = indices(words.iter().copied(), (1, length), device)?;
        let positions = indices(0..length as u32, (1, length), device)?;
        let source = model.encode(&source, &positions, None, &Keep)?;
        let zeros = |dims: &[usize]| Ok(Candle::zeros(dims, DType::F32, device)?);
        Ok(Self { model, state: model.start(&source, most, zeros)?, cache: most, position: 0, device: device.clone() })
    }
}

impl Language for AttentionLanguage<'_> {
    fn step(&mut self, words: &[u32], parents: &[usize]) -> Result<Ratings> {
        let beams = words.len();
        let before = self.state.tensors().next().map_or(0, |t| t.dims()[0]);
        if let Some(parents) = chosen(parents, before, &self.device)? {
            self.state = self.state.map(|t| t.take(&parents))?;
        }
        let position = self.position as u32;
        let mask = (0..self.cache).map(|t| if t <= self.position { 0.0 } else { HIDDEN }).collect();
        let step = self.model.step(
            &indices(words.iter().copied(), (beams, 1), &self.device)?,
            &indices(std::iter::repeat_n(position, beams), (beams, 1), &self.device)?,
            &indices([position].into_iter(), 1, &self.device)?,
            &Candle::from_vec(mask, (1, 1, self.cache), &self.device)?,
            None,
            &self.state,
        )?;
        self.state = step.state;
        self.position += 1;
        Ok(Ratings { logits: rows(&step.logits)?, attention: rows(&step.attention.mean(1)?)? })
    }
}

/// A recurrent network at work.
pub struct RecurrentLanguage<'a> {
    model: &'a Seq2Seq<Candle>,
    state: RecurrentState<Candle>,
    masks: DecoderMasks<Candle>,
    sources: usize,
    device: Device,
}

impl<'a> RecurrentLanguage<'a> {
    fn new(model: &'a Seq2Seq<Candle>, words: &[u32], device: &Device) -> Result<Self> {
        let sources = words.len();
        let words = words.iter().map(|&word| indices([word].into_iter(), (1, 1), device)).collect::<Result<_>>()?;
        let state = model.encode(Sentences { words, present: vec![None; sources], mask: None }, &Keep)?;
        let masks = model.masks(&state, &Keep)?;
        Ok(Self { model, state, masks, sources, device: device.clone() })
    }
}

impl Language for RecurrentLanguage<'_> {
    fn step(&mut self, words: &[u32], parents: &[usize]) -> Result<Ratings> {
        let beams = words.len();
        if let Some(parents) = chosen(parents, self.state.sentences(), &self.device)? {
            self.state = self.state.map(|t| t.take(&parents))?;
        }
        let words = indices(words.iter().copied(), (beams, 1), &self.device)?;
        let step = self.model.step(&words, &self.state, &self.masks)?;
        self.state = step.state;
        let attention = match &step.attention {
            Some(weights) => rows(weights)?,
            // It looks at the state in which the words left the encoder: at all of them, and at none in particular.
            None => vec![vec![1.0 / self.sources as f32; self.sources]; beams],
        };
        Ok(Ratings { logits: rows(&self.model.logits(&step.output)?)?, attention })
    }
}

/// Numbers of the sentences to go on with; `None` when every one of `before` continues itself.
fn chosen(parents: &[usize], before: usize, device: &Device) -> Result<Option<Candle>> {
    if parents.iter().copied().eq(0..before) {
        return Ok(None);
    }
    indices(parents.iter().map(|&p| p as u32), parents.len(), device).map(Some)
}

fn rows(t: &Candle) -> Result<Vec<Vec<f32>>> {
    Ok(t.flatten_from(1)?.to_vec2()?)
}

fn indices(values: impl Iterator<Item = u32>, dims: impl Into<Shape>, device: &Device) -> Result<Candle> {
    Ok(Candle::from_vec(values.map(|v| v as f32).collect::<Vec<_>>(), dims.into(), device)?)
}
