//! Everything that decides a run of super-resolution: `config.toml`.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use candle_core::Device;
use serde::{Deserialize, Serialize};
use shared::Scope;
use shared::models::{ImageConfig, ImageNetwork};
use shared::picture::Picture;
use tracing::info;

use super::task::Enlarging;
use crate::data::pairs::Pairs;
use crate::data::{dead_leaves, folder};
use crate::learner::Run;
use crate::training::{Training, within};
use crate::variables::Variables;

/// The whole configuration of a run. The same configuration on the same kind of device gives the same weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folders of pictures to learn from; none: they are made up.
    pub data: Vec<PathBuf>,
    /// Folders of pictures to validate on; none: some of the others are kept back.
    pub validation: Vec<PathBuf>,
    /// Pairs of patches a batch, at the largest size.
    pub batch: u32,
    /// Sides of the small patches, each for an equal part of the run.
    pub sizes: Vec<u32>,
    /// The network.
    pub network: ImageConfig,
    /// How it is learnt.
    pub training: Training,
}

/// Made-up pictures for training, and for validation beside them, and their side.
const MADE_UP: (usize, usize, usize) = (96, 8, 384);

impl Config {
    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// As said.
    pub fn validate(&self) -> Result<()> {
        self.network.validate()?;
        self.training.validate()?;
        within("batch", self.batch.into(), 1.0, 4096.0)?;
        ensure!(!self.sizes.is_empty(), "sizes is empty");
        self.sizes.iter().try_for_each(|size| within("a patch", (*size).into(), 4.0, 1024.0))
    }

    /// Reads the data and builds what is learnt, with the run at its beginning.
    ///
    /// # Errors
    /// When there is no data, or `from` does not fit.
    pub fn prepare(&self, device: Device, bar: impl Fn(&str) -> indicatif::ProgressBar) -> Result<(Enlarging, Run)> {
        let (pictures, validation, source) = self.pictures(bar)?;
        let sizes: Vec<usize> = self.sizes.iter().map(|size| *size as usize).collect();
        let largest = sizes.iter().copied().max().unwrap_or_default();
        let pairs = Pairs::new(pictures, self.network.scale(), largest, self.training.seed)?;

        let seed = self.training.seed;
        let variables = Variables::new(&device, seed);
        ImageNetwork::new(&self.network, &Scope::root(&variables))?;
        let mut run = self.training.begin(&variables, device)?;
        info!("{} pictures, {} to validate", pairs.len(), validation.len());
        let batch = format!("{} pairs of {} x {} pixels", u64::from(self.batch) * self.training.accumulate, largest, largest);
        run.provenance.extend([("data", source), ("batch", batch)].map(|(fact, value)| (fact.to_owned(), value)));
        Ok((Enlarging::new(self.network, pairs, &validation, self.batch as usize, sizes), run))
    }

    /// Pictures to train on, to validate on, and what to call them.
    fn pictures(&self, bar: impl Fn(&str) -> indicatif::ProgressBar) -> Result<(Vec<Picture>, Vec<Picture>, String)> {
        let load = |paths: &[PathBuf]| folder::load(paths, &bar("reading pictures {wide_bar} {pos}/{len}"));
        if self.data.is_empty() {
            let (train, val, size) = MADE_UP;
            let mut pictures = dead_leaves::pictures(train + val, size, self.training.seed);
            let kept = match self.validation.is_empty() {
                true => pictures.split_off(train),
                false => load(&self.validation)?,
            };
            return Ok((pictures, kept, "dead leaves, made up".to_owned()));
        }
        let pictures = load(&self.data)?;
        let source = folder::described(&self.data, pictures.len());
        if !self.validation.is_empty() {
            return Ok((pictures, load(&self.validation)?, source));
        }
        // At most ten, so that validation stays quick; a single picture validates on itself.
        let is_kept = |i: usize| i.is_multiple_of(20) && i < 200 && pictures.len() > 1;
        let (kept, rest): (Vec<_>, Vec<_>) = pictures.iter().cloned().enumerate().partition(|(i, _)| is_kept(*i));
        let strip = |v: Vec<(usize, Picture)>| v.into_iter().map(|(_, p)| p).collect::<Vec<_>>();
        if kept.is_empty() {
            return Ok((pictures.clone(), pictures, source));
        }
        Ok((strip(rest), strip(kept), source))
    }
}
