//! The WebGPU engine.
