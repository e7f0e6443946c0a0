//! Shared test helpers.

#[cfg(not(target_arch = "wasm32"))]
pub mod browser;
pub mod golden;
pub mod parity;
#[cfg(not(target_arch = "wasm32"))]
pub mod random;
