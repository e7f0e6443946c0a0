use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::{Hyper, Memory, Optimizer, pairs, used_up, with_decay};

/// Constants of [`Rmsprop`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RmspropConfig {
    /// Decay of the mean of the squared gradients.
    pub alpha: f64,
    /// Keeps the quotient finite.
    pub epsilon: f64,
    /// The part of the last step that goes on.
    pub momentum: f64,
    /// Added to the gradient, times the weights.
    pub weight_decay: f64,
}

impl Default for RmspropConfig {
    fn default() -> Self {
        Self { alpha: 0.99, epsilon: 1e-8, momentum: 0.0, weight_decay: 0.0 }
    }
}

/// RMSProp (Hinton 2012, lecture 6e of Neural Networks for Machine Learning), as PyTorch has it, not centred.
pub struct Rmsprop {
    config: RmspropConfig,
    square: Memory,
    velocity: Memory,
    steps: u64,
}

impl Rmsprop {
    /// At step 0.
    pub fn new(config: RmspropConfig) -> Self {
        Self { config, square: Memory::new("square"), velocity: Memory::new("velocity"), steps: 0 }
    }
}

impl Optimizer for Rmsprop {
    fn step(&mut self, parameters: &BTreeMap<String, Var>, gradients: &BTreeMap<String, Tensor>, hyper: &Hyper) -> Result<()> {
        let RmspropConfig { alpha, epsilon, momentum, weight_decay } = self.config;
        self.square.begin(parameters)?;
        self.velocity.begin(parameters)?;
        let momentum = hyper.momentum.unwrap_or(momentum);
        for (name, var, gradient, rate) in pairs(parameters, gradients, hyper) {
            let gradient = with_decay(gradient, var, weight_decay)?;
            let square = self.square.decay(name, alpha, (gradient.sqr()? * (1.0 - alpha))?)?;
            let velocity = self.velocity.decay(name, momentum, (gradient / (square.sqrt()? + epsilon)?)?)?;
            var.set(&(var.as_detached_tensor() - (velocity * rate)?)?)?;
        }
        self.steps += 1;
        Ok(())
    }

    fn state(&self) -> BTreeMap<String, Tensor> {
        self.square.state().chain(self.velocity.state()).collect()
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
            restored.square = Memory::take("square", &mut state, parameters)?;
            restored.velocity = Memory::take("velocity", &mut state, parameters)?;
            restored.steps = steps;
        }
        used_up(&state)?;
        *self = restored;
        Ok(())
    }
}
