//! Using a model.

mod style;
mod superres;
mod translate;

use anyhow::Result;
use clap::Subcommand;

pub use style::style_part;

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Enlarge a picture.
    Superres(superres::Superres),
    /// Redraw a picture in the style of others.
    Style(style::Style),
    /// Translate a text, or bring dates into one form.
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
