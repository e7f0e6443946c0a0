//! Measuring.

mod style;
mod superres;
mod translate;

use anyhow::Result;
use clap::Subcommand;

pub use style::TestArgs as StyleTest;
pub use superres::{Superres, mean, measure};
pub use translate::{Searching, open, translate};

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Measure a super-resolution network.
    Superres(Superres),
    /// Measure a network of many styles.
    Style(style::Style),
    /// Measure a network for translation.
    Translate(translate::Translate),
    /// Measure a network that reads dates.
    Dates(translate::Dates),
}

impl Task {
    pub fn run(self) -> Result<()> {
        match self {
            Self::Superres(args) => args.run(),
            Self::Style(args) => args.run(),
            Self::Translate(args) => args.run(),
            Self::Dates(args) => args.run(),
        }
    }
}
