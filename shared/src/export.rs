//! A checkpoint as a file for other programs.

use crate::checkpoint::{Checkpoint, METADATA};
use crate::engine::onnx::{Constants, Model, OnnxTensor};
use crate::models::ImageNetwork;
use crate::{Result, Scope};
#[cfg(feature = "text")]
use {
    crate::engine::onnx::Port,
    crate::layers::Keep,
    crate::models::{Config, LanguageModel, Sentences, Seq2Seq, Transformer, TranslationConfig},
};

/// Side of the picture that is recorded. No trace of it stays; it is wide enough for any padding and stride.
const SIDE: usize = 64;

/// The network of `checkpoint` under the name `name`, from `[batch, 3, height, width]` to a picture in its layout; one of many
/// styles in `mixture` of them, which is empty elsewhere. The checkpoint's metadata is the model's too, under the same key.
///
/// # Errors
/// [`crate::Error::Checkpoint`] when the weights do not fit the configuration, [`crate::Error::Onnx`] when ONNX cannot hold the
/// network.
pub fn onnx(checkpoint: &Checkpoint, name: &str, mixture: &[f32]) -> Result<Model> {
    let network = ImageNetwork::new(checkpoint.image()?, &Scope::root(&Constants { checkpoint }))?;
    let input = OnnxTensor::input([1, 3, SIDE, SIDE]);
    let output = match mixture {
        [] => network.forward(&input)?,
        _ => network.restyle(&input, &OnnxTensor::parameter("mixture", mixture.to_vec(), &[mixture.len()])?)?,
    };
    let model = Model::new(name, &input, &output)?;
    Ok(model.with_metadata(METADATA, checkpoint.metadata.to_json()?))
}

/// Words of a sentence that is recorded, where any number will do. Two numbers, so that none of them can stand for the other.
#[cfg(feature = "text")]
const SENTENCES: [usize; 2] = [5, 7];

/// The network for sentences of `checkpoint` under the name `name`: from `source` and `target`, numbers of words `[batch, words]`
/// with padding behind, to `logits` `[batch, words, vocabulary]` of the word that follows each of `target`, whose first is the
/// start. A Transformer takes any number of words; a recurrent network takes one word after another, and so as many as `words`.
/// A language model has the target alone.
///
/// # Errors
/// As [`onnx`].
#[cfg(feature = "text")]
pub fn onnx_of_sentences(checkpoint: &Checkpoint, name: &str, words: usize) -> Result<Model> {
    let constants = Constants { checkpoint };
    let scope = Scope::root(&constants);
    let columns = |x: &OnnxTensor| (0..words).map(|i| x.column(i)).collect::<Vec<_>>();
    let (source, target, logits) = match &checkpoint.metadata.config {
        Config::Image(_) => return Err(crate::Error::Checkpoint("a network for pictures, not for sentences".into())),
        Config::Language(config) => {
            let target = OnnxTensor::words([1, words]);
            let logits = LanguageModel::new(config, &scope)?.forward(&columns(&target), &Keep)?;
            (None, target, logits)
        }
        Config::Translation(TranslationConfig::Transformer(config)) => {
            let network = Transformer::new(config, &scope)?;
            let [source, target] = SENTENCES.map(|words| OnnxTensor::words([1, words]));
            let ends = source.end_mask()?;
            let read = network.encode(&source, &source.positions()?, Some(&ends), &Keep)?;
            let logits = network.decode(&target, &target.positions()?, &target.later_mask()?, &read, Some(&ends), &Keep)?;
            (Some(source), target, logits)
        }
        Config::Translation(TranslationConfig::Seq2Seq(config)) => {
            let network = Seq2Seq::new(config, &scope)?;
            let [source, target] = [OnnxTensor::words([1, words]), OnnxTensor::words([1, words])];
            let steps = columns(&source);
            let present = steps.iter().map(|step| Some(step.presence(config.features))).collect();
            let state = network.encode(Sentences { words: steps, present, mask: Some(source.end_mask()?) }, &Keep)?;
            let logits = network.decode(state, words, &Keep, |i, _| Ok(target.column(i)))?;
            (Some(source), target, logits)
        }
    };
    let any = matches!(checkpoint.metadata.config, Config::Translation(TranslationConfig::Transformer(_)));
    let axes = |name| if any { ["batch", name, ""] } else { ["batch", "", ""] };
    let [of_source, of_target] = [axes("source_words"), axes("target_words")];
    let target = Port { name: "target", tensor: &target, axes: &of_target };
    let source = source.as_ref().map(|source| Port { name: "source", tensor: source, axes: &of_source });
    let inputs: Vec<Port> = source.into_iter().chain([target]).collect();
    let model = Model::of(name, &inputs, &Port { name: "logits", tensor: &logits, axes: &of_target })?;
    Ok(model.with_metadata(METADATA, checkpoint.metadata.to_json()?))
}
