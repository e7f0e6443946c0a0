use crate::{Init, Result, Scope, Tensor};

use super::instance_norm::EPSILON;

/// Instance norm whose scale and shift are a mixture of those of many styles (Dumoulin et al. 2016, arXiv:1610.07629).
pub struct ConditionalInstanceNorm<T> {
    scale: T,
    shift: T,
}

impl<T: Tensor> ConditionalInstanceNorm<T> {
    /// For `channels` channels and `styles` styles, a column each in `[channels, styles]`: scale 1, shift 0 at first.
    pub fn new(channels: usize, styles: usize, scope: &Scope<T>) -> Result<Self> {
        Ok(Self {
            scale: scope.get("scale", &[channels, styles], Init::Const(1.0))?,
            shift: scope.get("shift", &[channels, styles], Init::Const(0.0))?,
        })
    }

    /// `mixture` `[styles]` says how much of each: one of them is a style, several that sum to one lie between styles. See
    /// [`Tensor::instance_norm`].
    pub fn forward(&self, x: &T, mixture: &T) -> Result<T> {
        x.instance_norm(&mixture.linear(&self.scale, None)?, &mixture.linear(&self.shift, None)?, EPSILON)
    }
}
