//! The WebGPU engine: records what a model computes, and runs the recording on the GPU.
//!
//! ```text
//! GpuTensor   recording: a graph of operations            (tensor)
//!    |        fusion: a list of steps, one kernel each     (lower, shuffle, step)
//!    |        placement: steps share few buffers           (memory)
//!  Plan       pipelines and bind groups made once; a run is a few submissions, mostly one, and one read-back
//!    |        measurement: how to cut convolutions here     (tuning)
//! Context     the device, its pipelines, what went wrong
//! ```
//!
//! Inside a plan a tensor `[N, C, H, W]` is stored in blocks of four channels, `[N, ceil(C / 4), H, W]` of `vec4`: every load
//! is 16 bytes, and four input times four output channels of a convolution are 16 products of 5 loads. Lanes beyond `C` hold
//! finite values that nothing reads: weights are zero there.
//!
//! In [`Precision::F16`] tensors and weights are stored in half the bytes, and convolutions multiply in f16. Everything else is
//! computed in f32: long sums, epilogues, and the statistics of norms, which are stored so too.

mod context;
pub mod kernels;
mod lower;
mod memory;
mod plan;
mod repeat;
mod shuffle;
mod step;
mod tensor;
mod tuning;

pub use context::{AdapterInfo, Context};
pub use memory::Precision;
pub use plan::Plan;
pub use repeat::{Carry, Repeat};
pub use tensor::{Blanks, Constants, GpuTensor};
pub use tuning::{Layer, Trial, Tuning};
