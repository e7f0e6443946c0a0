//! Atelier's models, written once, and the engines that run them.
//!
//! A model is generic over [`Tensor`]. [`engine::candle`] computes at once, with gradients: it trains, it is the oracle of the
//! tests and the CPU path of the page. [`engine::webgpu`] records the same calls into a plan for the GPU, `engine::onnx` into a
//! file for other programs.

pub mod catalogue;
pub mod checkpoint;
pub mod engine;
mod error;
#[cfg(feature = "onnx")]
pub mod export;
pub mod imresize;
pub mod layers;
pub mod models;
pub mod picture;
pub mod pipeline;
pub mod session;
pub mod tensor;
#[cfg(feature = "text")]
pub mod text;
pub mod weights;

pub use error::{Error, Result};
pub use tensor::Tensor;
pub use weights::{Init, Scope, Source};
