//! What a restyled picture is judged by: the features of a network that has learnt to see.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{D, Device, Tensor};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use shared::Scope;
use shared::checkpoint;
use shared::engine::candle::Constants;
use shared::models::{Perceptual, PerceptualKind, prepared};

use crate::training::within;

/// Which statistic of a feature is a style. Each forgets where in the picture something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Statistic {
    /// How channels go together: the Gram matrix (Gatys et al. 2015, arXiv:1508.06576).
    #[default]
    Full,
    /// The diagonal of the Gram matrix only: the mean square of every channel.
    Diagonal,
    /// Mean and deviation of every channel (Li et al. 2017, arXiv:1701.01036).
    Stats,
}

impl Statistic {
    /// Of a feature `[1, C, H, W]`.
    fn of(self, feature: &Tensor) -> candle_core::Result<Tensor> {
        let (_, _, height, width) = feature.dims4()?;
        let rows = feature.squeeze(0)?.flatten_from(1)?;
        match self {
            Self::Full => rows.matmul(&rows.t()?)? / (height * width) as f64,
            Self::Diagonal => rows.sqr()?.mean(D::Minus1),
            Self::Stats => {
                let mean = rows.mean_keepdim(D::Minus1)?;
                let variance = rows.broadcast_sub(&mean)?.sqr()?.mean_keepdim(D::Minus1)?;
                // Where a channel is dead the root has no slope.
                Tensor::cat(&[&mean, &(variance + 1e-6)?.sqrt()?], 1)
            }
        }
    }
}

/// What counts how much. Losses are relative, so that the same weights suit every network, layer and style: 1 is a picture that
/// has nothing of what is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Which statistic is style.
    pub gram: Statistic,
    /// Layers whose statistics are style; none: those that suit the network.
    pub style_layers: Vec<String>,
    /// The layer that is content; nothing: the one that suits the network.
    pub content_layer: String,
    /// Weight of the style.
    pub style_weight: f64,
    /// Weight of the content.
    pub content_weight: f64,
    /// Weight of total variation, against noise.
    pub smoothness: f64,
}

impl Objective {
    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// As said.
    pub fn validate(&self) -> Result<()> {
        within("style_weight", self.style_weight, 0.0, 1e6)?;
        within("content_weight", self.content_weight, 0.0, 1e6)?;
        within("smoothness", self.smoothness, 0.0, 1e6)
    }
}

/// A network that judges by an [`Objective`].
pub struct Judge {
    network: Perceptual<Tensor>,
    kind: PerceptualKind,
    objective: Objective,
}

/// The statistics of a style, a tensor a layer.
#[derive(Debug, Clone)]
pub struct Wanted(Vec<Tensor>);

/// A loss and its parts, scalars.
pub struct Losses {
    /// The weighted sum.
    pub total: Tensor,
    /// Relative to the content's feature.
    pub content: Tensor,
    /// The mean over layers, relative to the style's statistics.
    pub style: Tensor,
}

impl Judge {
    /// Reads the network, as deep as the objective needs.
    ///
    /// # Errors
    /// Names the file, and how to get one where it is missing.
    pub fn open(path: &Path, mut objective: Objective, device: &Device) -> Result<Self> {
        let named = || path.display().to_string();
        if !path.exists() {
            bail!("{}: no such file. `trainer data perceptual` fetches networks that see, and prints their folder", named());
        }
        let tensors = checkpoint::tensors(&std::fs::read(path).with_context(named)?).with_context(named)?;
        let kind = PerceptualKind::of(&tensors).with_context(named)?;
        if objective.style_layers.is_empty() {
            objective.style_layers = kind.style_layers().iter().map(|&layer| layer.to_owned()).collect();
        }
        if objective.content_layer.is_empty() {
            kind.content_layer().clone_into(&mut objective.content_layer);
        }
        let tensors = prepared(kind, tensors);
        let source = Constants { tensors: &tensors, device };
        // As deep as it must be: the deepest of the layers is the one after which all others are there.
        let wanted = objective.style_layers.iter().chain([&objective.content_layer]);
        let mut deepest: Option<Perceptual<Tensor>> = None;
        for layer in wanted {
            let network = Perceptual::new(kind, layer, &Scope::root(&source)).with_context(named)?;
            if deepest.as_ref().is_none_or(|deepest| deepest.depth() < network.depth()) {
                deepest = Some(network);
            }
        }
        let network = deepest.context("no layer to compare")?;
        Ok(Self { network, kind, objective })
    }

    /// Which network it is.
    pub fn kind(&self) -> PerceptualKind {
        self.kind
    }

    /// What it judges by, with the layers that it looks at.
    pub fn objective(&self) -> &Objective {
        &self.objective
    }

    fn features(&self, picture: &Tensor, layers: &[&str]) -> Result<Vec<(String, Tensor)>> {
        let features = self.network.features(picture, layers)?;
        Ok(features.into_iter().map(|(name, feature)| (name.to_owned(), feature)).collect())
    }

    fn style_layers(&self) -> Vec<&str> {
        self.objective.style_layers.iter().map(String::as_str).collect()
    }

    /// The style of a picture `[1, 3, H, W]`.
    ///
    /// # Errors
    /// When the picture is too small for the network, or the device fails.
    pub fn style(&self, picture: &Tensor) -> Result<Wanted> {
        let features = self.features(&picture.detach(), &self.style_layers())?;
        let of = |(_, feature): &(String, Tensor)| self.objective.gram.of(feature);
        Ok(Wanted(features.iter().map(of).collect::<candle_core::Result<_>>()?))
    }

    /// The content of a picture `[1, 3, H, W]`.
    ///
    /// # Errors
    /// As [`Judge::style`].
    pub fn content(&self, picture: &Tensor) -> Result<Tensor> {
        let mut features = self.features(&picture.detach(), &[&self.objective.content_layer])?;
        Ok(features.pop().context("no content")?.1)
    }

    /// How far `picture` `[1, 3, H, W]` is from a content and a style.
    ///
    /// # Errors
    /// As [`Judge::style`].
    pub fn losses(&self, picture: &Tensor, content: &Tensor, style: &Wanted) -> Result<Losses> {
        let objective = &self.objective;
        let mut layers = self.style_layers();
        if !layers.contains(&objective.content_layer.as_str()) {
            layers.push(&objective.content_layer);
        }
        let features = self.features(picture, &layers)?;
        let mut wanted = style.0.iter();
        let mut content_loss = None;
        let mut style_losses = Vec::new();
        for (name, feature) in &features {
            if *name == objective.content_layer {
                content_loss = Some(relative(feature, content)?);
            }
            if objective.style_layers.contains(name) {
                let wanted = wanted.next().context("a style of fewer layers")?;
                style_losses.push(relative(&objective.gram.of(feature)?, wanted)?);
            }
        }
        let content = content_loss.context("no content")?;
        let style = Tensor::stack(&style_losses, 0)?.mean_all()?;
        let mut total = ((&content * objective.content_weight)? + (&style * objective.style_weight)?)?;
        if objective.smoothness > 0.0 {
            total = (total + (total_variation(picture)? * objective.smoothness)?)?;
        }
        Ok(Losses { total, content, style })
    }
}

impl Wanted {
    /// What lies between styles: `parts` sum to one.
    ///
    /// # Errors
    /// When there is none, or they are of different layers.
    pub fn blend(styles: &[Self], parts: &[f64]) -> Result<Self> {
        let (first, _) = styles.split_first().context("no style")?;
        ensure!(styles.len() == parts.len(), "{} parts for {} styles", parts.len(), styles.len());
        let blend = |layer: usize| -> Result<Tensor> {
            let mut sum = first.0[layer].zeros_like()?;
            for (style, part) in styles.iter().zip(parts) {
                sum = (sum + (style.0.get(layer).context("a style of fewer layers")? * *part)?)?;
            }
            Ok(sum)
        };
        Ok(Self((0..first.0.len()).map(blend).collect::<Result<_>>()?))
    }
}

/// The mean square of the difference, as part of that of `wanted`.
fn relative(x: &Tensor, wanted: &Tensor) -> candle_core::Result<Tensor> {
    let difference = (x - wanted)?.sqr()?.mean_all()?;
    // A picture of one colour may have nothing of a feature.
    difference / (f64::from(wanted.sqr()?.mean_all()?.to_scalar::<f32>()?) + 1e-12)
}

/// Mean square of the differences of neighbours.
fn total_variation(picture: &Tensor) -> candle_core::Result<Tensor> {
    let along = |dim: usize| {
        let size = picture.dim(dim)?;
        if size < 2 {
            return picture.zeros_like()?.mean_all();
        }
        (picture.narrow(dim, 1, size - 1)? - picture.narrow(dim, 0, size - 1)?)?.sqr()?.mean_all()
    };
    along(2)? + along(3)?
}
