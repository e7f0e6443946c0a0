//! Putting a model into the page.

mod style;
mod superres;
mod translate;

use anyhow::Result;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Publish a super-resolution network.
    Superres(superres::Superres),
    /// Publish a network of many styles.
    Style(style::Style),
    /// Publish a network for translation, or for dates.
    Translate(translate::Translate),
}

impl Task {
    pub fn run(self) -> Result<()> {
        match self {
            Self::Superres(args) => args.run(),
            Self::Style(args) => args.run(),
            Self::Translate(args) => args.run(),
        }
    }
}
