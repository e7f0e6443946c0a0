use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::{Hyper, Memory, Optimizer, pairs, used_up, with_decay};

/// Constants of [`Sgd`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SgdConfig {
    /// The part of the last step that goes on.
    pub momentum: f64,
    /// Added to the gradient, times the weights.
    pub weight_decay: f64,
}

impl Default for SgdConfig {
    fn default() -> Self {
        Self { momentum: 0.9, weight_decay: 0.0 }
    }
}

/// Stochastic gradient descent with momentum, as PyTorch has it: the rate scales the velocity, not what is added to it.
pub struct Sgd {
    config: SgdConfig,
    velocity: Memory,
    steps: u64,
}

impl Sgd {
    /// At step 0.
    pub fn new(config: SgdConfig) -> Self {
        Self { config, velocity: Memory::new("velocity"), steps: 0 }
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, parameters: &BTreeMap<String, Var>, gradients: &BTreeMap<String, Tensor>, hyper: &Hyper) -> Result<()> {
        self.velocity.begin(parameters)?;
        let momentum = hyper.momentum.unwrap_or(self.config.momentum);
        for (name, var, gradient, rate) in pairs(parameters, gradients, hyper) {
            let gradient = with_decay(gradient, var, self.config.weight_decay)?;
            let velocity = self.velocity.decay(name, momentum, gradient)?;
            var.set(&(var.as_detached_tensor() - (velocity * rate)?)?)?;
        }
        self.steps += 1;
        Ok(())
    }

    fn state(&self) -> BTreeMap<String, Tensor> {
        self.velocity.state().collect()
    }

    fn steps(&self) -> u64 {
        self.steps
    }

    fn restore(
        &mut self,
        mut state: BTreeMap<String, Tensor>,
        steps: u64,
        parameters: &BTreeMap<String, Var>,
    ) -> anyhow::Result<()> {
        let mut restored = Self::new(self.config);
        if steps > 0 {
            restored.velocity = Memory::take("velocity", &mut state, parameters)?;
            restored.steps = steps;
        }
        used_up(&state)?;
        *self = restored;
        Ok(())
    }
}
