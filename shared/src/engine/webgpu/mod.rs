//! The WebGPU engine: records what a model computes, and runs the recording on the GPU.
//!
//! ```text
//! GpuTensor   recording: a graph of operations            (tensor)
//!    |        fusion: a list of steps, one kernel each     (lower)
//!    |        placement: steps share few buffers           (memory)
//!  Plan       pipelines and bind groups made once; a run is one submission and one read-back
//! Context     the device, its pipelines, what went wrong
//! ```
//!
//! Inside a plan a tensor `[N, C, H, W]` is stored in blocks of four channels, `[N, ceil(C / 4), H, W]` of `vec4<f32>`: every
//! load is 16 bytes, and four input times four output channels of a convolution are 16 products of 5 loads. Lanes beyond `C`
//! hold finite values that nothing reads: weights are zero there.

mod context;
pub mod kernels;
mod lower;
mod memory;
mod plan;
mod tensor;

pub use context::{AdapterInfo, Context};
pub use plan::Plan;
pub use tensor::{Blanks, Constants, GpuTensor};
