//! The search for a learning rate.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use tracing::info;

use super::train::{DatesSettings, SuperresSettings, TranslateSettings};
use crate::device::Choice;
use crate::learner::callbacks::{Clipping, LrFinder, Progress};
use crate::learner::{Callback, Learner, Length, Run, Task as Learnt};
use crate::runs::{plot, write_atomically};
use crate::training::Training;

const EXAMPLES: &str = "Examples:
  trainer lr-find superres --scale 2 --size quality --data photos --plot lr.png
  trainer lr-find translate --src de --tgt en --data multi30k
Then train with the rate that it prints: trainer train superres --lr ...";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Task {
    /// Find a learning rate for a super-resolution network.
    #[command(after_help = EXAMPLES)]
    Superres(Search<SuperresSettings>),
    /// Find a learning rate for a network for translation.
    #[command(after_help = EXAMPLES)]
    Translate(Search<TranslateSettings>),
    /// Find a learning rate for a network that reads dates.
    Dates(Search<DatesSettings>),
}

/// Raises the learning rate from batch to batch until the loss grows, and suggests one. Nothing is trained.
#[derive(Debug, Args)]
pub struct Search<S: Args> {
    #[command(flatten)]
    settings: S,
    #[command(flatten)]
    range: Range,
}

#[derive(Debug, Args)]
struct Range {
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

impl Task {
    pub fn run(self) -> Result<()> {
        match self {
            Self::Superres(Search { settings, range }) => {
                range.check()?;
                let mut config = settings.config()?;
                range.shorten(&mut config.training);
                let (task, run) = config.prepare(range.device.open()?, super::progress_bar)?;
                range.search(&config.training, &task, run)
            }
            Self::Translate(Search { settings, range }) => range.translate(settings.config()?),
            Self::Dates(Search { settings, range }) => range.translate(settings.config()?),
        }
    }
}

impl Range {
    /// Before any data is read.
    fn check(&self) -> Result<()> {
        anyhow::ensure!(
            self.from_lr > 0.0 && self.from_lr < self.to_lr && self.to_lr.is_finite(),
            "--from-lr {} and --to-lr {} must be positive and rise",
            self.from_lr,
            self.to_lr
        );
        super::writable(&self.plot)
    }

    /// As many batches as are needed.
    fn shorten(&self, training: &mut Training) {
        if let Length::Minutes(_) = training.length {
            training.length = Length::Steps(STEPS);
        }
        // No validation: the loss of the batches is what counts.
        training.epoch_steps = u64::MAX;
    }

    fn translate(&self, mut config: crate::translate::config::Config) -> Result<()> {
        self.check()?;
        self.shorten(&mut config.training);
        let (task, run) = config.prepare(self.device.open()?, None, super::progress_bar)?;
        self.search(&config.training, &task, run)
    }

    fn search(&self, training: &Training, task: &impl Learnt, run: Run) -> Result<()> {
        let steps = match training.length {
            Length::Steps(steps) => steps,
            Length::Minutes(_) => STEPS,
        };
        let bar = super::progress_bar("{elapsed_precise} {wide_bar} {percent}% {msg}");
        let mut points = Vec::new();
        let finder = LrFinder { from: self.from_lr, to: self.to_lr, steps, points: &mut points };
        let callbacks: Vec<Box<dyn Callback + '_>> =
            vec![Box::new(finder), Box::new(Clipping { max_norm: training.clip }), Box::new(Progress { bar })];
        Learner::new(task, run, callbacks).fit()?;

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
