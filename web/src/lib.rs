//! The page: a thin interface on `web-sys` (`ui`), and workers that hold the engines (`worker`), one for pictures and one for
//! sentences.
//!
//! They are three wasm binaries, so that the page stands before the engines have arrived, never waits for them, and needs no more of
//! them than what it is used for. What they say to each other is [`messages`]. What needs no browser is plain Rust, tested natively.

pub mod blend;
pub mod estimate;
pub mod formats;
pub mod language;
pub mod limits;
pub mod markdown;
pub mod messages;
pub mod text;
pub mod view;
pub mod words;

#[cfg(target_arch = "wasm32")]
pub mod channel;
#[cfg(target_arch = "wasm32")]
pub mod ui;
#[cfg(target_arch = "wasm32")]
pub mod worker;
