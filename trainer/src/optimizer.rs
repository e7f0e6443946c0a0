//! Adam with gradient clipping and an exponential moving average of the weights. Ours, because candle's hides the state that a
//! checkpoint must hold.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

/// Constants of [`Adam`] (Kingma and Ba 2014, arXiv:1412.6980).
#[derive(Debug, Clone, Copy)]
pub struct AdamConfig {
    /// Decay of the mean of the gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Keeps the quotient finite.
    pub epsilon: f64,
    /// The largest L2 norm of all gradients together.
    pub max_norm: f64,
    /// Decay of the average of the weights.
    pub ema: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, max_norm: 1.0, ema: 0.999 }
    }
}

/// A parameter and what is remembered of it.
pub struct Slot {
    /// The weights.
    pub var: Var,
    /// Mean of the gradients.
    pub mean: Tensor,
    /// Mean of their squares.
    pub square: Tensor,
    /// Average of the weights.
    pub average: Tensor,
}

/// See the module.
pub struct Adam {
    config: AdamConfig,
    /// The parameters by name.
    pub slots: BTreeMap<String, Slot>,
    /// Steps taken.
    pub step: u64,
}

impl Adam {
    /// For these variables, at step 0.
    ///
    /// # Errors
    /// When the device fails.
    pub fn new(vars: BTreeMap<String, Var>, config: AdamConfig) -> Result<Self> {
        let slot = |var: Var| -> Result<Slot> {
            let zeros = var.as_tensor().zeros_like()?;
            let average = var.as_tensor().copy()?.detach();
            Ok(Slot { mean: zeros.clone(), square: zeros, average, var })
        };
        let slots = vars.into_iter().map(|(name, var)| Ok((name, slot(var)?))).collect::<Result<_>>()?;
        Ok(Self { config, slots, step: 0 })
    }

    /// One step down the gradients; returns their norm before clipping. When that is not finite nothing changes.
    ///
    /// # Errors
    /// When the device fails.
    pub fn step(&mut self, gradients: &GradStore, rate: f64) -> Result<f64> {
        let mut squares = 0.0;
        for slot in self.slots.values() {
            if let Some(g) = gradients.get(&slot.var) {
                squares += f64::from(g.sqr()?.sum_all()?.to_scalar::<f32>()?);
            }
        }
        let norm = squares.sqrt();
        if !norm.is_finite() {
            return Ok(norm);
        }
        let AdamConfig { beta1, beta2, epsilon, max_norm, ema } = self.config;
        let clip = (max_norm / (norm + 1e-12)).min(1.0);
        self.step += 1;
        let age = self.step as i32;
        let (debias1, debias2) = (1.0 - beta1.powi(age), 1.0 - beta2.powi(age));
        // Young averages follow faster, or the start would weigh for thousands of steps.
        let ema = ema.min((1.0 + self.step as f64) / (10.0 + self.step as f64));
        for slot in self.slots.values_mut() {
            let Some(g) = gradients.get(&slot.var) else { continue };
            let g = (g * clip)?.detach();
            slot.mean = ((&slot.mean * beta1)? + (&g * (1.0 - beta1))?)?;
            slot.square = ((&slot.square * beta2)? + (g.sqr()? * (1.0 - beta2))?)?;
            let down = ((&slot.square / debias2)?.sqrt()? + epsilon)?;
            let change = ((&slot.mean / debias1)? / down)?;
            let weights = (slot.var.as_detached_tensor() - (change * rate)?)?;
            slot.average = ((&slot.average * ema)? + (&weights * (1.0 - ema))?)?;
            slot.var.set(&weights)?;
        }
        Ok(norm)
    }
}

/// One-cycle (Smith 2018, arXiv:1803.09820): warm-up over the first tenth, then a cosine down to nothing.
///
/// `progress` is the part of the run that is done, 0 to 1; the result is the part of the highest learning rate.
pub fn one_cycle(progress: f64) -> f64 {
    const WARM: f64 = 0.1;
    let cosine = |x: f64| (1.0 + (std::f64::consts::PI * x).cos()) / 2.0;
    if progress < WARM {
        0.04 + 0.96 * cosine(1.0 - progress / WARM)
    } else {
        cosine(((progress - WARM) / (1.0 - WARM)).min(1.0)).max(1e-3)
    }
}
