//! Style transfer: one picture at a time, and a network that does it at once.

pub mod card;
pub mod config;
pub mod crops;
pub mod evaluate;
pub mod gatys;
pub mod judge;
pub mod pictures;
pub mod task;
