//! How different two pictures look to people (Zhang et al. 2018, arXiv:1801.03924): differences of the features of SqueezeNet,
//! weighed as people's judgements were.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use shared::engine::candle::Constants;
use shared::models::{Perceptual, PerceptualKind, prepared};
use shared::{Init, Scope, checkpoint};

use super::judge::number;

/// Where features are compared, and their channels.
const LAYERS: [(&str, usize); 7] =
    [("relu0", 64), ("fire4", 128), ("fire7", 256), ("fire9", 384), ("fire10", 384), ("fire11", 512), ("fire12", 512)];

/// Keeps a feature that is nothing from being divided by nothing.
const EPSILON: f64 = 1e-10;

/// The metric, version 0.1.
pub struct Lpips {
    network: Perceptual<Tensor>,
    /// Weights of channels, a tensor a layer.
    heads: Vec<Tensor>,
}

impl Lpips {
    /// With SqueezeNet 1.1 from `network`, as [`prepared`] gives it, and the weights of channels from `heads`, in their authors'
    /// names.
    ///
    /// # Errors
    /// When a tensor is missing or has other dimensions.
    pub fn new(network: &Scope<Tensor>, heads: &Scope<Tensor>) -> shared::Result<Self> {
        let head = |(i, (_, channels)): (usize, &(&str, usize))| {
            heads.sub(format!("lin{i}")).sub("model").sub(1).get("weight", &[1, *channels, 1, 1], Init::Const(0.0))
        };
        Ok(Self {
            network: Perceptual::new(PerceptualKind::SqueezeNet, &LAYERS.map(|(name, _)| name), network)?,
            heads: LAYERS.iter().enumerate().map(head).collect::<shared::Result<_>>()?,
        })
    }

    /// Reads both files.
    ///
    /// # Errors
    /// Names the file.
    pub fn open(network: &Path, heads: &Path, device: &Device) -> Result<Self> {
        let read = |path: &Path| -> Result<_> {
            let named = || path.display().to_string();
            checkpoint::tensors(&std::fs::read(path).with_context(named)?).with_context(named)
        };
        let tensors = read(network)?;
        let kind = PerceptualKind::of(&tensors).with_context(|| network.display().to_string())?;
        ensure!(kind == PerceptualKind::SqueezeNet, "{}: LPIPS wants SqueezeNet 1.1, not {}", network.display(), kind.title());
        let (tensors, weights) = (prepared(kind, tensors), read(heads)?);
        let [network, weights] = [&tensors, &weights].map(|tensors| Constants { tensors, device });
        Self::new(&Scope::root(&network), &Scope::root(&weights)).with_context(|| heads.display().to_string())
    }

    /// Between two pictures `[1, 3, H, W]` of one size, RGB in 0..1; 0 is no difference.
    ///
    /// # Errors
    /// When they are of different sizes or too small for the network, or the device fails.
    pub fn distance(&self, a: &Tensor, b: &Tensor) -> Result<f64> {
        self.between(&self.look(a)?, &self.look(b)?)
    }

    /// What is compared of a picture, so that one that is compared with many is looked at once.
    ///
    /// # Errors
    /// As [`Lpips::distance`].
    pub fn look(&self, picture: &Tensor) -> Result<Vec<Tensor>> {
        let features = self.network.features(&picture.detach(), &LAYERS.map(|(name, _)| name))?;
        Ok(features.iter().map(|(_, feature)| unit(feature)).collect::<candle_core::Result<_>>()?)
    }

    /// Between what was seen of two pictures.
    ///
    /// # Errors
    /// As [`Lpips::distance`].
    pub fn between(&self, a: &[Tensor], b: &[Tensor]) -> Result<f64> {
        let mut sum = 0.0;
        for ((a, b), head) in a.iter().zip(b).zip(&self.heads) {
            sum += number(&(a - b)?.sqr()?.broadcast_mul(head)?.sum(1)?.mean_all()?)?;
        }
        Ok(sum)
    }
}

/// Every pixel's feature made as long as one.
fn unit(feature: &Tensor) -> candle_core::Result<Tensor> {
    feature.broadcast_div(&(feature.sqr()?.sum_keepdim(1)?.sqrt()? + EPSILON)?)
}
