use std::collections::btree_map::Entry;

use anyhow::Result;

use crate::learner::{Callback, Flow, Run};

/// Exponential moving average of the weights, used in their place for validation and for what is saved to use
/// (Polyak and Juditsky 1992). The average lies in [`Run::kept`] as `average.NAME`.
pub struct Ema {
    /// The part that stays at every step, e.g. 0.999.
    pub decay: f64,
}

impl Callback for Ema {
    fn before_fit(&mut self, run: &mut Run) -> Result<Flow> {
        for (name, var) in &run.parameters {
            if let Entry::Vacant(place) = run.kept.entry(format!("average.{name}")) {
                place.insert(var.as_tensor().copy()?.detach());
            }
        }
        Ok(Flow::Go)
    }

    fn after_step(&mut self, run: &mut Run) -> Result<Flow> {
        // Young averages follow faster, or the start would weigh for thousands of steps.
        let age = run.optimizer.steps() as f64;
        let decay = self.decay.min((1.0 + age) / (10.0 + age));
        for (name, var) in &run.parameters {
            if let Some(average) = run.kept.get_mut(&format!("average.{name}")) {
                *average = ((&*average * decay)? + (var.as_detached_tensor() * (1.0 - decay))?)?;
            }
        }
        Ok(Flow::Go)
    }
}
