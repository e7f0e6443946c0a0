use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::{Adam, AdamConfig, Optimizer, Rmsprop, RmspropConfig, Sgd, SgdConfig};

/// Constants of AdamW.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamwConfig {
    /// Decay of the mean of the gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Keeps the quotient finite.
    pub epsilon: f64,
    /// Times the rate: the part that the weights lose at every step.
    pub weight_decay: f64,
}

impl Default for AdamwConfig {
    fn default() -> Self {
        let AdamConfig { beta1, beta2, epsilon } = AdamConfig::default();
        Self { beta1, beta2, epsilon, weight_decay: 0.01 }
    }
}

/// An optimiser and its constants. In TOML: `[optimizer.adam]`, below it the constants that are not to be the usual ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// [`Sgd`].
    Sgd(SgdConfig),
    /// [`Adam`].
    Adam(AdamConfig),
    /// [`Adam`] with weight decay.
    Adamw(AdamwConfig),
    /// [`Rmsprop`].
    Rmsprop(RmspropConfig),
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Adam(AdamConfig::default())
    }
}

impl OptimizerConfig {
    /// At step 0.
    pub fn build(&self) -> Box<dyn Optimizer + Send> {
        match *self {
            Self::Sgd(config) => Box::new(Sgd::new(config)),
            Self::Adam(config) => Box::new(Adam::new(config, 0.0)),
            Self::Adamw(AdamwConfig { beta1, beta2, epsilon, weight_decay }) => {
                Box::new(Adam::new(AdamConfig { beta1, beta2, epsilon }, weight_decay))
            }
            Self::Rmsprop(config) => Box::new(Rmsprop::new(config)),
        }
    }

    /// Its name as people know it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd(_) => "SGD",
            Self::Adam(_) => "Adam",
            Self::Adamw(_) => "AdamW",
            Self::Rmsprop(_) => "RMSProp",
        }
    }

    /// Refuses constants that make no sense, by name.
    ///
    /// # Errors
    /// As said.
    pub fn validate(&self) -> Result<()> {
        let (decays, epsilon, weight_decay) = match *self {
            Self::Sgd(c) => (vec![("momentum", c.momentum)], 1.0, c.weight_decay),
            Self::Adam(c) => (vec![("beta1", c.beta1), ("beta2", c.beta2)], c.epsilon, 0.0),
            Self::Adamw(c) => (vec![("beta1", c.beta1), ("beta2", c.beta2)], c.epsilon, c.weight_decay),
            Self::Rmsprop(c) => (vec![("alpha", c.alpha), ("momentum", c.momentum)], c.epsilon, c.weight_decay),
        };
        let name = self.name();
        for (what, value) in decays {
            ensure!((0.0..1.0).contains(&value), "{name}: {what} is {value}, and must be at least 0 and below 1");
        }
        ensure!(epsilon > 0.0 && epsilon.is_finite(), "{name}: epsilon is {epsilon}, and must be above 0");
        ensure!(
            weight_decay >= 0.0 && weight_decay.is_finite(),
            "{name}: weight_decay is {weight_decay}, and must not be below 0"
        );
        Ok(())
    }
}
