//! What surrounds a network: pictures in, pictures out.

mod enlarge;
pub mod tiles;

pub use enlarge::{Enlargement, Tile};
