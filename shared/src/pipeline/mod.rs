//! What surrounds a network: pictures in, pictures out.

pub mod tiles;
