//! The Transformer from sentence to sentence (Vaswani et al. 2017, arXiv:1706.03762), with the norm before each part (Xiong et
//! al. 2020, arXiv:2002.04745), one table for the words of both languages and for the output (Press & Wolf 2017,
//! arXiv:1608.05859), and more layers in the encoder, which runs once, than in the decoder, which runs once a word (Kasai et al.
//! 2021, arXiv:2006.10369).

use serde::{Deserialize, Serialize};

use super::config::within;
use super::language::embed;
use crate::layers::{Dropout, Keep, LayerNorm, Linear};
use crate::{Error, Init, Result, Scope, Tensor};

/// The size of a [`Transformer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransformerConfig {
    /// Rows of the table of words.
    pub vocabulary: usize,
    /// Features of a word.
    pub features: usize,
    /// Heads of an attention; a divisor of `features`.
    pub heads: usize,
    /// Features in the middle of a feed-forward part.
    pub hidden: usize,
    /// Layers of the encoder.
    pub encoder: usize,
    /// Layers of the decoder.
    pub decoder: usize,
    /// Words that a sentence may have, its end included.
    pub length: usize,
}

impl TransformerConfig {
    /// Refuses sizes that no sane network has.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] naming the value.
    pub fn validate(&self) -> Result<()> {
        let Self { vocabulary, features, heads, hidden, encoder, decoder, length } = *self;
        let sizes = [
            ("vocabulary", vocabulary, 4..=1 << 20),
            ("features", features, 4..=4096),
            ("heads", heads, 1..=64),
            ("hidden", hidden, 1..=16384),
            ("encoder", encoder, 1..=64),
            ("decoder", decoder, 1..=64),
            ("length", length, 2..=4096),
        ];
        sizes.into_iter().try_for_each(|(name, value, range)| within(name, value, range))?;
        if !features.is_multiple_of(4 * heads) {
            return Err(Error::Checkpoint(format!("{features} features do not divide among {heads} heads by fours")));
        }
        Ok(())
    }
}

/// Attention by several heads.
struct Attention<T> {
    query: Linear<T>,
    key: Linear<T>,
    value: Linear<T>,
    output: Linear<T>,
    heads: usize,
}

/// What an [`Attention`] looks at: keys and values, `[B, S, F]`.
#[derive(Clone)]
struct Memory<T> {
    keys: T,
    values: T,
}

impl<T: Tensor> Attention<T> {
    fn new(config: &TransformerConfig, scope: &Scope<T>) -> Result<Self> {
        let linear = |name| Linear::new(config.features, config.features, &scope.sub(name));
        Ok(Self {
            query: linear("query")?,
            key: linear("key")?,
            value: linear("value")?,
            output: linear("output")?,
            heads: config.heads,
        })
    }

    fn memory(&self, x: &T) -> Result<Memory<T>> {
        Ok(Memory { keys: self.key.forward(x)?, values: self.value.forward(x)? })
    }

    /// The result and the weights `[B, heads, T, S]`.
    fn forward(&self, x: &T, memory: &Memory<T>, mask: Option<&T>) -> Result<(T, T)> {
        let weights = self.query.forward(x)?.attention_weights(&memory.keys, self.heads, mask)?;
        Ok((self.output.forward(&weights.attend(&memory.values)?)?, weights))
    }
}

/// Two linear layers with a ReLU between them, word by word.
struct FeedForward<T> {
    first: Linear<T>,
    second: Linear<T>,
}

impl<T: Tensor> FeedForward<T> {
    fn new(config: &TransformerConfig, scope: &Scope<T>) -> Result<Self> {
        Ok(Self {
            first: Linear::new(config.features, config.hidden, &scope.sub("first"))?,
            second: Linear::new(config.hidden, config.features, &scope.sub("second"))?,
        })
    }

    fn forward(&self, x: &T) -> Result<T> {
        self.second.forward(&self.first.forward(x)?.relu()?)
    }
}

struct EncoderLayer<T> {
    attention_norm: LayerNorm<T>,
    attention: Attention<T>,
    hidden_norm: LayerNorm<T>,
    hidden: FeedForward<T>,
}

impl<T: Tensor> EncoderLayer<T> {
    fn new(config: &TransformerConfig, scope: &Scope<T>) -> Result<Self> {
        Ok(Self {
            attention_norm: LayerNorm::new(config.features, &scope.sub("attention_norm"))?,
            attention: Attention::new(config, &scope.sub("attention"))?,
            hidden_norm: LayerNorm::new(config.features, &scope.sub("hidden_norm"))?,
            hidden: FeedForward::new(config, &scope.sub("hidden"))?,
        })
    }

    fn forward(&self, x: &T, mask: Option<&T>, dropout: &dyn Dropout<T>) -> Result<T> {
        let normed = self.attention_norm.forward(x)?;
        let (y, _) = self.attention.forward(&normed, &self.attention.memory(&normed)?, mask)?;
        let x = dropout.drop(&y)?.add(x)?;
        dropout.drop(&self.hidden.forward(&self.hidden_norm.forward(&x)?)?)?.add(&x)
    }
}

struct DecoderLayer<T> {
    itself_norm: LayerNorm<T>,
    itself: Attention<T>,
    source_norm: LayerNorm<T>,
    source: Attention<T>,
    hidden_norm: LayerNorm<T>,
    hidden: FeedForward<T>,
}

impl<T: Tensor> DecoderLayer<T> {
    fn new(config: &TransformerConfig, scope: &Scope<T>) -> Result<Self> {
        Ok(Self {
            itself_norm: LayerNorm::new(config.features, &scope.sub("itself_norm"))?,
            itself: Attention::new(config, &scope.sub("itself"))?,
            source_norm: LayerNorm::new(config.features, &scope.sub("source_norm"))?,
            source: Attention::new(config, &scope.sub("source"))?,
            hidden_norm: LayerNorm::new(config.features, &scope.sub("hidden_norm"))?,
            hidden: FeedForward::new(config, &scope.sub("hidden"))?,
        })
    }

    /// `past` makes of the words' own keys and values those that they look at. Gives the result, that memory, and the weights
    /// over the source.
    fn forward(
        &self,
        x: &T,
        past: impl FnOnce(Memory<T>) -> Result<Memory<T>>,
        mask: &T,
        source: &Memory<T>,
        source_mask: Option<&T>,
        dropout: &dyn Dropout<T>,
    ) -> Result<(T, Memory<T>, T)> {
        let normed = self.itself_norm.forward(x)?;
        let memory = past(self.itself.memory(&normed)?)?;
        let (y, _) = self.itself.forward(&normed, &memory, Some(mask))?;
        let x = dropout.drop(&y)?.add(x)?;
        let (y, weights) = self.source.forward(&self.source_norm.forward(&x)?, source, source_mask)?;
        let x = dropout.drop(&y)?.add(&x)?;
        let x = dropout.drop(&self.hidden.forward(&self.hidden_norm.forward(&x)?)?)?.add(&x)?;
        Ok((x, memory, weights))
    }
}

/// What the decoder has seen: for every layer its own words so far, and the source.
#[derive(Clone)]
pub struct State<T> {
    layers: Vec<(Memory<T>, Memory<T>)>,
}

impl<T: Tensor> State<T> {
    /// The tensors `[B, T or S, F]`, always in one order.
    pub fn tensors(&self) -> impl Iterator<Item = &T> {
        self.layers.iter().flat_map(|(own, source)| [&own.keys, &own.values, &source.keys, &source.values])
    }

    /// With every tensor changed by `f`, e.g. to choose among the sentences of a beam.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn map(&self, mut f: impl FnMut(&T) -> Result<T>) -> Result<Self> {
        let mut memory = |m: &Memory<T>| -> Result<_> { Ok(Memory { keys: f(&m.keys)?, values: f(&m.values)? }) };
        let layers = self.layers.iter().map(|(own, source)| Ok((memory(own)?, memory(source)?)));
        Ok(Self { layers: layers.collect::<Result<_>>()? })
    }
}

/// What a step of decoding gives.
pub struct Step<T> {
    /// `[B, 1, V]`, before the softmax.
    pub logits: T,
    /// For the next step.
    pub state: State<T>,
    /// How much the word looked at every word of the source, `[B, heads, 1, S]`, in the last layer.
    pub attention: T,
}

/// From the words of one sentence to those of another. Words are numbers; see the module `text`.
pub struct Transformer<T> {
    config: TransformerConfig,
    /// `[V, F]`.
    words: T,
    /// `[length, F]`.
    positions: T,
    encoder: Vec<EncoderLayer<T>>,
    encoder_norm: LayerNorm<T>,
    decoder: Vec<DecoderLayer<T>>,
    decoder_norm: LayerNorm<T>,
}

impl<T: Tensor> Transformer<T> {
    /// A network of this size.
    pub fn new(config: &TransformerConfig, scope: &Scope<T>) -> Result<Self> {
        config.validate()?;
        let &TransformerConfig { vocabulary, features, encoder, decoder, length, .. } = config;
        let layer = |part: &str, i: usize| scope.sub(part).sub(i);
        Ok(Self {
            config: *config,
            // So that a word, times sqrt(F), has variance 1, and its product with a normed row has, too.
            words: scope.get("words", &[vocabulary, features], Init::Kaiming { gain: 1.0 })?,
            positions: scope.get("positions", &[length, features], Init::Sinusoid)?,
            encoder: (0..encoder).map(|i| EncoderLayer::new(config, &layer("encoder", i))).collect::<Result<_>>()?,
            encoder_norm: LayerNorm::new(features, &scope.sub("encoder_norm"))?,
            decoder: (0..decoder).map(|i| DecoderLayer::new(config, &layer("decoder", i))).collect::<Result<_>>()?,
            decoder_norm: LayerNorm::new(features, &scope.sub("decoder_norm"))?,
        })
    }

    fn embed(&self, words: &T, positions: &T) -> Result<T> {
        embed(&self.words, words)?.add(&self.positions.take(positions)?)
    }

    /// The source as the decoder sees it, `[B, S, F]`: `words` and `positions` are `[B, S]`, `mask` `[B, 1, S]` is very negative
    /// behind the end of a sentence.
    pub fn encode(&self, words: &T, positions: &T, mask: Option<&T>, dropout: &dyn Dropout<T>) -> Result<T> {
        let mut x = dropout.drop(&self.embed(words, positions)?)?;
        for layer in &self.encoder {
            x = layer.forward(&x, mask, dropout)?;
        }
        self.encoder_norm.forward(&x)
    }

    /// Logits `[B, T, V]` of every next word at once, given the right words before it (teacher forcing). `words` and `positions`
    /// are `[B, T]`, `source` is what [`Transformer::encode`] gave, `mask` `[1, T, T]` hides later words, `source_mask` is that
    /// of the encoder.
    pub fn decode(
        &self,
        words: &T,
        positions: &T,
        mask: &T,
        source: &T,
        source_mask: Option<&T>,
        dropout: &dyn Dropout<T>,
    ) -> Result<T> {
        let mut x = dropout.drop(&self.embed(words, positions)?)?;
        for layer in &self.decoder {
            let source = layer.source.memory(source)?;
            (x, ..) = layer.forward(&x, Ok, mask, &source, source_mask, dropout)?;
        }
        self.decoder_norm.forward(&x)?.linear(&self.words, None)
    }

    /// The state before the first word, for at most `cache` words; `zeros` gives a tensor of zeros.
    pub fn start(&self, source: &T, cache: usize, zeros: impl Fn(&[usize]) -> Result<T>) -> Result<State<T>> {
        let empty = [source.dims()[0], cache, self.config.features];
        let layer = |layer: &DecoderLayer<T>| {
            let own = Memory { keys: zeros(&empty)?, values: zeros(&empty)? };
            Ok((own, layer.source.memory(source)?))
        };
        Ok(State { layers: self.decoder.iter().map(layer).collect::<Result<_>>()? })
    }

    /// One word further: `words` `[B, 1]` are the last ones, `positions` `[B, 1]` and `position` `[1]` say where they stand,
    /// `mask` `[1, 1, cache]` hides what is not written yet.
    pub fn step(
        &self,
        words: &T,
        positions: &T,
        position: &T,
        mask: &T,
        source_mask: Option<&T>,
        state: &State<T>,
    ) -> Result<Step<T>> {
        let mut x = self.embed(words, positions)?;
        let mut layers = Vec::with_capacity(self.decoder.len());
        let mut attention = None;
        for (layer, (own, source)) in self.decoder.iter().zip(&state.layers) {
            let past = |now: Memory<T>| {
                Ok(Memory { keys: own.keys.put(&now.keys, position)?, values: own.values.put(&now.values, position)? })
            };
            let (y, memory, weights) = layer.forward(&x, past, mask, source, source_mask, &Keep)?;
            x = y;
            layers.push((memory, source.clone()));
            attention = Some(weights);
        }
        let attention = attention.ok_or_else(|| Error::Checkpoint("a decoder without layers".into()))?;
        let logits = self.decoder_norm.forward(&x)?.linear(&self.words, None)?;
        Ok(Step { logits, state: State { layers }, attention })
    }
}
