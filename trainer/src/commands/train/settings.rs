//! What every task's training is told.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::learner::Length;
use crate::optimizer::{AdamwConfig, OptimizerConfig, RmspropConfig, SgdConfig};
use crate::schedule::{Schedule, discriminative};
use crate::training::{Precision, Training};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OptimizerName {
    Sgd,
    Adam,
    Adamw,
    Rmsprop,
}

/// How it is learnt.
#[derive(Debug, Clone, Args)]
pub struct TrainingArgs {
    /// End after so many batches.
    #[arg(long, conflicts_with = "minutes")]
    steps: Option<u64>,
    /// End after so many minutes of training [default: 10].
    #[arg(long)]
    minutes: Option<f64>,
    /// Batches whose gradients are added up for a step.
    #[arg(long, default_value_t = 1)]
    accumulate: u64,
    /// Highest learning rate; `trainer lr-find` suggests one [default: 2e-3, 1e-3 for sentences].
    #[arg(long)]
    lr: Option<f64>,
    /// What changes the weights.
    #[arg(long, value_enum, default_value = "adam")]
    optimizer: OptimizerName,
    /// Learning rate over the run: one-cycle, cosine, constant, clr, or a TOML file with phases.
    #[arg(long, default_value = "one-cycle")]
    schedule: String,
    /// Factor on the learning rate of a part of the network, e.g. body=0.1; may be given again.
    #[arg(long, value_name = "LAYER=FACTOR", value_parser = share)]
    share: Vec<(String, f64)>,
    /// Discriminative rates: this factor for the first of --layers, 1 for the last, equal ratios between.
    #[arg(long, value_name = "FACTOR", requires = "layers")]
    discriminative: Option<f64>,
    /// Parts of the network in its order, e.g. head,body,tail.
    #[arg(long, value_delimiter = ',', requires = "discriminative")]
    layers: Vec<String>,
    /// What the forward and backward passes compute in.
    #[arg(long, value_enum, default_value = "f32")]
    precision: Precision,
    /// Longest gradient, as L2 norm of all together.
    #[arg(long, default_value_t = 1.0)]
    clip: f64,
    /// Decay of the weights' average; 0 keeps none.
    #[arg(long, default_value_t = 0.999)]
    ema: f64,
    /// Seed of weights and data.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Batches from one validation to the next.
    #[arg(long, default_value_t = 500)]
    every: u64,
    /// End after so many validations without a better result.
    #[arg(long)]
    patience: Option<u64>,
    /// Learn one batch by heart, as a test of the network.
    #[arg(long)]
    overfit: bool,
    /// Start from these weights wherever names and sizes agree.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

fn share(text: &str) -> Result<(String, f64), String> {
    let parts = text.split_once('=').and_then(|(layer, factor)| Some((layer.to_owned(), factor.parse().ok()?)));
    parts.ok_or_else(|| "must be LAYER=FACTOR, such as body=0.1".to_owned())
}

impl TrainingArgs {
    /// As part of a configuration; `rate` is the task's own.
    ///
    /// # Errors
    /// When a value makes no sense, or a file of phases cannot be read.
    pub fn training(self, rate: f64) -> Result<Training> {
        let schedule = match self.schedule.as_str() {
            "one-cycle" => Schedule::default(),
            "cosine" => Schedule::Cosine,
            "constant" => Schedule::Constant,
            "clr" => Schedule::clr(),
            file => Schedule::read(Path::new(file))?,
        };
        let optimizer = match self.optimizer {
            OptimizerName::Sgd => OptimizerConfig::Sgd(SgdConfig::default()),
            OptimizerName::Adam => OptimizerConfig::default(),
            OptimizerName::Adamw => OptimizerConfig::Adamw(AdamwConfig::default()),
            OptimizerName::Rmsprop => OptimizerConfig::Rmsprop(RmspropConfig::default()),
        };
        let mut shares = match self.discriminative {
            Some(first) => discriminative(&self.layers, first, 1.0)?,
            None => Vec::new(),
        };
        shares.extend(self.share);
        Ok(Training {
            from: self.from,
            seed: self.seed,
            accumulate: self.accumulate,
            epoch_steps: self.every,
            rate: self.lr.unwrap_or(rate),
            clip: self.clip,
            ema: self.ema,
            precision: self.precision,
            patience: self.patience,
            overfit: self.overfit,
            length: self.steps.map_or(Length::Minutes(self.minutes.unwrap_or(10.0)), Length::Steps),
            optimizer,
            schedule,
            shares: shares.into_iter().collect(),
        })
    }
}
