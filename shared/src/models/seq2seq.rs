//! Recurrent networks from sentence to sentence (Sutskever et al. 2014, arXiv:1409.3215; Cho et al. 2014, arXiv:1406.1078), with
//! a table of words that is the output, too (Press & Wolf 2017, arXiv:1608.05859), an encoder that may read from both ends
//! (Schuster & Paliwal 1997), and additive attention, where wanted (Bahdanau et al. 2015, arXiv:1409.0473).

use serde::{Deserialize, Serialize};

use super::config::within;
use super::language::{embed, joined};
use super::recurrent::{Cell, CellKind, Hidden, Masks, Stack, masked};
use crate::layers::{Dropout, Linear};
use crate::{Error, Init, Result, Scope, Tensor};

/// The size of a [`Seq2Seq`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seq2SeqConfig {
    /// Rows of the table of words.
    pub vocabulary: usize,
    /// Features of a word and of every state; a multiple of 4.
    pub features: usize,
    /// What it is made of.
    pub cell: CellKind,
    /// Layers of the encoder.
    pub encoder: usize,
    /// Layers of the decoder.
    pub decoder: usize,
    /// Whether the encoder reads from both ends.
    pub bidirectional: bool,
    /// Whether the decoder looks at the words of the source, or only at the state in which they left the encoder.
    pub attention: bool,
    /// Words that a sentence may have, its end included.
    pub length: usize,
}

impl Seq2SeqConfig {
    /// Refuses sizes that no sane network has.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] naming the value.
    pub fn validate(&self) -> Result<()> {
        let Self { vocabulary, features, encoder, decoder, length, .. } = *self;
        limits(vocabulary, features, &[("encoder", encoder), ("decoder", decoder)], length)
    }
}

/// What every recurrent network may have.
pub fn limits(vocabulary: usize, features: usize, layers: &[(&str, usize)], length: usize) -> Result<()> {
    within("vocabulary", vocabulary, 4..=1 << 20)?;
    within("features", features, 4..=4096)?;
    within("length", length, 2..=4096)?;
    layers.iter().try_for_each(|&(name, layers)| within(name, layers, 1..=16))?;
    if !features.is_multiple_of(4) {
        return Err(Error::Checkpoint(format!("features is {features}, must be a multiple of 4")));
    }
    Ok(())
}

/// A linear function of what both ends give: of the two beside each other it would be the same.
struct Both<T> {
    forward: Linear<T>,
    backward: Option<Linear<T>>,
}

impl<T: Tensor> Both<T> {
    fn new(features: usize, bidirectional: bool, scope: &Scope<T>) -> Result<Self> {
        let linear = |name| Linear::new(features, features, &scope.sub(name));
        Ok(Self { forward: linear("forward")?, backward: bidirectional.then(|| linear("backward")).transpose()? })
    }

    fn of(&self, forward: &T, backward: Option<&T>) -> Result<T> {
        let y = self.forward.forward(forward)?;
        match self.backward.as_ref().zip(backward) {
            Some((linear, x)) => linear.forward(x)?.add(&y),
            None => Ok(y),
        }
    }
}

/// A layer that reads a sentence, from both ends where wanted.
struct EncoderLayer<T> {
    forward: Cell<T>,
    /// The other direction, and what joins the two.
    backward: Option<(Cell<T>, Both<T>)>,
}

impl<T: Tensor> EncoderLayer<T> {
    fn new(config: &Seq2SeqConfig, scope: &Scope<T>) -> Result<Self> {
        let cell = |name| Cell::new(config.cell, config.features, &scope.sub(name));
        let backward = || -> Result<_> { Ok((cell("backward")?, Both::new(config.features, true, &scope.sub("both"))?)) };
        Ok(Self { forward: cell("forward")?, backward: config.bidirectional.then(backward).transpose()? })
    }

    /// What the words become, and what both directions carry at their end.
    fn run(&self, steps: &[T], present: &[Option<T>], dropout: &dyn Dropout<T>) -> Result<(Vec<T>, Ends<T>)> {
        let empty = || Error::shape("encode", "no words");
        let steps = steps.iter().zip(present.iter().map(Option::as_ref));
        let (states, forward) = self.forward.run(steps.clone(), dropout)?.ok_or_else(empty)?;
        let Some((cell, both)) = &self.backward else { return Ok((states, Ends { forward, backward: None })) };
        let (back, backward) = cell.run(steps.rev(), dropout)?.ok_or_else(empty)?;
        let states = states.iter().zip(back.iter().rev()).map(|(a, b)| both.of(a, Some(b))).collect::<Result<_>>()?;
        Ok((states, Ends { forward, backward: Some(backward) }))
    }
}

/// What the directions of a layer carry when they have read a sentence.
struct Ends<T> {
    forward: Hidden<T>,
    backward: Option<Hidden<T>>,
}

/// Makes of what a layer of the encoder ends with what a layer of the decoder starts from.
struct Bridge<T> {
    state: Both<T>,
    memory: Option<Both<T>>,
}

impl<T: Tensor> Bridge<T> {
    fn new(config: &Seq2SeqConfig, scope: &Scope<T>) -> Result<Self> {
        let both = |name| Both::new(config.features, config.bidirectional, &scope.sub(name));
        let memory = matches!(config.cell, CellKind::Lstm).then(|| both("memory"));
        Ok(Self { state: both("state")?, memory: memory.transpose()? })
    }

    fn cross(&self, Ends { forward, backward }: &Ends<T>) -> Result<Hidden<T>> {
        let state = self.state.of(&forward.state, backward.as_ref().map(|b| &b.state))?.tanh()?;
        let memory = self.memory.as_ref().zip(forward.memory.as_ref()).map(|(both, memory)| {
            let backward = backward.as_ref().and_then(|b| b.memory.as_ref());
            both.of(memory, backward)?.tanh()
        });
        Ok(Hidden { state, memory: memory.transpose()? })
    }
}

/// How well a state and a word fit: `v^T tanh(W s + U h)`.
struct Attention<T> {
    query: Linear<T>,
    key: Linear<T>,
    /// `[4, F]`; the sum of the rows is `v`. Four, because GPUs keep features by fours.
    rating: T,
    input: Linear<T>,
    output: Linear<T>,
}

/// What the decoder looks at.
#[derive(Clone)]
struct Memory<T> {
    /// `[B, S, F]`.
    keys: T,
    /// `[B, S, F]`.
    values: T,
    /// `[B, 1, S]`, very negative behind the end of a sentence.
    mask: Option<T>,
}

impl<T: Tensor> Attention<T> {
    fn new(features: usize, scope: &Scope<T>) -> Result<Self> {
        let linear = |name| Linear::new(features, features, &scope.sub(name));
        Ok(Self {
            query: linear("query")?,
            key: linear("key")?,
            rating: scope.get("rating.weight", &[4, features], Init::Kaiming { gain: 1.0 })?,
            input: linear("input")?,
            output: linear("output")?,
        })
    }

    fn memory(&self, values: T, mask: Option<T>) -> Result<Memory<T>> {
        Ok(Memory { keys: self.key.forward(&values)?, values, mask })
    }

    /// The mean of the words `[B, 1, F]`, and their weights `[B, 1, 1, S]`.
    fn forward(&self, state: &T, Memory { keys, values, mask }: &Memory<T>) -> Result<(T, T)> {
        let query = self.query.forward(state)?;
        // With one key to look at all weights are 1: this repeats the query for every word.
        let repeated = keys.attention_weights(&query, 1, None)?.attend(&query)?;
        let rated = repeated.add(keys)?.tanh()?.linear(&self.rating, None)?;
        let ones = query.linear(&self.rating, None)?.affine(0.0, 1.0)?;
        let weights = ones.attention_weights(&rated, 1, mask.as_ref())?;
        Ok((weights.attend(values)?, weights))
    }
}

/// What is read: words side by side, step by step.
pub struct Sentences<T> {
    /// Of every step the words, `[B, 1]`.
    pub words: Vec<T>,
    /// Of every step 1 where a word stands and 0 behind the end of a sentence, `[B, 1, F]`; `None` where all stand.
    pub present: Vec<Option<T>>,
    /// `[B, 1, S]`, very negative behind the end of a sentence.
    pub mask: Option<T>,
}

/// What the decoder carries from word to word, and what it looks at.
#[derive(Clone)]
pub struct RecurrentState<T> {
    layers: Vec<Hidden<T>>,
    source: Option<Memory<T>>,
}

impl<T: Tensor> RecurrentState<T> {
    /// Sentences that are written at once.
    pub fn sentences(&self) -> usize {
        self.layers.first().and_then(|h| h.state.dims().first()).copied().unwrap_or_default()
    }

    /// With every tensor changed by `f`, e.g. to choose among the sentences of a beam.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn map(&self, mut f: impl FnMut(&T) -> Result<T>) -> Result<Self> {
        let layers = self.layers.iter().map(|hidden| hidden.map(&mut f)).collect::<Result<_>>()?;
        let source = self.source.as_ref().map(|Memory { keys, values, mask }| -> Result<_> {
            Ok(Memory { keys: f(keys)?, values: f(values)?, mask: mask.as_ref().map(&mut f).transpose()? })
        });
        Ok(Self { layers, source: source.transpose()? })
    }
}

/// What is dropped of everything that writes a sequence.
pub struct DecoderMasks<T> {
    layers: Vec<Masks<T>>,
    output: Option<T>,
}

/// What a step of decoding gives.
pub struct RecurrentStep<T> {
    /// `[B, 1, F]`; [`Seq2Seq::logits`] makes ratings of it.
    pub output: T,
    /// For the next step.
    pub state: RecurrentState<T>,
    /// How much the word looked at every word of the source, `[B, 1, 1, S]`, where it looks.
    pub attention: Option<T>,
}

/// From the words of one sentence to those of another. Words are numbers; see the module `text`.
pub struct Seq2Seq<T> {
    /// `[V, F]`.
    words: T,
    encoder: Vec<EncoderLayer<T>>,
    bridges: Vec<Bridge<T>>,
    decoder: Stack<T>,
    attention: Option<Attention<T>>,
    output: Linear<T>,
}

impl<T: Tensor> Seq2Seq<T> {
    /// A network of this size.
    pub fn new(config: &Seq2SeqConfig, scope: &Scope<T>) -> Result<Self> {
        config.validate()?;
        let &Seq2SeqConfig { vocabulary, features, cell, encoder, decoder, attention, .. } = config;
        let layer = |part: &str, i: usize| scope.sub(part).sub(i);
        let attention = attention.then(|| Attention::new(features, &scope.sub("attention")));
        Ok(Self {
            words: scope.get("words", &[vocabulary, features], Init::Kaiming { gain: 1.0 })?,
            encoder: (0..encoder).map(|i| EncoderLayer::new(config, &layer("encoder", i))).collect::<Result<_>>()?,
            bridges: (0..decoder).map(|i| Bridge::new(config, &layer("bridge", i))).collect::<Result<_>>()?,
            decoder: Stack::new(cell, features, decoder, &scope.sub("decoder"))?,
            attention: attention.transpose()?,
            output: Linear::new(features, features, &scope.sub("output"))?,
        })
    }

    /// Reads sentences: the state before the first word. A layer of the decoder starts from the layer of the encoder beside it,
    /// or from the last one.
    pub fn encode(&self, source: Sentences<T>, dropout: &dyn Dropout<T>) -> Result<RecurrentState<T>> {
        let Sentences { words, present, mask } = source;
        let mut steps = words.iter().map(|words| embed(&self.words, words)).collect::<Result<Vec<_>>>()?;
        let mut ends = Vec::with_capacity(self.encoder.len());
        for layer in &self.encoder {
            let (read, end) = layer.run(&steps, &present, dropout)?;
            steps = read;
            ends.push(end);
        }
        let end = |i: usize| ends.get(i).or(ends.last()).ok_or_else(|| Error::Checkpoint("an encoder without layers".into()));
        let layers = self.bridges.iter().enumerate().map(|(i, bridge)| bridge.cross(end(i)?)).collect::<Result<_>>()?;
        let source = self.attention.as_ref().map(|attention| attention.memory(joined(&steps)?, mask));
        Ok(RecurrentState { layers, source: source.transpose()? })
    }

    /// What is dropped while sentences are written.
    pub fn masks(&self, state: &RecurrentState<T>, dropout: &dyn Dropout<T>) -> Result<DecoderMasks<T>> {
        let like = &top(state)?.state;
        Ok(DecoderMasks { layers: self.decoder.masks(like, dropout)?, output: dropout.mask(like)? })
    }

    /// One word further: `words` `[B, 1]` are the last ones.
    pub fn step(&self, words: &T, state: &RecurrentState<T>, masks: &DecoderMasks<T>) -> Result<RecurrentStep<T>> {
        let mut x = embed(&self.words, words)?;
        let looked = self.attention.as_ref().zip(state.source.as_ref());
        let looked = looked.map(|(attention, source)| -> Result<_> {
            let (context, weights) = attention.forward(&top(state)?.state, source)?;
            Ok((attention.input.forward(&context)?, attention.output.forward(&context)?, weights))
        });
        let looked = looked.transpose()?;
        if let Some((input, ..)) = &looked {
            x = input.add(&x)?;
        }
        let (y, layers) = self.decoder.forward(&x, &state.layers, &masks.layers)?;
        let mut output = self.output.forward(&masked(&y, masks.output.as_ref())?)?;
        if let Some((_, read, _)) = &looked {
            output = output.add(read)?;
        }
        let state = RecurrentState { layers, source: state.source.clone() };
        Ok(RecurrentStep { output, state, attention: looked.map(|(.., weights)| weights) })
    }

    /// Ratings `[B, T, V]` of next words, before the softmax.
    pub fn logits(&self, outputs: &T) -> Result<T> {
        outputs.linear(&self.words, None)
    }

    /// Logits `[B, T, V]` of `steps` words. `next` gives the words `[B, 1]` that a step gets, from the number of the step and
    /// the output of the one before: the right ones (teacher forcing) or the network's own.
    pub fn decode(
        &self,
        mut state: RecurrentState<T>,
        steps: usize,
        dropout: &dyn Dropout<T>,
        mut next: impl FnMut(usize, Option<&T>) -> Result<T>,
    ) -> Result<T> {
        let masks = self.masks(&state, dropout)?;
        let mut outputs: Vec<T> = Vec::with_capacity(steps);
        for i in 0..steps {
            let step = self.step(&next(i, outputs.last())?, &state, &masks)?;
            outputs.push(step.output);
            state = step.state;
        }
        self.logits(&joined(&outputs)?)
    }
}

fn top<T>(state: &RecurrentState<T>) -> Result<&Hidden<T>> {
    state.layers.last().ok_or_else(|| Error::Checkpoint("a decoder without layers".into()))
}
