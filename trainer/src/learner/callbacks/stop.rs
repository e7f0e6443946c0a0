use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use tracing::info;

use crate::learner::{Callback, Flow, Run};

/// Ends the run when this is set, by Ctrl-C.
pub struct Interrupt {
    /// Set from outside.
    pub stop: &'static AtomicBool,
}

impl Callback for Interrupt {
    fn after_batch(&mut self, _: &mut Run) -> Result<Flow> {
        Ok(if self.stop.load(Ordering::Relaxed) { Flow::Stop } else { Flow::Go })
    }
}

/// Ends the run when the metric has not risen for so many epochs. Before
/// [`super::Checkpoints`], so that the count is saved.
pub struct EarlyStopping {
    /// Epochs without a rise.
    pub patience: u64,
}

const BEST: &str = "early_stopping.best";
const EPOCHS: &str = "early_stopping.epochs";

impl Callback for EarlyStopping {
    fn after_epoch(&mut self, run: &mut Run) -> Result<Flow> {
        let Some(score) = run.score() else { return Ok(Flow::Go) };
        let best = run.facts.get(BEST).copied().unwrap_or(f64::NEG_INFINITY);
        let epochs = if score > best { 0.0 } else { run.facts.get(EPOCHS).copied().unwrap_or(0.0) + 1.0 };
        run.facts.insert(BEST.into(), best.max(score));
        run.facts.insert(EPOCHS.into(), epochs);
        if epochs < self.patience as f64 {
            return Ok(Flow::Go);
        }
        info!("{epochs} epochs without a better result: the run ends at step {}", run.step);
        Ok(Flow::Stop)
    }
}
