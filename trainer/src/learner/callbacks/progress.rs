use anyhow::Result;
use indicatif::ProgressBar;
use tracing::info;

use crate::learner::{Callback, Flow, Run};

/// A bar with step, loss and the time left.
pub struct Progress {
    /// Where it is drawn.
    pub bar: ProgressBar,
}

impl Callback for Progress {
    fn before_fit(&mut self, _: &mut Run) -> Result<Flow> {
        self.bar.set_length(1000);
        Ok(Flow::Go)
    }

    fn after_batch(&mut self, run: &mut Run) -> Result<Flow> {
        self.bar.set_position((run.progress() * 1000.0) as u64);
        let score = run.score().map(|score| format!(", last {score:.3}")).unwrap_or_default();
        self.bar.set_message(format!("step {}, loss {:.4}{score}", run.step, run.losses.mean()));
        Ok(Flow::Go)
    }

    fn after_fit(&mut self, _: &mut Run) -> Result<Flow> {
        self.bar.finish_and_clear();
        Ok(Flow::Go)
    }
}

/// The table that fast.ai prints: a line an epoch.
pub struct Table {
    /// The bar that must make room for it.
    pub bar: ProgressBar,
    begun: f64,
    headed: bool,
}

impl Table {
    /// A table above `bar`.
    pub fn new(bar: ProgressBar) -> Self {
        Self { bar, begun: 0.0, headed: false }
    }
}

impl Callback for Table {
    fn before_fit(&mut self, run: &mut Run) -> Result<Flow> {
        self.begun = run.seconds;
        Ok(Flow::Go)
    }

    fn after_epoch(&mut self, run: &mut Run) -> Result<Flow> {
        let Some(validation) = &run.validation else { return Ok(Flow::Go) };
        let head =
            ["epoch", "step", "train_loss", "valid_loss"].into_iter().chain(validation.metrics.iter().map(|(name, _)| *name));
        let head: String = head.chain(["time"]).map(|name| format!("{name:>13}")).collect();
        let mut line = format!("{:>13}{:>13}{:>13.6}{:>13.6}", run.epoch, run.step, run.losses.mean(), validation.loss);
        line.extend(validation.metrics.iter().map(|(_, value)| format!("{value:>13.4}")));
        let seconds = (run.seconds - self.begun).round() as u64;
        line += &format!("{:>13}", format!("{:02}:{:02}", seconds / 60, seconds % 60));
        self.begun = run.seconds;
        let first = !std::mem::replace(&mut self.headed, true);
        self.bar.suspend(|| {
            if first {
                info!("{head}");
            }
            info!("{line}");
        });
        Ok(Flow::Go)
    }
}
