//! Fast style transfer as something to learn (Johnson et al. 2016, arXiv:1603.08155; Dumoulin et al. 2016, arXiv:1610.07629).

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use rand::RngExt;
use shared::Scope;
use shared::checkpoint::{Checkpoint, Metadata, Style};
use shared::engine::candle::Constants;
use shared::models::{ImageConfig, ImageNetwork, TransformNetConfig};
use shared::picture::Picture;

use super::config::only;
use super::crops::Crops;
use super::judge::{Judge, Statistics};
use super::pictures::{GAP, filled, picture, tensor};
use crate::learner::{Sample, Task, Validation};
use crate::runs::sheet;
use crate::seed;

/// Redraws a crop in one style at a time, as a network that judges would have it.
pub struct Restyling {
    /// The network.
    pub network: TransformNetConfig,
    /// What its styles are called.
    pub names: Vec<Style>,
    /// The first style that is learnt.
    pub first: usize,
    /// What the styles from there on are.
    pub styles: Vec<Statistics>,
    /// What judges.
    pub judge: Judge,
    /// What is redrawn.
    pub crops: Crops,
    /// What is kept back.
    pub validation: Vec<Picture>,
    /// Crops a batch.
    pub batch: usize,
}

/// Crops in host memory, and which of the styles that are learnt is for each.
pub struct Batch(Vec<(Vec<f32>, usize)>);

impl Restyling {
    fn config(&self) -> ImageConfig {
        ImageConfig::TransformNet(self.network)
    }

    /// The loss of one crop `[1, 3, H, W]` in one of the styles that are learnt.
    fn crop_loss(&self, model: &ImageNetwork<Tensor>, crop: &Tensor, style: usize, dtype: DType) -> Result<Tensor> {
        let wanted = self.styles.get(style).context("no such style")?;
        let mixture = only(self.first + style, self.network.styles, crop.device())?.to_dtype(dtype)?;
        let output = model.restyle(&crop.to_dtype(dtype)?, &mixture)?.to_dtype(DType::F32)?;
        Ok(self.judge.losses(&output, &self.judge.content(crop)?, wanted)?.total)
    }
}

impl Task for Restyling {
    type Model = ImageNetwork<Tensor>;
    type Batch = Batch;

    fn metadata(&self) -> Metadata {
        Metadata { styles: self.names.clone(), ..Metadata::new(self.config()) }
    }

    fn model(&self, scope: &Scope<Tensor>) -> shared::Result<Self::Model> {
        ImageNetwork::new(&self.config(), scope)
    }

    fn batch(&self, step: u64, _: f64) -> Batch {
        let mut rng = seed::rng(self.crops.seed(), "styles", step);
        Batch((0..self.batch).map(|i| (self.crops.crop(step, i), rng.random_range(0..self.styles.len().max(1)))).collect())
    }

    fn describe(&self, step: u64) -> String {
        format!("number {step} of seed {}", self.crops.seed())
    }

    fn loss(&self, model: &Self::Model, batch: Batch, device: &Device, dtype: DType) -> Result<Tensor> {
        let size = self.crops.size();
        let mut losses = Vec::with_capacity(batch.0.len());
        for (crop, style) in batch.0 {
            let crop = Tensor::from_vec(crop, (1, 3, size, size), device)?;
            losses.push(self.crop_loss(model, &crop, style, dtype)?);
        }
        Ok(Tensor::stack(&losses, 0)?.mean_all()?)
    }

    fn validate(&self, weights: &Checkpoint, device: &Device) -> Result<Validation> {
        let source = Constants { tensors: &weights.tensors, device };
        let model = ImageNetwork::new(&self.config(), &Scope::root(&source))?;
        let styles = self.network.styles;
        let mut sums = [0.0f64; 3];
        let mut shown = Vec::new();
        for (i, photo) in self.validation.iter().enumerate() {
            let photo = filled(photo, 2 * self.crops.size(), 2 * self.crops.size())?;
            let x = tensor(&photo, device)?;
            let wanted = self.judge.content(&x)?;
            if i == 0 {
                shown.push(photo);
            }
            for (number, target) in self.styles.iter().enumerate() {
                let y = model.restyle(&x, &only(self.first + number, styles, device)?)?;
                let losses = self.judge.losses(&y, &wanted, target)?.numbers()?;
                sums.iter_mut().zip(losses).for_each(|(sum, loss)| *sum += loss);
                if i == 0 {
                    shown.push(picture(&y)?);
                }
            }
        }
        let count = (self.validation.len() * self.styles.len()).max(1) as f64;
        let [total, content, style] = sums.map(|sum| sum / count);
        // The one that decides must rise.
        let metrics = vec![("gain", -total), ("content_loss", content), ("style_loss", style)];
        let columns = (shown.len() as f64).sqrt().ceil() as usize;
        Ok(Validation {
            loss: total,
            metrics,
            sample: Some(Sample::Picture(sheet(&shown.iter().collect::<Vec<_>>(), columns, GAP)?)),
        })
    }
}
