//! A checkpoint as a file for other programs.

use crate::checkpoint::{Checkpoint, METADATA};
use crate::engine::onnx::{Constants, Model, OnnxTensor};
use crate::models::ImageNetwork;
use crate::{Result, Scope};

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
