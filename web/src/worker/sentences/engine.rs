//! A network for sentences, on the processor and, where there is one, on the graphics card.

use std::sync::Arc;

use candle_core::Device;
use shared::Result;
use shared::checkpoint::Checkpoint;
use shared::engine::webgpu::Context;
use shared::models::TranslationConfig;
use shared::pipeline::decoder::{Decoder, GpuDecoding};
use shared::pipeline::language::CandleLanguage;
use shared::pipeline::search::{Decoding, Hypothesis, Search};
use shared::pipeline::translate::Translator;
use web_sys::DedicatedWorkerGlobalScope;

use crate::worker::now;

/// What both engines are measured by: a sentence of any sixteen words.
const TRIAL: std::ops::Range<u32> = 3..19;
/// Words that are written for it.
const WRITTEN: usize = 8;

/// A network that is loaded.
pub struct Network {
    /// On the processor; its tokenizer is for both.
    pub translator: Translator,
    /// On the graphics card.
    decoder: Option<Decoder>,
}

impl Network {
    /// Loads the network, onto the graphics card too where it is given.
    ///
    /// # Errors
    /// When the weights do not fit, or the graphics card refuses.
    pub fn new(checkpoint: &Checkpoint, context: Option<&Arc<Context>>) -> Result<Self> {
        let translator = Translator::new(checkpoint, &Device::Cpu)?;
        // Recurrent networks, of many small steps, are for the processor.
        let context = context.filter(|_| matches!(checkpoint.translation(), Ok(TranslationConfig::Transformer(_))));
        let decoder = context.map(|context| Decoder::new(checkpoint, context)).transpose()?;
        Ok(Self { translator, decoder })
    }

    /// Whether the graphics card writes faster than the processor: at this size either may.
    ///
    /// # Errors
    /// When an engine fails.
    pub async fn gpu_is_faster(&self, scope: &DedicatedWorkerGlobalScope) -> Result<bool> {
        let Some(decoder) = &self.decoder else { return Ok(false) };
        let words: Vec<u32> = TRIAL.collect();
        let search = Search { most: WRITTEN, ..Search::default() };
        // The first time it compiles.
        decoder.begin(&words, &search)?.step().await?;
        let begin = now(scope);
        decoder.begin(&words, &search)?.step().await?;
        let gpu = now(scope) - begin;
        let begin = now(scope);
        let mut decoding = self.translator.begin_words(&words, &search)?;
        while decoding.step()? {}
        Ok(gpu < now(scope) - begin)
    }

    /// Begins to translate a sentence, on the graphics card where `gpu` and there is one.
    ///
    /// # Errors
    /// As [`Translator::begin`].
    pub fn begin(&self, sentence: &str, gpu: bool) -> Result<Writing<'_>> {
        let search = Search::default();
        match &self.decoder {
            Some(decoder) if gpu => {
                let (words, search) = self.translator.words(sentence, &search)?;
                Ok(Writing::Gpu(decoder.begin(&words, &search)?))
            }
            _ => Ok(Writing::Cpu(Box::new(self.translator.begin(sentence, &search)?))),
        }
    }
}

/// A sentence that is being translated.
pub enum Writing<'a> {
    /// By the processor.
    Cpu(Box<Decoding<CandleLanguage<'a>>>),
    /// By the graphics card.
    Gpu(GpuDecoding),
}

impl Writing<'_> {
    /// Some words further; false when it is done.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn step(&mut self) -> Result<bool> {
        match self {
            Self::Cpu(decoding) => decoding.step(),
            Self::Gpu(decoding) => decoding.step().await,
        }
    }

    /// The likeliest sentence so far.
    pub fn best(&self) -> Option<&Hypothesis> {
        match self {
            Self::Cpu(decoding) => decoding.best(),
            Self::Gpu(decoding) => decoding.best(),
        }
    }

    /// The finished sentences, the best first.
    pub fn into_result(self) -> Vec<Hypothesis> {
        match self {
            Self::Cpu(decoding) => decoding.into_result(),
            Self::Gpu(decoding) => decoding.into_result(),
        }
    }
}
