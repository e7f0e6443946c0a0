//! Shared test helpers.

pub mod golden;
#[cfg(not(target_arch = "wasm32"))]
pub mod gpu;
pub mod parity;
#[cfg(not(target_arch = "wasm32"))]
pub mod random;
