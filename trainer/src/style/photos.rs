//! Photos to learn from, and to validate on.

use std::path::PathBuf;

use anyhow::Result;
use shared::picture::Picture;

use crate::data::{dead_leaves, folder};

/// Made-up pictures and their side.
const MADE_UP: (usize, usize) = (64, 384);

/// Photos to validate on, where they are not given.
const KEPT: usize = 4;

/// What a network that restyles learns from.
pub struct Photos {
    /// To train on.
    pub training: Vec<Picture>,
    /// To validate on.
    pub validation: Vec<Picture>,
    /// What to call them.
    pub source: String,
}

impl Photos {
    /// Those of the folders `data`, or made up where there is none, and the first few of `validation`, or those kept back.
    ///
    /// # Errors
    /// When a folder cannot be read or holds none.
    pub fn read(
        data: &[PathBuf],
        validation: &[PathBuf],
        seed: u64,
        bar: &impl Fn(&str) -> indicatif::ProgressBar,
    ) -> Result<Self> {
        let load = |paths: &[PathBuf]| folder::load(paths, &bar("reading pictures {wide_bar} {pos}/{len}"));
        let (mut training, source) = if data.is_empty() {
            (dead_leaves::pictures(MADE_UP.0, MADE_UP.1, seed), "dead leaves, made up".to_owned())
        } else {
            let photos = load(data)?;
            let source = folder::described(data, photos.len());
            (photos, source)
        };
        let validation = match validation.is_empty() {
            true => training.split_off(training.len().saturating_sub(KEPT).max(1).min(training.len())),
            false => load(validation)?.into_iter().take(KEPT).collect(),
        };
        let validation = if validation.is_empty() { training.clone() } else { validation };
        Ok(Self { training, validation, source })
    }
}
