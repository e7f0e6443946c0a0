//! How anything is learnt: the settings that all tasks share.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use candle_core::{DType, Device};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use shared::checkpoint::Checkpoint;
use tracing::info;

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
    /// 16 bits with the range of f32: for CUDA; on a CPU with AMX (Intel's servers) the products of convolutions.
    Bf16,
    /// 16 bits with a scaled loss: for CUDA.
    F16,
}

impl Precision {
    /// What tensors are of on this device.
    fn dtype(self, device: &Device) -> DType {
        match self {
            _ if device.is_cpu() => DType::F32,
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }
}

/// Part of a run's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Weights to start from where names and sizes agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// Seed of weights and data.
    pub seed: u64,
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
    /// What changes the weights.
    pub optimizer: OptimizerConfig,
    /// Learning rate and momentum over the run.
    pub schedule: Schedule,
    /// Factors on the learning rate by the beginning of a parameter's name, e.g. `body = 0.1`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shares: BTreeMap<String, f64>,
}

impl Training {
    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// As said.
    pub fn validate(&self) -> Result<()> {
        self.schedule.validate()?;
        self.optimizer.validate()?;
        within("rate", self.rate, 1e-9, 10.0)?;
        within("clip", self.clip, 1e-9, 1e9)?;
        within("ema", self.ema, 0.0, 0.999_999)?;
        within("accumulate", self.accumulate as f64, 1.0, 1e6)?;
        within("epoch_steps", self.epoch_steps as f64, 1.0, 1e9)?;
        for (layer, share) in &self.shares {
            within(&format!("the share of {layer}"), *share, 0.0, 1000.0)?;
        }
        match self.length {
            Length::Minutes(minutes) => within("minutes", minutes, 1e-3, 1e6),
            Length::Steps(steps) => within("steps", steps as f64, 1.0, 1e9),
        }
    }

    /// The run at its beginning, of a network that has asked `variables` for its parameters.
    ///
    /// # Errors
    /// When `from` cannot be read or does not fit.
    pub fn begin(&self, variables: &Variables, device: Device) -> Result<Run> {
        if let Some(from) = &self.from {
            let loaded = variables.load(&Checkpoint::read(from)?.tensors)?;
            if loaded == 0 {
                bail!("{}: none of its tensors fits this network", from.display());
            }
            info!("{loaded} of {} tensors from {}", variables.all().len(), from.display());
        }
        let parameters = variables.all();
        info!("{} parameters", parameters.values().map(|var| var.elem_count()).sum::<usize>());

        let dtype = self.precision.dtype(&device);
        let mut run = Run::new(parameters, self.optimizer.build(), device, self.length);
        run.dtype = dtype;
        run.epoch_steps = self.epoch_steps;
        run.overfit = self.overfit;
        run.shares = self.shares.iter().map(|(layer, share)| (layer.clone(), *share)).collect();
        // The longest name that fits counts: `body.0` before `body`.
        run.shares.sort_by_key(|(layer, _)| std::cmp::Reverse(layer.len()));
        let schedule = format!("{}, {}, highest learning rate {}", self.schedule.name(), self.optimizer.name(), self.rate);
        let program = concat!("Atelier ", env!("CARGO_PKG_VERSION")).to_owned();
        run.provenance.extend([("schedule", schedule), ("program", program)].map(|(fact, value)| (fact.to_owned(), value)));
        Ok(run)
    }
}

/// Refuses a value beyond its limits, by name.
///
/// # Errors
/// As said.
pub fn within(name: &str, value: f64, least: f64, most: f64) -> Result<()> {
    ensure!(value >= least && value <= most, "{name} is {value}, and must lie between {least} and {most}");
    Ok(())
}
