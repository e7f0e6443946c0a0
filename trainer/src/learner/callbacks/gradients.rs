use anyhow::{Result, bail};

use crate::learner::{Callback, Flow, Run};
use crate::optimizer::clip;

/// Adds up the gradients of several batches before a step is made: large batches in little memory.
pub struct Accumulation {
    /// Batches a step.
    pub batches: u64,
}

impl Callback for Accumulation {
    fn before_step(&mut self, run: &mut Run) -> Result<Flow> {
        if !(run.step + 1).is_multiple_of(self.batches.max(1)) {
            return Ok(Flow::Skip);
        }
        for gradient in run.gradients.values_mut() {
            *gradient = (&*gradient / self.batches as f64)?;
        }
        Ok(Flow::Go)
    }
}

/// Shortens the gradients, all together, to this L2 norm (Pascanu et al. 2013, arXiv:1211.5063).
pub struct Clipping {
    /// The longest that is let through.
    pub max_norm: f64,
}

impl Callback for Clipping {
    fn before_step(&mut self, run: &mut Run) -> Result<Flow> {
        run.norm = clip(&mut run.gradients, self.max_norm)?;
        Ok(Flow::Go)
    }
}

/// Ends the run with an error at the first loss or gradient that is not a number, before it reaches the weights. The last
/// checkpoint stays.
pub struct NanGuard;

impl Callback for NanGuard {
    fn after_loss(&mut self, run: &mut Run) -> Result<Flow> {
        if run.loss.is_finite() {
            return Ok(Flow::Go);
        }
        // If the weights are at fault, the first bad one says where.
        for (name, var) in &run.parameters {
            if !sum(var.as_tensor())?.is_finite() {
                bail!("step {}: the loss is {} because the weights `{name}` are; {}", run.step, run.loss, advice(run));
            }
        }
        bail!("step {}: the loss is {}; all weights are finite; {}", run.step, run.loss, advice(run));
    }

    fn before_step(&mut self, run: &mut Run) -> Result<Flow> {
        // One transfer from the device for all; only when something is wrong is each looked at.
        if clip(&mut run.gradients, f64::INFINITY)?.is_finite() {
            return Ok(Flow::Go);
        }
        for (name, gradient) in &run.gradients {
            if !sum(gradient)?.is_finite() {
                bail!("step {}: the gradient of `{name}` is not finite (loss {}); {}", run.step, run.loss, advice(run));
            }
        }
        Ok(Flow::Go)
    }
}

fn sum(tensor: &candle_core::Tensor) -> candle_core::Result<f32> {
    tensor.abs()?.sum_all()?.to_scalar()
}

fn advice(run: &Run) -> String {
    format!("the batch was {}. The last checkpoint is kept; try a lower learning rate than {:.1e}", run.described, run.rate)
}
