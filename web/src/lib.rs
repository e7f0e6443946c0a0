//! The page: a thin interface on `web-sys` (`ui`), and a worker that holds the engines (`worker`).
//!
//! They are two wasm binaries, so that the page stands before the engines have arrived and never waits for them. What they say
//! to each other is [`messages`]. What needs no browser is plain Rust, tested natively.

pub mod estimate;
pub mod formats;
pub mod limits;
pub mod markdown;
pub mod messages;
pub mod text;
pub mod view;

#[cfg(target_arch = "wasm32")]
pub mod channel;
#[cfg(target_arch = "wasm32")]
pub mod ui;
#[cfg(target_arch = "wasm32")]
pub mod worker;
