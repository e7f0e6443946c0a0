//! Using a model.

mod superres;
mod translate;

use anyhow::Result;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Enlarge a picture.
    Superres(superres::Superres),
    /// Translate a text, or bring dates into one form.
    Translate(translate::Translate),
}

impl Task {
    pub fn run(self) -> Result<()> {
        match self {
            Self::Superres(args) => args.run(),
            Self::Translate(args) => args.run(),
        }
    }
}
