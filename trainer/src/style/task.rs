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
use super::judge::{Judge, Statistics, number};
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
    /// Weight of what the result makes of noise; 0: it is not asked.
    pub stability: f64,
}

/// The noise of a camera in a room: so far in either direction, which is a root mean square of two levels of 255.
const NOISE: f32 = 0.014;

/// A crop in host memory.
struct Crop {
    pixels: Vec<f32>,
    /// As another frame of a film would have it, where stability counts.
    noisy: Option<Vec<f32>>,
    /// Which of the styles that are learnt.
    style: usize,
}

/// Crops to redraw.
pub struct Batch(Vec<Crop>);

impl Restyling {
    fn config(&self) -> ImageConfig {
        ImageConfig::TransformNet(self.network)
    }

    /// The loss of one crop in one of the styles that are learnt.
    fn crop_loss(&self, model: &ImageNetwork<Tensor>, crop: Crop, device: &Device, dtype: DType) -> Result<Tensor> {
        let wanted = self.styles.get(crop.style).context("no such style")?;
        let mixture = only(self.first + crop.style, self.network.styles, device)?.to_dtype(dtype)?;
        let size = self.crops.size();
        let tensor = |pixels: Vec<f32>| Tensor::from_vec(pixels, (1, 3, size, size), device);
        let redrawn = |x: &Tensor| Ok::<_, anyhow::Error>(model.restyle(&x.to_dtype(dtype)?, &mixture)?.to_dtype(DType::F32)?);
        let x = tensor(crop.pixels)?;
        let output = redrawn(&x)?;
        let loss = self.judge.losses(&output, &self.judge.content(&x)?, wanted)?.total;
        let Some(noisy) = crop.noisy else { return Ok(loss) };
        let noisy = tensor(noisy)?;
        // Relative to the noise, as the other losses are to what is wanted.
        let flicker = ((redrawn(&noisy)? - output)?.sqr()?.mean_all()? / number(&(noisy - x)?.sqr()?.mean_all()?)?)?;
        Ok((loss + (flicker * self.stability)?)?)
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
        let crop = |i: usize| {
            let (pixels, style) = (self.crops.crop(step, i), rng.random_range(0..self.styles.len().max(1)));
            let noise = &mut seed::rng(self.crops.seed(), &format!("noise {i}"), step);
            let shaken = || pixels.iter().map(|value| value + noise.random_range(-NOISE..=NOISE)).collect();
            let noisy = (self.stability > 0.0).then(shaken);
            Crop { pixels, noisy, style }
        };
        Batch((0..self.batch).map(crop).collect())
    }

    fn describe(&self, step: u64) -> String {
        format!("number {step} of seed {}", self.crops.seed())
    }

    fn loss(&self, model: &Self::Model, batch: Batch, device: &Device, dtype: DType) -> Result<Tensor> {
        let losses = batch.0.into_iter().map(|crop| self.crop_loss(model, crop, device, dtype)).collect::<Result<Vec<_>>>()?;
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
