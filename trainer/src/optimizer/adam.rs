use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::{Hyper, Memory, Optimizer, pairs, take, used_up, with_decay};

/// Constants of [`Adam`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamConfig {
    /// Decay of the mean of the gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Keeps the quotient finite.
    pub epsilon: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 }
    }
}

/// Adam (Kingma and Ba 2014, arXiv:1412.6980); with weight decay AdamW (Loshchilov and Hutter 2017, arXiv:1711.05101).
pub struct Adam {
    config: AdamConfig,
    weight_decay: f64,
    mean: Memory,
    square: Memory,
    /// Steps of each parameter, scalars in f32 on the CPU: one that is thawed later is young, and its means are corrected so.
    age: BTreeMap<String, Tensor>,
    steps: u64,
}

impl Adam {
    /// At step 0. `weight_decay` times the rate is the part that the weights lose at every step.
    pub fn new(config: AdamConfig, weight_decay: f64) -> Self {
        let (mean, square) = (Memory::new("mean"), Memory::new("square"));
        Self { config, weight_decay, mean, square, age: BTreeMap::new(), steps: 0 }
    }

    /// Counts a step of a parameter.
    fn grow(&mut self, name: &str) -> Result<f64> {
        let age = match self.age.get(name) {
            Some(age) => age.to_scalar::<f32>()? + 1.0,
            None => 1.0,
        };
        self.age.insert(name.to_owned(), Tensor::new(age, &Device::Cpu)?);
        Ok(f64::from(age))
    }
}

impl Optimizer for Adam {
    fn step(&mut self, parameters: &BTreeMap<String, Var>, gradients: &BTreeMap<String, Tensor>, hyper: &Hyper) -> Result<()> {
        let AdamConfig { beta1, beta2, epsilon } = self.config;
        let beta1 = hyper.momentum.unwrap_or(beta1);
        self.mean.begin(parameters)?;
        self.square.begin(parameters)?;
        for name in parameters.keys().filter(|&name| !gradients.contains_key(name)) {
            self.age.entry(name.clone()).or_insert(Tensor::new(0f32, &Device::Cpu)?);
        }
        for (name, var, gradient, rate) in pairs(parameters, gradients, hyper) {
            let age = self.grow(name)?;
            let (debias1, debias2) = (1.0 - beta1.powf(age), 1.0 - beta2.powf(age));
            let mean = self.mean.decay(name, beta1, (&gradient * (1.0 - beta1))?)?;
            let square = self.square.decay(name, beta2, (gradient.sqr()? * (1.0 - beta2))?)?;
            let change = ((mean / debias1)? / ((square / debias2)?.sqrt()? + epsilon)?)?;
            // Beside the quotient and not in the gradient: this is what AdamW decouples.
            let change = with_decay(change, var, self.weight_decay)?;
            var.set(&(var.as_detached_tensor() - (change * rate)?)?)?;
        }
        self.steps += 1;
        Ok(())
    }

    fn state(&self) -> BTreeMap<String, Tensor> {
        let age = self.age.iter().map(|(name, age)| (format!("age.{name}"), age.clone()));
        self.mean.state().chain(self.square.state()).chain(age).collect()
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
        let mut restored = Self::new(self.config, self.weight_decay);
        if steps > 0 {
            restored.mean = Memory::take("mean", &mut state, parameters)?;
            restored.square = Memory::take("square", &mut state, parameters)?;
            for name in parameters.keys() {
                let age = take(&mut state, &format!("age.{name}"), &[])?;
                restored.age.insert(name.clone(), age.to_device(&Device::Cpu)?.to_dtype(DType::F32)?);
            }
            restored.steps = steps;
        }
        used_up(&state)?;
        *self = restored;
        Ok(())
    }
}
