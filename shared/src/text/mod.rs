//! Sentences: as numbers for a network, and cut from longer texts.

mod sentences;
mod tokenizer;

pub use sentences::{Piece, Unit, pieces};
pub use tokenizer::{FIRST, Tokenizer};

/// Fills a batch behind the end of a sentence.
pub const PADDING: u32 = 0;
/// What a decoder gets before the first word.
pub const START: u32 = 1;
/// What a decoder gives after the last word.
pub const END: u32 = 2;

/// In place of a language: dates, one a line.
pub const DATES: &str = "dates";
