//! The models. Each reads like its paper and is generic over [`crate::Tensor`].

mod image;
mod plain;
mod rlfn;
mod sr_resnet;
mod transform_net;

pub use image::{ImageConfig, ImageNetwork};
pub use plain::{Plain, PlainConfig};
pub use rlfn::{Rlfn, RlfnConfig};
pub use sr_resnet::{SrResnet, SrResnetConfig};
pub use transform_net::{TransformNet, TransformNetConfig};
