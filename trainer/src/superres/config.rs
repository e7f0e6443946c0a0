//! Everything that decides a run of super-resolution: `config.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use candle_core::{DType, Device};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use shared::Scope;
use shared::checkpoint::Checkpoint;
use shared::models::{ImageConfig, ImageNetwork};
use shared::picture::Picture;
use tracing::info;

use super::task::Enlarging;
use crate::data::pairs::Pairs;
use crate::data::{dead_leaves, folder};
use crate::learner::{Length, Run};
use crate::optimizer::OptimizerConfig;
use crate::schedule::Schedule;
use crate::variables::Variables;

/// What the forward and backward passes compute in. Weights and their updates are f32 always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with the range of f32: for CUDA.
    Bf16,
    /// 16 bits with a scaled loss: for CUDA.
    F16,
}

impl Precision {
    /// candle's name for it.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }
}

/// What is learnt; other systems get names of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskName {
    /// Enlarging pictures.
    Superres,
}

/// The whole configuration of a run. The same configuration on the same kind of device gives the same weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is learnt.
    pub task: TaskName,
    /// Folders of pictures to learn from; none: they are made up.
    pub data: Vec<PathBuf>,
    /// Folders of pictures to validate on; none: some of the others are kept back.
    pub validation: Vec<PathBuf>,
    /// Weights to start from where names and sizes agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// Seed of weights and data.
    pub seed: u64,
    /// Pairs of patches a batch, at the largest size.
    pub batch: u32,
    /// Sides of the small patches, each for an equal part of the run.
    pub sizes: Vec<u32>,
    /// Batches a step.
    pub accumulate: u64,
    /// Batches from one validation to the next.
    pub epoch_steps: u64,
    /// Highest learning rate.
    pub rate: f64,
    /// Longest gradient, as L2 norm of all.
    pub clip: f64,
    /// Decay of the weights' average; 0: none is kept.
    pub ema: f64,
    /// What is computed in.
    pub precision: Precision,
    /// End after so many epochs without a better result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// Learn one batch by heart.
    pub overfit: bool,
    /// When the run ends.
    pub length: Length,
    /// The network.
    pub network: ImageConfig,
    /// What changes the weights.
    pub optimizer: OptimizerConfig,
    /// Learning rate and momentum over the run.
    pub schedule: Schedule,
    /// Factors on the learning rate by the beginning of a parameter's name, e.g. `body = 0.1`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shares: BTreeMap<String, f64>,
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
        self.schedule.validate()?;
        self.optimizer.validate()?;
        let within = |name: &str, value: f64, least: f64, most: f64| {
            ensure!(value >= least && value <= most, "{name} is {value}, and must lie between {least} and {most}");
            Ok(())
        };
        within("rate", self.rate, 1e-9, 10.0)?;
        within("clip", self.clip, 1e-9, 1e9)?;
        within("ema", self.ema, 0.0, 0.999_999)?;
        within("batch", self.batch.into(), 1.0, 4096.0)?;
        within("accumulate", self.accumulate as f64, 1.0, 1e6)?;
        within("epoch_steps", self.epoch_steps as f64, 1.0, 1e9)?;
        ensure!(!self.sizes.is_empty(), "sizes is empty");
        for size in &self.sizes {
            within("a patch", (*size).into(), 4.0, 1024.0)?;
        }
        for (layer, share) in &self.shares {
            within(&format!("the share of {layer}"), *share, 0.0, 1000.0)?;
        }
        match self.length {
            Length::Minutes(minutes) => within("minutes", minutes, 1e-3, 1e6),
            Length::Steps(steps) => within("steps", steps as f64, 1.0, 1e9),
        }
    }

    /// Reads the data and builds what is learnt, with the run at its beginning.
    ///
    /// # Errors
    /// When there is no data, or `from` does not fit.
    pub fn prepare(&self, device: Device, bar: impl Fn(&str) -> indicatif::ProgressBar) -> Result<(Enlarging, Run)> {
        let (pictures, validation, source) = self.pictures(bar)?;
        let sizes: Vec<usize> = self.sizes.iter().map(|size| *size as usize).collect();
        let largest = sizes.iter().copied().max().unwrap_or_default();
        let pairs = Pairs::new(pictures, self.network.scale(), largest, self.seed)?;

        let variables = Variables::new(&device, self.seed);
        ImageNetwork::new(&self.network, &Scope::root(&variables))?;
        if let Some(from) = &self.from {
            let loaded = variables.load(&Checkpoint::read(from)?.tensors)?;
            if loaded == 0 {
                bail!("{}: none of its tensors fits this network", from.display());
            }
            info!("{loaded} of {} tensors from {}", variables.all().len(), from.display());
        }
        let parameters = variables.all();
        let count: usize = parameters.values().map(|var| var.elem_count()).sum();
        info!("{count} parameters, {} pictures, {} to validate", pairs.len(), validation.len());

        let mut run = Run::new(parameters, self.optimizer.build(), device, self.length);
        run.dtype = self.precision.dtype();
        run.epoch_steps = self.epoch_steps;
        run.overfit = self.overfit;
        run.shares = self.shares.iter().map(|(layer, share)| (layer.clone(), *share)).collect();
        // The longest name that fits counts: `body.0` before `body`.
        run.shares.sort_by_key(|(layer, _)| std::cmp::Reverse(layer.len()));
        let batch = format!("{} pairs of {} x {} pixels", u64::from(self.batch) * self.accumulate, largest, largest);
        run.provenance = BTreeMap::from(
            [("data", source), ("batch", batch), ("schedule", self.in_words()), ("program", program())]
                .map(|(fact, value)| (fact.to_owned(), value)),
        );
        Ok((Enlarging::new(self.network, pairs, &validation, self.batch as usize, sizes), run))
    }

    fn in_words(&self) -> String {
        format!("{}, {}, highest learning rate {}", self.schedule.name(), self.optimizer.name(), self.rate)
    }

    /// Pictures to train on, to validate on, and what to call them.
    fn pictures(&self, bar: impl Fn(&str) -> indicatif::ProgressBar) -> Result<(Vec<Picture>, Vec<Picture>, String)> {
        let load = |paths: &[PathBuf]| folder::load(paths, &bar("reading pictures {wide_bar} {pos}/{len}"));
        if self.data.is_empty() {
            let (train, val, size) = MADE_UP;
            let mut pictures = dead_leaves::pictures(train + val, size, self.seed);
            let kept = match self.validation.is_empty() {
                true => pictures.split_off(train),
                false => load(&self.validation)?,
            };
            return Ok((pictures, kept, "dead leaves, made up".to_owned()));
        }
        let pictures = load(&self.data)?;
        let names = self.data.iter().map(|p| p.file_name().unwrap_or(p.as_os_str()).to_string_lossy());
        let source = format!("{} ({} pictures)", names.collect::<Vec<_>>().join(", "), pictures.len());
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

fn program() -> String {
    concat!("Atelier ", env!("CARGO_PKG_VERSION")).to_owned()
}
