//! Style transfer: one picture at a time, and a network that does it at once.

pub mod adain;
pub mod card;
pub mod config;
pub mod crops;
pub mod evaluate;
pub mod gatys;
pub mod judge;
pub mod lpips;
pub mod photos;
pub mod pictures;
pub mod task;
