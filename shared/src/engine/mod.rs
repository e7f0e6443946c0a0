//! The engines: implementations of [`crate::Tensor`].

pub mod candle;
#[cfg(feature = "webgpu")]
pub mod webgpu;
