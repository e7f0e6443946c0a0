//! Super-resolution as something to learn.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use shared::Scope;
use shared::checkpoint::{Checkpoint, Metadata};
use shared::models::{ImageConfig, ImageNetwork};
use shared::picture::{Picture, Region};
use shared::session::{Engine, Session};

use super::evaluate::{Scores, Trial, trial};
use crate::data::pairs::{Batch, Pairs};
use crate::learner::{Sample, Task, Validation};
use crate::runs::sheet;

/// Largest side of a validation picture.
const VALIDATION_SIDE: usize = 320;

/// Learns to undo `imresize`, by L1.
pub struct Enlarging {
    config: ImageConfig,
    pairs: Pairs,
    validation: Vec<Picture>,
    batch: usize,
    sizes: Vec<usize>,
}

impl Enlarging {
    /// `sizes` are the sides of small patches, in pixels, each for an equal part of the run (progressive resizing). `batch` is
    /// the number of pairs at the largest of them; smaller patches come in larger batches of as many pixels.
    pub fn new(config: ImageConfig, pairs: Pairs, validation: &[Picture], batch: usize, sizes: Vec<usize>) -> Self {
        Self { config, pairs, validation: validation.iter().map(middle).collect(), batch, sizes }
    }

    /// Pairs and side at this point of the run.
    fn shape(&self, progress: f64) -> (usize, usize) {
        let index = (progress * self.sizes.len() as f64) as usize;
        let largest = self.sizes.iter().copied().max().unwrap_or(1);
        let size = self.sizes.get(index).or(self.sizes.last()).copied().unwrap_or(largest);
        (self.batch * largest * largest / (size * size).max(1), size)
    }
}

impl Task for Enlarging {
    type Model = ImageNetwork<Tensor>;
    type Batch = Batch;

    fn metadata(&self) -> Metadata {
        Metadata::new(self.config)
    }

    fn model(&self, scope: &Scope<Tensor>) -> shared::Result<Self::Model> {
        ImageNetwork::new(&self.config, scope)
    }

    fn batch(&self, step: u64, progress: f64) -> Batch {
        let (count, size) = self.shape(progress);
        self.pairs.batch(step, count, size)
    }

    fn describe(&self, step: u64) -> String {
        format!("number {step} of seed {}", self.pairs.seed())
    }

    fn loss(&self, model: &Self::Model, batch: Batch, device: &Device, dtype: DType) -> Result<Tensor> {
        let (small, large) = batch.to_device(device)?;
        let output = model.forward(&small.to_dtype(dtype)?)?.to_dtype(DType::F32)?;
        Ok((output - large)?.abs()?.mean_all()?)
    }

    fn validate(&self, weights: &Checkpoint, device: &Device) -> Result<Validation> {
        let session = Session::new(weights, Engine::Candle(device.clone()))?;
        let trials: Vec<Trial> = self.validation.iter().map(|p| trial(&session, p)).collect::<Result<_>>()?;
        let scores = Scores::mean(&trials.iter().map(|t| t.scores).collect::<Vec<_>>());
        let loss = trials.iter().map(|t| l1(&t.network, &t.large)).sum::<f64>() / trials.len().max(1) as f64;
        let metrics = vec![
            ("psnr", scores.psnr),
            ("ssim", scores.ssim),
            ("bicubic_psnr", scores.bicubic_psnr),
            ("bicubic_ssim", scores.bicubic_ssim),
        ];
        let sample = trials.first().map(strip).transpose()?.map(Sample::Picture);
        Ok(Validation { loss, metrics, sample })
    }
}

/// The mean distance of RGB values in 0..1.
fn l1(a: &Picture, b: &Picture) -> f64 {
    let (a, b) = (a.planes(a.bounds(), 0, 3), b.planes(b.bounds(), 0, 3));
    a.iter().zip(&b).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / a.len().max(1) as f64
}

/// Bicubic, network and original side by side.
fn strip(trial: &Trial) -> Result<Picture> {
    sheet(&[&trial.bicubic, &trial.network, &trial.large], 3, 0)
}

/// The middle of a picture, so that validation stays quick.
fn middle(picture: &Picture) -> Picture {
    let (width, height) = (picture.width().min(VALIDATION_SIDE), picture.height().min(VALIDATION_SIDE));
    picture.crop(Region { x: (picture.width() - width) / 2, y: (picture.height() - height) / 2, width, height })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::dead_leaves;
    use shared::models::RlfnConfig;

    #[test]
    fn patches_grow_and_batches_shrink() {
        let config = ImageConfig::Rlfn(RlfnConfig { scale: 2, channels: 4, blocks: 1 });
        let pictures = dead_leaves::pictures(1, 96, 1);
        let pairs = Pairs::new(pictures.clone(), 2, 32, 1).unwrap();
        let task = Enlarging::new(config, pairs, &pictures, 4, vec![16, 32]);
        assert_eq!([0.0, 0.49, 0.5, 1.0].map(|progress| task.shape(progress)), [(16, 16), (16, 16), (4, 32), (4, 32)]);
    }
}
