//! What a restyled picture is judged by: the features of a network that has learnt to see.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{D, DType, Device, Tensor};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use shared::checkpoint;
use shared::engine::candle::{Constants, gram};
use shared::models::{Perceptual, PerceptualKind, prepared};
use shared::{Init, Scope, Source};

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
            Self::Full => gram(feature)? / (height * width) as f64,
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

impl Default for Objective {
    /// Content and style alike, by the layers that suit the network.
    fn default() -> Self {
        Self {
            gram: Statistic::default(),
            style_layers: Vec::new(),
            content_layer: String::new(),
            style_weight: 1.0,
            content_weight: 1.0,
            smoothness: 0.0,
        }
    }
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

    fn style_layers(&self) -> Vec<&str> {
        self.style_layers.iter().map(String::as_str).collect()
    }

    /// All layers that are looked at, each once.
    fn layers(&self) -> Vec<&str> {
        let mut layers = self.style_layers();
        if !layers.contains(&self.content_layer.as_str()) {
            layers.push(&self.content_layer);
        }
        layers
    }
}

/// A network that judges by an [`Objective`].
pub struct Judge {
    network: Perceptual<Tensor>,
    /// Of the network and its features. What is computed of them is f32: the sums of a Gram matrix are beyond f16.
    dtype: DType,
    kind: PerceptualKind,
    objective: Objective,
}

/// The constants of a network in another number format.
struct Rounded<'a>(Constants<'a>, DType);

impl Source<Tensor> for Rounded<'_> {
    fn get(&self, name: &str, dims: &[usize], init: Init) -> shared::Result<Tensor> {
        Ok(self.0.get(name, dims, init)?.to_dtype(self.1)?)
    }
}

/// The statistics of a picture, a tensor a layer: its style.
#[derive(Debug, Clone)]
pub struct Statistics(Vec<Tensor>);

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
    pub fn open(path: &Path, objective: Objective, device: &Device) -> Result<Self> {
        Self::open_as(path, objective, device, DType::F32)
    }

    /// The same, which computes features in another number format.
    ///
    /// # Errors
    /// As [`Judge::open`].
    pub fn open_as(path: &Path, mut objective: Objective, device: &Device, dtype: DType) -> Result<Self> {
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
        let source = Rounded(Constants { tensors: &tensors, device }, dtype);
        let network = Perceptual::new(kind, &objective.layers(), &Scope::root(&source)).with_context(named)?;
        Ok(Self { network, dtype, kind, objective })
    }

    /// The same network, which matches another statistic.
    pub fn matching(mut self, gram: Statistic) -> Self {
        self.objective.gram = gram;
        self
    }

    /// Which network it is.
    pub fn kind(&self) -> PerceptualKind {
        self.kind
    }

    /// What it judges by, with the layers that it looks at.
    pub fn objective(&self) -> &Objective {
        &self.objective
    }

    /// What a model card says of it.
    pub fn facts(&self) -> [(&'static str, String); 2] {
        let Objective { style_layers, content_layer, style_weight, content_weight, smoothness, .. } = &self.objective;
        let layers = format!("style from {}, content from {content_layer}", style_layers.join(", "));
        [
            ("judge", format!("{}, {layers}", self.kind.title())),
            ("weights of the losses", format!("style {style_weight}, content {content_weight}, smoothness {smoothness}")),
        ]
    }

    /// Content and style of a picture `[1, 3, H, W]`, in one look.
    ///
    /// # Errors
    /// As [`Judge::style`].
    pub fn look(&self, picture: &Tensor) -> Result<(Tensor, Statistics)> {
        let features = self.features(&picture.detach(), &self.objective.layers())?;
        self.told_apart(&features)
    }

    /// In f32.
    fn features(&self, picture: &Tensor, layers: &[&str]) -> Result<Vec<(&str, Tensor)>> {
        let features = self.network.features(&picture.to_dtype(self.dtype)?, layers)?;
        features.into_iter().map(|(name, feature)| Ok((name, feature.to_dtype(DType::F32)?))).collect()
    }

    fn told_apart(&self, features: &[(&str, Tensor)]) -> Result<(Tensor, Statistics)> {
        let objective = &self.objective;
        let content = features.iter().find(|(name, _)| *name == objective.content_layer).context("no content")?;
        let is_style = |name: &str| objective.style_layers.iter().any(|layer| layer == name);
        let of_style = features.iter().filter(|(name, _)| is_style(name)).map(|(_, feature)| feature);
        Ok((content.1.clone(), self.statistics(of_style)?))
    }

    /// The style of a picture `[1, 3, H, W]`.
    ///
    /// # Errors
    /// When the picture is too small for the network, or the device fails.
    pub fn style(&self, picture: &Tensor) -> Result<Statistics> {
        let layers = self.objective.style_layers();
        let features = self.features(&picture.detach(), &layers)?;
        self.statistics(features.iter().map(|(_, feature)| feature))
    }

    fn statistics<'a>(&self, features: impl Iterator<Item = &'a Tensor>) -> Result<Statistics> {
        let of = |feature: &Tensor| self.objective.gram.of(feature);
        Ok(Statistics(features.map(of).collect::<candle_core::Result<_>>()?))
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
    pub fn losses(&self, picture: &Tensor, content: &Tensor, style: &Statistics) -> Result<Losses> {
        let objective = &self.objective;
        let features = self.features(picture, &objective.layers())?;
        let (of_content, of_style) = self.told_apart(&features)?;
        let content = relative(&of_content, content)?;
        let style = of_style.distance(style)?;
        let mut total = ((&content * objective.content_weight)? + (&style * objective.style_weight)?)?;
        if objective.smoothness > 0.0 {
            total = (total + (total_variation(picture)? * objective.smoothness)?)?;
        }
        Ok(Losses { total, content, style })
    }
}

impl Losses {
    /// The weighted sum, content and style as numbers.
    ///
    /// # Errors
    /// When the device fails.
    pub fn numbers(&self) -> Result<[f64; 3]> {
        Ok([number(&self.total)?, number(&self.content)?, number(&self.style)?])
    }
}

/// A scalar as a number.
///
/// # Errors
/// When it is none, or the device fails.
pub fn number(scalar: &Tensor) -> candle_core::Result<f64> {
    Ok(scalar.to_scalar::<f32>()?.into())
}

impl Statistics {
    /// How far these are from what is wanted, a scalar: the mean over layers, relative.
    ///
    /// # Errors
    /// When they are of different layers.
    pub fn distance(&self, wanted: &Self) -> Result<Tensor> {
        ensure!(self.0.len() == wanted.0.len(), "styles of {} and {} layers", self.0.len(), wanted.0.len());
        let pairs = self.0.iter().zip(&wanted.0);
        let distances = pairs.map(|(found, wanted)| relative(found, wanted)).collect::<candle_core::Result<Vec<_>>>()?;
        Ok(Tensor::stack(&distances, 0)?.mean_all()?)
    }

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
///
/// # Errors
/// When they are of different sizes, or the device fails.
pub fn relative(x: &Tensor, wanted: &Tensor) -> candle_core::Result<Tensor> {
    let difference = (x - wanted)?.sqr()?.mean_all()?;
    // A picture of one colour may have nothing of a feature.
    difference / (number(&wanted.sqr()?.mean_all()?)? + 1e-12)
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
