use anyhow::Result;

use crate::learner::{Callback, Flow, Run};
use crate::schedule::Schedule;

/// Sets learning rate and momentum before every batch.
pub struct Scheduler {
    /// The highest rate.
    pub rate: f64,
    /// Its part by progress, and the momentum.
    pub schedule: Schedule,
}

impl Callback for Scheduler {
    fn before_batch(&mut self, run: &mut Run) -> Result<Flow> {
        let (factor, momentum) = self.schedule.at(run.progress());
        run.rate = self.rate * factor;
        run.momentum = momentum;
        Ok(Flow::Go)
    }
}
