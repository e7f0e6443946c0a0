//! Layers: a struct that holds parameters, a constructor that asks a [`crate::Scope`] for them, a `forward`.

mod conditional_instance_norm;
mod conv2d;
mod dropout;
mod instance_norm;
mod layer_norm;
mod linear;

pub use conditional_instance_norm::ConditionalInstanceNorm;
pub use conv2d::Conv2d;
pub use dropout::{Dropout, Keep};
pub use instance_norm::{EPSILON, InstanceNorm};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
