//! The models. Each reads like its paper and is generic over [`crate::Tensor`].

mod rlfn;
mod sr_resnet;
mod superres;

pub use rlfn::{Rlfn, RlfnConfig};
pub use sr_resnet::{SrResnet, SrResnetConfig};
pub use superres::{Superres, SuperresConfig};
