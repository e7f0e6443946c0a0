//! What each part or choice is worth, measured alike.

mod gatys;
mod style;
mod translate;

use anyhow::Result;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Compare networks for translation.
    Translate(Box<translate::Translate>),
    /// Compare what moves the pixels of one picture, and what of a style is matched.
    Gatys(Box<gatys::Gatys>),
    /// Compare a network that restyles at once with L-BFGS.
    Style(Box<style::Style>),
}

impl Task {
    pub fn run(self) -> Result<()> {
        match self {
            Self::Translate(args) => args.run(),
            Self::Gatys(args) => args.run(),
            Self::Style(args) => args.run(),
        }
    }
}
