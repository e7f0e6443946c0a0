//! Layers: a struct that holds parameters, a constructor that asks a [`crate::Scope`] for them, a `forward`.

mod conv2d;
mod instance_norm;

pub use conv2d::Conv2d;
pub use instance_norm::InstanceNorm;
