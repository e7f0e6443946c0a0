use anyhow::Result;

use crate::learner::{Callback, Flow, Run};

/// Raises the learning rate exponentially from batch to batch and notes the loss (Smith 2015, arXiv:1506.01186). Ends when the
/// loss has grown to four times its lowest.
pub struct LrFinder<'a> {
    /// The first rate.
    pub from: f64,
    /// The last one.
    pub to: f64,
    /// Batches from the first to the last.
    pub steps: u64,
    /// Rates and losses.
    pub points: &'a mut Vec<(f64, f64)>,
}

impl Callback for LrFinder<'_> {
    fn before_batch(&mut self, run: &mut Run) -> Result<Flow> {
        let part = run.step as f64 / self.steps.saturating_sub(1).max(1) as f64;
        run.rate = self.from * (self.to / self.from).powf(part);
        Ok(Flow::Go)
    }

    fn after_loss(&mut self, run: &mut Run) -> Result<Flow> {
        let lowest = self.points.iter().map(|(_, loss)| *loss).fold(f64::INFINITY, f64::min);
        if !run.loss.is_finite() || run.loss > 4.0 * lowest {
            return Ok(Flow::Stop);
        }
        self.points.push((run.rate, run.loss));
        Ok(Flow::Go)
    }
}
