//! The engines: implementations of [`crate::Tensor`].

pub mod candle;
pub mod cost;
#[cfg(feature = "onnx")]
pub mod onnx;
#[cfg(feature = "webgpu")]
pub mod webgpu;
