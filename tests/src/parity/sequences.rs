//! What works on sequences, and the networks that are made of it.

use super::*;
use shared::layers::Keep;
use shared::models::{CellKind, Sentences as Read, Seq2Seq, Seq2SeqConfig, Transformer, TransformerConfig};

fn linear<T: Tensor>(x: &T, name: &str, outputs: usize, bias: bool, constants: &Scope<T>) -> Result<T> {
    let inputs = x.dims().last().copied().unwrap_or_default();
    let scope = constants.sub(name);
    let weight = scope.get("weight", &[outputs, inputs], Init::Const(0.0))?;
    let bias = bias.then(|| scope.get("bias", &[outputs], Init::Const(0.0))).transpose()?;
    x.linear(&weight, bias.as_ref())
}

fn layer_norm<T: Tensor>(x: &T, constants: &Scope<T>) -> Result<T> {
    let features = [x.dims().last().copied().unwrap_or_default()];
    let scope = constants.sub("norm");
    let (weight, bias) = (scope.get("weight", &features, Init::Const(0.0))?, scope.get("bias", &features, Init::Const(0.0))?);
    x.layer_norm(&weight, &bias, 1e-2)
}

/// Whole numbers, below 3 where the name ends so; see [`constant`].
fn numbers<T: Tensor>(name: &str, dims: &[usize], constants: &Scope<T>) -> Result<T> {
    constants.get(&format!("numbers.{name}"), dims, Init::Const(0.0))
}

cases! {
    /// To other features, and an activation that joins.
    LinearRelu |x, c| linear(x, "a", 7, true, c)?.relu();
    /// Without a bias, of a row alone.
    LinearWide |x, c| linear(x, "a", 40, false, c);
    /// As in a feed-forward part: the skip joins.
    LinearSkip |x, c| linear(&linear(x, "a", 9, true, c)?.relu()?, "b", x.dims()[2], true, c)?.add(x);
    /// Over a wide range.
    Tanh |x, _c| x.affine(60.0, 0.0)?.tanh();
    /// Far from zero: the variance must not be the difference of two large sums.
    LayerNorm |x, c| layer_norm(&x.affine(4.0, 10.0)?, c)?.relu()?.add(x);
    /// Of a table that is computed, by a table of numbers.
    Take |x, c| x.take(&numbers("below", &[3], c)?)?.relu();
    /// An embedding.
    Embedding |x, c| {
        let table = c.get("table", &[3, 10], Init::Const(0.0))?;
        table.take(&numbers("below", &[2, 5], c)?)?.add(&linear(&table.take(&numbers("below", &[2, 5], c)?)?, "a", 10, true, c)?)?
            .linear(&c.get("out.weight", &[x.dims()[2], 10], Init::Const(0.0))?, None)
    };
    /// Of heads that end inside a block, with a mask for every query.
    Weights |x, c| {
        let [b, t, _] = [x.dims()[0], x.dims()[1], x.dims()[2]];
        let (q, k) = (linear(x, "q", 24, true, c)?, linear(x, "k", 24, true, c)?);
        q.attention_weights(&k, 3, Some(&c.get("mask", &[b, t, t], Init::Const(0.0))?))
    };
    /// One mask for all.
    Attention |x, c| {
        let t = x.dims()[1];
        let (q, k, v) = (linear(x, "q", 20, true, c)?, linear(x, "k", 20, true, c)?, linear(x, "v", 40, true, c)?);
        let weights = q.attention_weights(&k, 5, Some(&c.get("mask", &[1, 1, t], Init::Const(0.0))?))?;
        linear(&weights.attend(&v)?, "o", x.dims()[2], true, c)?.add(x)
    };
    /// Of another length than the queries, and without a mask.
    CrossAttention |x, c| {
        let source = c.get("source", &[x.dims()[0], 5, 8], Init::Const(0.0))?;
        let weights = linear(x, "q", 8, true, c)?.attention_weights(&source, 1, None)?;
        weights.attend(&source)
    };
    /// A cache that grows.
    Put |x, c| {
        let [b, f] = [x.dims()[0], x.dims()[2]];
        let row = linear(&c.get("row", &[b, 1, f], Init::Const(0.0))?, "a", f, true, c)?;
        x.put(&row, &numbers("zero", &[1], c)?)?.relu()
    };
    /// Of different lengths.
    CatTime |x, c| {
        let [b, f] = [x.dims()[0], x.dims()[2]];
        T::cat_time(&[x, &c.get("row", &[b, 1, f], Init::Const(0.0))?, &x.tanh()?])?.relu()
    };
}

/// A Transformer that reads and writes sentences at once; the input is what hides words of the source.
struct Sentences;

/// The same, three words one by one, for sentences that change places; the input likewise.
struct WordByWord;

const TRANSFORMER: TransformerConfig =
    TransformerConfig { vocabulary: 11, features: 16, heads: 2, hidden: 24, encoder: 2, decoder: 2, length: 8 };

fn words<T: Tensor>(name: &str, dims: &[usize], constants: &Scope<T>) -> Result<T> {
    constants.get(&format!("numbers.{name}.below"), dims, Init::Const(0.0))
}

/// 0 for what stands up to `position`, and very negative behind.
fn causal<T: Tensor>(dims: &[usize], constants: &Scope<T>) -> Result<T> {
    constants.get("causal", dims, Init::Const(0.0))
}

impl Compute for Sentences {
    fn compute<T: Tensor>(&self, x: &T, constants: &Scope<T>) -> Result<T> {
        let [b, s, t] = [x.dims()[0], x.dims()[2], 4];
        let model = Transformer::new(&TRANSFORMER, &constants.sub("model"))?;
        let source = model.encode(&words("source", &[b, s], constants)?, &words("at", &[b, s], constants)?, Some(x), &Keep)?;
        let (before, at) = (words("before", &[b, t], constants)?, words("when", &[b, t], constants)?);
        model.decode(&before, &at, &causal(&[1, t, t], constants)?, &source, Some(x), &Keep)
    }
}

impl Compute for WordByWord {
    fn compute<T: Tensor>(&self, x: &T, constants: &Scope<T>) -> Result<T> {
        let [b, s] = [x.dims()[0], x.dims()[2]];
        let model = Transformer::new(&TRANSFORMER, &constants.sub("model"))?;
        let source = model.encode(&words("source", &[b, s], constants)?, &words("at", &[b, s], constants)?, Some(x), &Keep)?;
        let mut state = model.start(&source, 4, |dims| constants.get("cache", dims, Init::Const(0.0)))?;
        let mut sum: Option<T> = None;
        for step in 0..3 {
            let scope = constants.sub("numbers").sub(step);
            let position = scope.get("below", &[1], Init::Const(0.0))?;
            let (word, at) = (words("word", &[b, 1], constants)?, words("when", &[b, 1], constants)?);
            let next = model.step(&word, &at, &position, &causal(&[1, 1, 4], constants)?, Some(x), &state)?;
            let turned = words("turned", &[b], constants)?;
            state = next.state.map(|t| t.take(&turned))?;
            sum = Some(sum.map_or(Ok(next.logits.clone()), |sum| sum.add(&next.logits))?);
        }
        sum.ok_or_else(|| shared::Error::shape("step", "none"))
    }
}

/// A recurrent network that looks from both ends, three words one by one, for sentences that change places; the input is the
/// mask of the source.
struct Recurrent(CellKind);

impl Compute for Recurrent {
    fn compute<T: Tensor>(&self, x: &T, constants: &Scope<T>) -> Result<T> {
        let (cell, features, encoder, decoder) = (self.0, 8, 2, 2);
        let (bidirectional, attention) = (true, true);
        let config = Seq2SeqConfig { vocabulary: 11, features, cell, encoder, decoder, bidirectional, attention, length: 8 };
        let [b, s] = [x.dims()[0], x.dims()[2]];
        let model = Seq2Seq::new(&config, &constants.sub("model"))?;
        let step = |t: usize| words(&format!("source.{t}"), &[b, 1], constants);
        let present = |t: usize| {
            let present = constants.sub("present").get(&t.to_string(), &[b, 1, features], Init::Const(0.0));
            (t > 1).then_some(present).transpose()
        };
        let source = Read {
            words: (0..s).map(step).collect::<Result<_>>()?,
            present: (0..s).map(present).collect::<Result<_>>()?,
            mask: Some(x.clone()),
        };
        let turned = words("turned", &[b], constants)?;
        let state = model.encode(source, &Keep)?.map(|t| t.take(&turned))?;
        model.decode(state, 3, &Keep, |t, _| words(&format!("word.{t}"), &[b, 1], constants))
    }
}

/// The networks.
pub async fn models(engine: &impl Engine, report: &mut Report) {
    let dims = [3, 1, 5];
    report.add("transformer", engine.check("transformer", &dims, MODEL, &Sentences).await);
    report.add("transformer, word by word", engine.check("word_by_word", &dims, MODEL, &WordByWord).await);
    for cell in [CellKind::Gru, CellKind::Lstm] {
        report.add(
            &format!("seq2seq of {cell:?}"),
            engine.check(&format!("seq2seq_{cell:?}"), &dims, MODEL, &Recurrent(cell)).await,
        );
    }
}
