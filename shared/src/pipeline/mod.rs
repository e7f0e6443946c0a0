//! What surrounds a network: pictures in, pictures out; sentences in, sentences out.

mod adopt;
#[cfg(all(feature = "text", feature = "webgpu"))]
pub mod decoder;
mod enlarge;
#[cfg(feature = "text")]
pub mod language;
pub mod restyle;
#[cfg(feature = "text")]
pub mod search;
pub mod tiles;
#[cfg(feature = "text")]
pub mod translate;

pub use adopt::adopt;
pub use enlarge::{Enlargement, Tile};
