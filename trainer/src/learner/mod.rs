//! A learner in the manner of fast.ai's miniai: the bare loop is here, everything else is a [`Callback`].
//!
//! ```text
//! fit:    before_fit, epochs, after_fit
//! epoch:  before_epoch, batches, validation, after_epoch
//! batch:  before_batch, loss, after_loss, backward, before_step, optimiser, after_step
//! ```

mod callback;
pub mod callbacks;
mod run;

use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use shared::checkpoint::{Checkpoint, Metadata};
use shared::{Init, Scope, Source};

pub use callback::{Callback, Flow};
pub use run::{Length, Mean, Parameters, Run, Sample, Validation};

use crate::optimizer::Hyper;
use crate::schedule::share;

/// What is learnt: a model, its batches, its loss and how it is measured.
pub trait Task: Sync {
    /// The network.
    type Model;
    /// A batch in host memory.
    type Batch: Send;

    /// What checkpoints say of the network.
    fn metadata(&self) -> Metadata;

    /// Builds the network.
    ///
    /// # Errors
    /// When `scope` lacks a parameter.
    fn model(&self, scope: &Scope<Tensor>) -> shared::Result<Self::Model>;

    /// The batch of a step, when the part `progress` of the run is done. Always the same for the same arguments, on any thread.
    fn batch(&self, step: u64, progress: f64) -> Self::Batch;

    /// The batch in words, for errors.
    fn describe(&self, step: u64) -> String;

    /// The loss of a batch, a scalar in f32. Inputs are to be made on `device` in `dtype`.
    ///
    /// # Errors
    /// When the device fails.
    fn loss(&self, model: &Self::Model, batch: Self::Batch, device: &Device, dtype: DType) -> Result<Tensor>;

    /// Measures weights on data that is kept back.
    ///
    /// # Errors
    /// When the device fails.
    fn validate(&self, weights: &Checkpoint, device: &Device) -> Result<Validation>;
}

/// Batches that are made ahead of the device.
const AHEAD: u64 = 2;

/// Trains a [`Task`].
pub struct Learner<'a, T: Task> {
    task: &'a T,
    /// What callbacks see and change.
    pub run: Run,
    callbacks: Vec<Box<dyn Callback + 'a>>,
}

/// Parameters as the forward pass sees them: in `dtype`, with gradients that flow back to the f32 ones.
struct Cast<'a> {
    parameters: &'a Parameters,
    dtype: DType,
}

impl Source<Tensor> for Cast<'_> {
    fn get(&self, name: &str, _dims: &[usize], _init: Init) -> shared::Result<Tensor> {
        let missing = || shared::Error::Checkpoint(format!("`{name}` is not a parameter"));
        Ok(self.parameters.get(name).ok_or_else(missing)?.to_dtype(self.dtype)?)
    }
}

impl<'a, T: Task> Learner<'a, T> {
    /// A learner whose callbacks are asked in this order.
    pub fn new(task: &'a T, run: Run, callbacks: Vec<Box<dyn Callback + 'a>>) -> Self {
        Self { task, run, callbacks }
    }

    /// Trains to the end of the run, or until a callback stops it.
    ///
    /// # Errors
    /// Those of the task, of the device and of the callbacks.
    pub fn fit(&mut self) -> Result<()> {
        let mut flow = self.call(|c, run| c.before_fit(run))?;
        let task = self.task;
        let began = (Instant::now(), self.run.seconds);
        std::thread::scope(|scope| {
            // When the loop ends its ends of the channels go, and the thread with them.
            let (request, requests) = mpsc::channel::<(u64, f64)>();
            let (send, batches) = mpsc::sync_channel(AHEAD as usize);
            scope.spawn(move || requests.iter().map(|(step, at)| task.batch(step, at)).try_for_each(|batch| send.send(batch)));
            let ask = |run: &Run, step| request.send((run.batch_of(step), run.progress_at(step)));
            for step in self.run.step..self.run.step + AHEAD {
                ask(&self.run, step)?;
            }
            while flow < Flow::Stop && !self.run.is_finished() {
                if self.run.begins_epoch() {
                    // Here and not after the epoch before, so that it is the same for a run that is resumed between the two.
                    self.run.losses = Mean::default();
                    flow = self.call(|c, run| c.before_epoch(run))?;
                }
                let waited = Instant::now();
                let batch = batches.recv().context("the data thread ended")?;
                self.run.waited = waited.elapsed();
                ask(&self.run, self.run.step + AHEAD)?;
                flow = flow.max(self.batch(batch)?);
                self.run.step += 1;
                self.run.seconds = began.1 + began.0.elapsed().as_secs_f64();
                flow = flow.max(self.call(|c, run| c.after_batch(run))?);
                if flow < Flow::Stop && (self.run.ends_epoch() || self.run.is_finished()) {
                    let weights = self.run.weights(task.metadata())?;
                    self.run.validation = Some(task.validate(&weights, &self.run.device)?);
                    self.run.epoch += 1;
                    flow = self.call(|c, run| c.after_epoch(run))?;
                }
            }
            anyhow::Ok(())
        })?;
        self.call(|c, run| c.after_fit(run))?;
        Ok(())
    }

    fn batch(&mut self, batch: T::Batch) -> Result<Flow> {
        let flow = self.call(|c, run| c.before_batch(run))?;
        if flow > Flow::Go {
            return Ok(flow);
        }
        let run = &mut self.run;
        run.described = self.task.describe(run.batch_of(run.step));
        let cast = Cast { parameters: &run.parameters, dtype: run.dtype };
        let model = self.task.model(&Scope::root(&cast))?;
        let loss = self.task.loss(&model, batch, &run.device, run.dtype)?;
        run.loss = f64::from(loss.to_scalar::<f32>()?);
        let mut flow = self.call(|c, run| c.after_loss(run))?;
        if flow > Flow::Go {
            return Ok(flow);
        }
        let run = &mut self.run;
        run.losses.add(run.loss);
        let store = (loss * run.loss_scale)?.backward()?;
        for (name, var) in &run.parameters {
            if let Some(gradient) = store.get(var) {
                let sum = match run.gradients.get(name) {
                    Some(before) => (before + gradient)?,
                    None => gradient.clone(),
                };
                run.gradients.insert(name.clone(), sum.detach());
            }
        }
        flow = self.call(|c, run| c.before_step(run))?;
        if flow > Flow::Go {
            return Ok(flow);
        }
        let run = &mut self.run;
        let share = |name: &str| share(&run.shares, name);
        run.optimizer.step(&run.parameters, &run.gradients, &Hyper { rate: run.rate, momentum: run.momentum, share: &share })?;
        run.gradients.clear();
        self.call(|c, run| c.after_step(run))
    }

    /// Asks the callbacks; the strongest answer counts. One that says `Skip` is the last that is asked.
    fn call(&mut self, event: impl Fn(&mut dyn Callback, &mut Run) -> Result<Flow>) -> Result<Flow> {
        let mut flow = Flow::Go;
        for callback in &mut self.callbacks {
            flow = flow.max(event(callback.as_mut(), &mut self.run)?);
            if flow == Flow::Skip {
                break;
            }
        }
        Ok(flow)
    }
}
