//! Shared test helpers.

pub mod golden;
pub mod parity;
#[cfg(not(target_arch = "wasm32"))]
pub mod random;
