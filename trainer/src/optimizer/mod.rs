//! Optimisers. Ours, because candle's hide the state that a checkpoint must hold.

mod adam;
mod config;
mod lbfgs;
mod line_search;
mod rmsprop;
mod sgd;

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use candle_core::{DType, Result, Tensor, Var};

pub use adam::{Adam, AdamConfig};
pub use config::{AdamwConfig, OptimizerConfig};
pub use lbfgs::{Lbfgs, LbfgsConfig, LbfgsReport};
pub use rmsprop::{Rmsprop, RmspropConfig};
pub use sgd::{Sgd, SgdConfig};

/// What one step needs beside the gradients.
pub struct Hyper<'a> {
    /// The learning rate.
    pub rate: f64,
    /// Replaces the momentum (of Adam: beta1) where a schedule moves it.
    pub momentum: Option<f64>,
    /// The factor of a parameter's rate, by its name: discriminative rates.
    pub share: &'a dyn Fn(&str) -> f64,
}

/// Changes parameters by their gradients, both by name.
pub trait Optimizer {
    /// One step down `gradients`; a parameter without one is left alone.
    ///
    /// # Errors
    /// When a gradient has not the dims of its parameter, or the device fails.
    fn step(&mut self, parameters: &BTreeMap<String, Var>, gradients: &BTreeMap<String, Tensor>, hyper: &Hyper) -> Result<()>;

    /// All that resuming needs beside the count of steps, as `KIND.NAME`; nothing before the first step.
    fn state(&self) -> BTreeMap<String, Tensor>;

    /// Steps taken.
    fn steps(&self) -> u64;

    /// Takes what [`Optimizer::state`] gave, to go on as if it had never stopped.
    ///
    /// # Errors
    /// Names what is missing, of other dims, or unknown; then nothing has changed.
    fn restore(&mut self, state: BTreeMap<String, Tensor>, steps: u64, parameters: &BTreeMap<String, Var>) -> anyhow::Result<()>;
}

/// Shortens the gradients, all together, to the L2 norm `max_norm` (Pascanu et al. 2013, arXiv:1211.5063). Returns their norm
/// before; where that is not finite they are left alone.
///
/// # Errors
/// When the device fails.
pub fn clip(gradients: &mut BTreeMap<String, Tensor>, max_norm: f64) -> Result<f64> {
    if gradients.is_empty() {
        return Ok(0.0);
    }
    let squares = gradients.values().map(|g| g.to_dtype(DType::F32)?.sqr()?.sum_all()).collect::<Result<Vec<_>>>()?;
    // One transfer for all.
    let squares = Tensor::stack(&squares, 0)?.to_vec1::<f32>()?;
    let norm = squares.iter().map(|&s| f64::from(s)).sum::<f64>().sqrt();
    if norm.is_finite() && norm > max_norm {
        for gradient in gradients.values_mut() {
            *gradient = (&*gradient * (max_norm / norm))?.detach();
        }
    }
    Ok(norm)
}

/// One kind of memory, a tensor a parameter, which starts at zero.
struct Memory {
    kind: &'static str,
    tensors: BTreeMap<String, Tensor>,
}

impl Memory {
    fn new(kind: &'static str) -> Self {
        Self { kind, tensors: BTreeMap::new() }
    }

    /// Makes what is not there yet. All parameters get one, with a gradient or not, so that a state that lacks one is known to
    /// be broken.
    fn begin(&mut self, parameters: &BTreeMap<String, Var>) -> Result<()> {
        for (name, var) in parameters {
            if !self.tensors.contains_key(name) {
                self.tensors.insert(name.clone(), var.zeros_like()?.detach());
            }
        }
        Ok(())
    }

    /// Changes the memory of a parameter to `keep` of it and `add`, and returns it.
    fn decay(&mut self, name: &str, keep: f64, add: Tensor) -> Result<Tensor> {
        let now = match self.tensors.get(name) {
            Some(before) => ((before * keep)? + add)?,
            None => add,
        };
        self.tensors.insert(name.to_owned(), now.clone());
        Ok(now)
    }

    fn state(&self) -> impl Iterator<Item = (String, Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (format!("{}.{name}", self.kind), tensor.clone()))
    }

    /// Moves the memory of these parameters out of `state`.
    fn take(
        kind: &'static str,
        state: &mut BTreeMap<String, Tensor>,
        parameters: &BTreeMap<String, Var>,
    ) -> anyhow::Result<Self> {
        let take = |(name, var): (&String, &Var)| -> anyhow::Result<_> {
            let tensor = take(state, &format!("{kind}.{name}"), var.dims())?;
            Ok((name.clone(), tensor.to_device(var.device())?.to_dtype(var.dtype())?))
        };
        Ok(Self { kind, tensors: parameters.iter().map(take).collect::<anyhow::Result<_>>()? })
    }
}

/// Moves a tensor out of a state.
fn take(state: &mut BTreeMap<String, Tensor>, name: &str, dims: &[usize]) -> anyhow::Result<Tensor> {
    let tensor = state.remove(name).with_context(|| format!("the optimiser's state lacks `{name}`"))?;
    ensure!(tensor.dims() == dims, "the optimiser's state: `{name}` is {:?} and must be {dims:?}", tensor.dims());
    Ok(tensor)
}

/// A state must be used up.
fn used_up(state: &BTreeMap<String, Tensor>) -> anyhow::Result<()> {
    match state.keys().next() {
        Some(name) => bail!("the optimiser's state: `{name}` is none of it"),
        None => Ok(()),
    }
}

/// The parameters that have a gradient, each with its name and rate.
fn pairs<'a>(
    parameters: &'a BTreeMap<String, Var>,
    gradients: &'a BTreeMap<String, Tensor>,
    hyper: &'a Hyper,
) -> impl Iterator<Item = (&'a str, &'a Var, Tensor, f64)> {
    parameters.iter().filter_map(|(name, var)| {
        let gradient = gradients.get(name)?.detach();
        Some((name.as_str(), var, gradient, hyper.rate * (hyper.share)(name)))
    })
}

/// A direction that also shortens the weights: `direction + decay * weights`.
fn with_decay(direction: Tensor, var: &Var, decay: f64) -> Result<Tensor> {
    if decay == 0.0 { Ok(direction) } else { direction + (var.as_detached_tensor() * decay)? }
}
