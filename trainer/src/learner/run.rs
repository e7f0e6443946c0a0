use std::collections::BTreeMap;
use std::time::Duration;

use candle_core::{DType, Device, Tensor, Var};
use serde::{Deserialize, Serialize};
use shared::checkpoint::{Checkpoint, Metadata};
use shared::picture::Picture;

use crate::optimizer::Optimizer;
use crate::variables::to_dense;

/// Trainable f32 tensors by name.
pub type Parameters = BTreeMap<String, Var>;

/// When a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Length {
    /// After so many batches.
    Steps(u64),
    /// After so many minutes of training.
    Minutes(f64),
}

/// A running mean.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Mean {
    /// Of the values.
    pub sum: f64,
    /// How many.
    pub count: f64,
}

impl Mean {
    /// One more value.
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }

    /// Zero of nothing.
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1.0)
    }
}

/// What validation found.
pub struct Validation {
    /// The loss.
    pub loss: f64,
    /// Metrics by name, the one that decides first; higher is better.
    pub metrics: Vec<(&'static str, f64)>,
    /// Something to look at.
    pub sample: Option<Sample>,
}

/// Something to look at.
pub enum Sample {
    /// A picture.
    Picture(Picture),
    /// Sentences.
    Text(String),
}

/// Where a run stands: everything that the loop and its callbacks share.
pub struct Run {
    /// The weights.
    pub parameters: Parameters,
    /// Changes them.
    pub optimizer: Box<dyn Optimizer>,
    /// Factors on the rates of layers, by the beginning of their names; the first that fits counts (discriminative rates).
    pub shares: Vec<(String, f64)>,
    /// Where to compute.
    pub device: Device,
    /// What the forward pass computes in; weights and their updates are f32 always.
    pub dtype: DType,
    /// When the run ends.
    pub length: Length,
    /// Batches from one validation to the next.
    pub epoch_steps: u64,
    /// Learn the first batch by heart: the first test of a new model.
    pub overfit: bool,

    /// Batches done.
    pub step: u64,
    /// Epochs done.
    pub epoch: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// The learning rate.
    pub rate: f64,
    /// The momentum, where the schedule moves it.
    pub momentum: Option<f64>,
    /// The last batch's loss.
    pub loss: f64,
    /// The mean since the last validation.
    pub losses: Mean,
    /// The loss is multiplied by it before the backward pass, so that small gradients do not vanish in f16.
    pub loss_scale: f64,
    /// By parameter; summed up until a step is made.
    pub gradients: BTreeMap<String, Tensor>,
    /// Their norm, where a callback has computed it.
    pub norm: f64,
    /// What the last validation found.
    pub validation: Option<Validation>,
    /// How long the last batch was waited for.
    pub waited: Duration,
    /// The last batch in words.
    pub described: String,

    /// Tensors that callbacks find again on resume. `average.NAME` are the weights to use instead of the last ones.
    pub kept: BTreeMap<String, Tensor>,
    /// Numbers that callbacks find again on resume.
    pub facts: BTreeMap<String, f64>,
    /// What checkpoints say of their origin.
    pub provenance: BTreeMap<String, String>,
}

impl Run {
    /// At its beginning: in f32, validated every 500 batches.
    pub fn new(parameters: Parameters, optimizer: Box<dyn Optimizer>, device: Device, length: Length) -> Self {
        Self {
            parameters,
            optimizer,
            shares: Vec::new(),
            device,
            dtype: DType::F32,
            length,
            epoch_steps: 500,
            overfit: false,
            step: 0,
            epoch: 0,
            seconds: 0.0,
            rate: 0.0,
            momentum: None,
            loss: 0.0,
            losses: Mean::default(),
            loss_scale: 1.0,
            gradients: BTreeMap::new(),
            norm: 0.0,
            validation: None,
            waited: Duration::ZERO,
            described: String::new(),
            kept: BTreeMap::new(),
            facts: BTreeMap::new(),
            provenance: BTreeMap::new(),
        }
    }

    /// The part of the run that is done, 1 at its end.
    pub fn progress(&self) -> f64 {
        self.progress_at(self.step)
    }

    /// The part that is done at `step`; of a run that is limited in time, the part that is done now.
    pub fn progress_at(&self, step: u64) -> f64 {
        let part = match self.length {
            Length::Steps(steps) => step as f64 / steps.max(1) as f64,
            Length::Minutes(minutes) => self.seconds / (60.0 * minutes).max(1e-9),
        };
        part.min(1.0)
    }

    /// Whether the run has reached its length.
    pub fn is_finished(&self) -> bool {
        self.progress() >= 1.0
    }

    /// Whether the next batch is an epoch's first.
    pub fn begins_epoch(&self) -> bool {
        self.step.is_multiple_of(self.epoch_steps.max(1))
    }

    /// Whether the last batch was an epoch's last.
    pub fn ends_epoch(&self) -> bool {
        self.step > 0 && self.begins_epoch()
    }

    /// Which batch `step` learns from.
    pub fn batch_of(&self, step: u64) -> u64 {
        if self.overfit { 0 } else { step }
    }

    /// The metric that decides, at the last validation.
    pub fn score(&self) -> Option<f64> {
        self.validation.as_ref()?.metrics.first().map(|(_, value)| *value)
    }

    /// The weights to use: their average where one is kept, else the last ones.
    ///
    /// # Errors
    /// When the device fails.
    pub fn weights(&self, metadata: Metadata) -> shared::Result<Checkpoint> {
        let tensor = |(name, var)| (name, self.kept.get(&format!("average.{name}")).unwrap_or(Var::as_tensor(var)));
        let tensors = to_dense(self.parameters.iter().map(tensor))?;
        let mut provenance = self.provenance.clone();
        provenance.insert("steps".into(), self.step.to_string());
        provenance.insert("minutes".into(), format!("{:.1}", self.seconds / 60.0));
        Ok(Checkpoint { metadata: Metadata { provenance, ..metadata }, tensors })
    }
}
