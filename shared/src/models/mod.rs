//! The models. Each reads like its paper and is generic over [`crate::Tensor`].

mod config;
mod image;
mod plain;
mod rlfn;
mod sr_resnet;
mod transform_net;
mod transformer;
mod translation;

pub use config::Config;
pub use image::{ImageConfig, ImageNetwork};
pub use plain::{Plain, PlainConfig};
pub use rlfn::{Rlfn, RlfnConfig};
pub use sr_resnet::{SrResnet, SrResnetConfig};
pub use transform_net::{TransformNet, TransformNetConfig};
pub use transformer::{State, Step, Transformer, TransformerConfig};
pub use translation::TranslationConfig;
