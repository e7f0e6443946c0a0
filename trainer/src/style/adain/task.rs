//! What is learnt: to see as the judge sees, and to draw what has the content of one picture and the statistics of another.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use rand::RngExt;
use shared::Scope;
use shared::checkpoint::{Checkpoint, Metadata};
use shared::engine::candle::Constants;
use shared::layers::EPSILON;
use shared::models::{AdaIn, AdaInConfig, ImageConfig};
use shared::picture::Picture;
use shared::tensor::Tensor as _;

use crate::learner::{Sample, Task, Validation};
use crate::runs::sheet;
use crate::seed;
use crate::style::crops::Crops;
use crate::style::judge::{Judge, number, relative};
use crate::style::pictures::{GAP, filled, picture, tensor, white};

/// The variance of a feature that says nothing: where it is dead, the root would have no slope.
const DEAD: f64 = 1e-6;

/// Redraws a crop of one picture in the style of a crop of another.
pub struct Adapting {
    /// The network.
    pub network: AdaInConfig,
    /// What judges, and sees.
    pub judge: Judge,
    /// What is redrawn.
    pub crops: Crops,
    /// Where styles come from; each is drawn as often.
    pub styles: Vec<Crops>,
    /// What is kept back.
    pub validation: Vec<Picture>,
    /// Styles to validate on.
    pub validation_styles: Vec<Picture>,
    /// Pairs a batch.
    pub batch: usize,
    /// Weight of seeing as the judge does.
    pub seeing: f64,
}

/// Contents and styles in host memory.
pub struct Batch(Vec<[Vec<f32>; 2]>);

/// What one pair says, scalars.
struct Terms {
    total: Tensor,
    content: Tensor,
    style: Tensor,
    seeing: Tensor,
    output: Tensor,
}

impl Adapting {
    fn config(&self) -> ImageConfig {
        ImageConfig::AdaIn(self.network)
    }

    /// Of a content and a style `[1, 3, H, W]`.
    fn terms(&self, model: &AdaIn<Tensor>, [content, style]: [&Tensor; 2], dtype: DType) -> Result<Terms> {
        // In the colours of the style; what is drawn next is its strokes.
        let content = &adapted(content, style)?;
        let ((there, _), (seen_of_style, wanted)) = (self.judge.look(content)?, self.judge.look(style)?);
        let encode = |x: &Tensor| -> Result<Tensor> { Ok(model.encode(&x.to_dtype(dtype)?)?) };
        let [encoded, of_style] = [encode(content)?, encode(style)?];
        let float = |x: &Tensor| x.to_dtype(DType::F32);
        let seeing = ((relative(&float(&encoded)?, &there)? + relative(&float(&of_style)?, &seen_of_style)?)? / 2.0)?;
        let output = float(&model.decode(&adapted(&encoded, &of_style)?)?)?;
        let target = adapted(&there, &seen_of_style)?;
        let losses = self.judge.losses(&output, &target, &wanted)?;
        let total = (&losses.total + (&seeing * self.seeing)?)?;
        Ok(Terms { total, content: losses.content, style: losses.style, seeing, output })
    }
}

/// `content` with the mean and the deviation that `style` has in every channel.
fn adapted(content: &Tensor, style: &Tensor) -> Result<Tensor> {
    let values = style.flatten_from(2)?.squeeze(0)?;
    let mean = values.mean_keepdim(1)?;
    let deviation = (values.broadcast_sub(&mean)?.sqr()?.mean(1)? + DEAD)?.sqrt()?;
    Ok(content.instance_norm(&deviation, &mean.squeeze(1)?, EPSILON)?)
}

/// Other colours for half of the styles: there are few paintings, and none of them may stand for its colours. Channels change
/// places, and each of them its brightness and contrast.
fn recolour(planes: &mut [f32], rng: &mut impl RngExt) {
    if rng.random() {
        return;
    }
    let size = planes.len() / 3;
    for (from, to) in [(0, rng.random_range(0..3)), (1, rng.random_range(1..3))] {
        for i in 0..size {
            planes.swap(from * size + i, to * size + i);
        }
    }
    for plane in planes.chunks_exact_mut(size.max(1)) {
        let (contrast, brightness) = (rng.random_range(0.6f32..1.2), rng.random_range(-0.2f32..0.2));
        plane.iter_mut().for_each(|v| *v = ((*v - 0.5) * contrast + 0.5 + brightness).clamp(0.0, 1.0));
    }
}

impl Task for Adapting {
    type Model = AdaIn<Tensor>;
    type Batch = Batch;

    fn metadata(&self) -> Metadata {
        Metadata::new(self.config())
    }

    fn model(&self, scope: &Scope<Tensor>) -> shared::Result<Self::Model> {
        AdaIn::new(&self.network, scope)
    }

    fn batch(&self, step: u64, _: f64) -> Batch {
        let mut rng = seed::rng(self.crops.seed(), "styles", step);
        let pair = |i: usize| {
            let source = rng.random_range(0..self.styles.len());
            let mut style = self.styles[source].crop(step, i);
            recolour(&mut style, &mut rng);
            [self.crops.crop(step, i), style]
        };
        Batch((0..self.batch).map(pair).collect())
    }

    fn describe(&self, step: u64) -> String {
        format!("number {step} of seed {}", self.crops.seed())
    }

    fn loss(&self, model: &Self::Model, batch: Batch, device: &Device, dtype: DType) -> Result<Tensor> {
        let size = self.crops.size();
        let mut losses = Vec::with_capacity(batch.0.len());
        for [content, style] in batch.0 {
            let tensor = |planes| Tensor::from_vec(planes, (1, 3, size, size), device);
            losses.push(self.terms(model, [&tensor(content)?, &tensor(style)?], dtype)?.total);
        }
        Ok(Tensor::stack(&losses, 0)?.mean_all()?)
    }

    fn validate(&self, weights: &Checkpoint, device: &Device) -> Result<Validation> {
        let source = Constants { tensors: &weights.tensors, device };
        let model = AdaIn::new(&self.network, &Scope::root(&source))?;
        let square = |photo: &Picture| filled(photo, 2 * self.crops.size(), 2 * self.crops.size());
        let styles: Vec<Picture> = self.validation_styles.iter().map(square).collect::<Result<_>>()?;
        let mut sums = [0.0f64; 4];
        // A row for the styles, then one for every photo.
        let mut shown = vec![white(2 * self.crops.size())?];
        shown.extend(styles.iter().cloned());
        for photo in &self.validation {
            let photo = square(photo)?;
            let x = tensor(&photo, device)?;
            shown.push(photo);
            for style in &styles {
                let terms = self.terms(&model, [&x, &tensor(style, device)?], DType::F32)?;
                let numbers = [&terms.total, &terms.content, &terms.style, &terms.seeing];
                for (sum, scalar) in sums.iter_mut().zip(numbers) {
                    *sum += number(scalar)?;
                }
                shown.push(picture(&terms.output)?);
            }
        }
        let count = (self.validation.len() * styles.len()).max(1) as f64;
        let [total, content, style, seeing] = sums.map(|sum| sum / count);
        // The one that decides must rise.
        let metrics = vec![("gain", -total), ("content_loss", content), ("style_loss", style), ("seeing_loss", seeing)];
        let sheet = sheet(&shown.iter().collect::<Vec<_>>(), styles.len() + 1, GAP)?;
        Ok(Validation { loss: total, metrics, sample: Some(Sample::Picture(sheet)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::engine::candle::values;

    #[test]
    fn what_is_adapted_has_the_statistics_of_the_style() {
        let tensor = |values: &[f32]| Tensor::from_slice(values, (1, 1, 2, 2), &Device::Cpu).unwrap();
        let result = adapted(&tensor(&[0.0, 10.0, 10.0, 0.0]), &tensor(&[1.0, 3.0, 1.0, 3.0])).unwrap();
        let found = values(&result).unwrap();
        assert!(found.iter().zip([1.0, 3.0, 3.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?}");
    }

    #[test]
    fn recoloured_planes_are_the_same_planes_when_only_moved() {
        for step in 0..20 {
            let mut planes = vec![0.2, 0.2, 0.5, 0.5, 0.8, 0.8];
            recolour(&mut planes, &mut seed::rng(1, "test", step));
            assert!(planes.chunks_exact(2).all(|plane| plane[0] == plane[1] && (0.0..=1.0).contains(&plane[0])), "{planes:?}");
        }
    }
}
