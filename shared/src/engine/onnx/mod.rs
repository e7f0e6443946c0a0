//! The ONNX engine: records what a model computes, for other programs to run.
//!
//! ```text
//! OnnxTensor   recording: a graph of ONNX's operators     (tensor)
//!              what words say beside themselves           (words)
//!  Model       what the output needs, named, in order     (model)
//!  bytes       protobuf, by messages written out here     (proto)
//! ```
//!
//! Batch, height and width are recorded as numbers, because a model may ask for them, but they are no part of what is written:
//! every operator takes its sizes from its input. Only where a parameter has the size of the input is the model bound to it.

mod model;
mod proto;
mod tensor;
#[cfg(feature = "text")]
mod words;

pub use model::{Model, OPSET, Port};
pub use tensor::{Constants, OnnxTensor};
