use anyhow::Result;

use super::Run;

/// How the loop goes on after a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flow {
    /// As usual.
    Go,
    /// Not with this batch, or, before a step, not with this step. Callbacks further down are not asked.
    Skip,
    /// The run ends here; `after_fit` follows.
    Stop,
}

/// Something that happens at certain points of the loop. An error ends the run at once; what is on disk stays.
///
/// What a callback must find again after `--resume` belongs into [`Run::kept`] and [`Run::facts`], which checkpoints hold.
#[allow(unused_variables, clippy::missing_errors_doc)] // Every event may fail; the defaults ignore the run.
pub trait Callback {
    /// Before the first batch.
    fn before_fit(&mut self, run: &mut Run) -> Result<Flow> {
        Ok(Flow::Go)
    }
    /// Before the first batch of an epoch.
    fn before_epoch(&mut self, run: &mut Run) -> Result<Flow> {
        Ok(Flow::Go)
    }
    /// Before a forward pass: learning rate and momentum are set here.
    fn before_batch(&mut self, run: &mut Run) -> Result<Flow> {
        Ok(Flow::Go)
    }
    /// After the forward pass: [`Run::loss`] is known.
    fn after_loss(&mut self, run: &mut Run) -> Result<Flow> {
        Ok(Flow::Go)
    }
    /// After the backward pass: [`Run::gradients`] are known and may be changed.
    fn before_step(&mut self, run: &mut Run) -> Result<Flow> {
        Ok(Flow::Go)
    }
    /// After the optimiser has changed the weights.
    fn after_step(&mut self, run: &mut Run) -> Result<Flow> {
        Ok(Flow::Go)
    }
    /// After every batch, skipped or not: [`Run::step`] counts it already.
    fn after_batch(&mut self, run: &mut Run) -> Result<Flow> {
        Ok(Flow::Go)
    }
    /// After validation: [`Run::validation`] is known.
    fn after_epoch(&mut self, run: &mut Run) -> Result<Flow> {
        Ok(Flow::Go)
    }
    /// After the last batch, also of a run that was stopped.
    fn after_fit(&mut self, run: &mut Run) -> Result<Flow> {
        Ok(Flow::Go)
    }
}
