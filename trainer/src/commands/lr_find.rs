use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use tracing::info;

use super::train::Settings;
use crate::device::Choice;
use crate::learner::callbacks::{Clipping, LrFinder, Progress};
use crate::learner::{Learner, Length};
use crate::runs::{plot, write_atomically};

const EXAMPLES: &str = "Example:
  trainer lr-find superres --scale 2 --size quality --data photos --plot lr.png
Then train with the rate that it prints: trainer train superres --lr ...";

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Find a learning rate for a super-resolution network.
    #[command(after_help = EXAMPLES)]
    Superres(Superres),
}

/// Raises the learning rate from batch to batch until the loss grows, and suggests one. Nothing is trained.
#[derive(Debug, Args)]
pub struct Superres {
    #[command(flatten)]
    settings: Settings,
    /// The first rate.
    #[arg(long, default_value_t = 1e-6)]
    from_lr: f64,
    /// The last one.
    #[arg(long, default_value_t = 1.0)]
    to_lr: f64,
    /// The plot; a PNG and an SVG of this name are written.
    #[arg(long, value_name = "FILE", default_value = "lr-find.png")]
    plot: PathBuf,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    device: Choice,
}

/// Batches, unless --steps says otherwise.
const STEPS: u64 = 100;

impl Superres {
    pub fn run(self) -> Result<()> {
        anyhow::ensure!(
            self.from_lr > 0.0 && self.from_lr < self.to_lr && self.to_lr.is_finite(),
            "--from-lr {} and --to-lr {} must be positive and rise",
            self.from_lr,
            self.to_lr
        );
        super::writable(&self.plot)?;
        let mut config = self.settings.config()?;
        let steps = match config.training.length {
            Length::Steps(steps) => steps,
            Length::Minutes(_) => STEPS,
        };
        config.training.length = Length::Steps(steps);
        // No validation: the loss of the batches is what counts.
        config.training.epoch_steps = u64::MAX;
        let (task, run) = config.prepare(self.device.open()?, super::progress_bar)?;
        let bar = super::progress_bar("{elapsed_precise} {wide_bar} {percent}% {msg}");
        let mut points = Vec::new();
        let finder = LrFinder { from: self.from_lr, to: self.to_lr, steps, points: &mut points };
        let callbacks: Vec<Box<dyn crate::learner::Callback + '_>> =
            vec![Box::new(finder), Box::new(Clipping { max_norm: config.training.clip }), Box::new(Progress { bar })];
        Learner::new(&task, run, callbacks).fit()?;

        let suggestion = plot::suggest(&points).context("the loss never fell; try a lower --from-lr or more --steps")?;
        let (svg, png) = plot::lr_find(&points, suggestion)?;
        write_atomically(&self.plot.with_extension("svg"), svg.as_bytes())?;
        write_atomically(&self.plot.with_extension("png"), &png)?;
        info!(
            "{} and .svg: the loss over the learning rate, {} batches",
            self.plot.with_extension("png").display(),
            points.len()
        );
        #[allow(clippy::print_stdout)] // The result.
        {
            println!("{suggestion:.1e}");
        }
        Ok(())
    }
}
