//! One picture, optimised pixel by pixel (Gatys et al. 2015, arXiv:1508.06576).

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use candle_core::{Tensor, Var};
use clap::ValueEnum;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use shared::engine::candle::values;

use super::judge::{Judge, Statistics, number};
use crate::optimizer::{Adam, AdamConfig, Hyper, Lbfgs, LbfgsConfig, Optimizer, Sgd, SgdConfig};
use crate::seed;

/// What moves the pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mover {
    /// L-BFGS with a line search, as in the paper.
    #[default]
    Lbfgs,
    /// Gradient descent.
    Sgd,
    /// Gradient descent with momentum 0.9.
    Momentum,
    /// Adam.
    Adam,
}

impl Mover {
    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Lbfgs => "L-BFGS",
            Self::Sgd => "SGD",
            Self::Momentum => "SGD with momentum",
            Self::Adam => "Adam",
        }
    }

    /// A step that is neither lost nor wild on relative losses of a picture in 0..1.
    pub fn usual_rate(self) -> f64 {
        match self {
            Self::Lbfgs => 1.0,
            Self::Sgd => 5.0,
            Self::Momentum => 20.0,
            Self::Adam => 0.02,
        }
    }
}

/// What the pixels are at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Start {
    /// The content.
    Content,
    /// Noise.
    Noise,
    /// Noise around the content's median colour.
    MedianNoise,
}

impl Start {
    /// The pixels for a content `[1, 3, H, W]`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn pixels(self, content: &Tensor, seed: u64) -> Result<Tensor> {
        let mut rng = seed::rng(seed, "start", 0);
        let mut noise = |count: usize, centre: f32, width: f32| -> Vec<f32> {
            (0..count).map(|_| (centre + width * (rng.random::<f32>() - 0.5)).clamp(0.0, 1.0)).collect()
        };
        let pixels = match self {
            Self::Content => return Ok(content.clone()),
            Self::Noise => noise(content.elem_count(), 0.5, 1.0),
            Self::MedianNoise => {
                let median = |plane: &[f32]| {
                    let mut sorted = plane.to_vec();
                    sorted.sort_by(f32::total_cmp);
                    sorted.get(plane.len() / 2).copied().unwrap_or(0.5)
                };
                let values = values(content)?;
                values.chunks_exact(values.len() / 3).flat_map(|plane| noise(plane.len(), median(plane), 0.2)).collect()
            }
        };
        Ok(Tensor::from_vec(pixels, content.dims(), content.device())?)
    }
}

/// What a step found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// Steps so far.
    pub step: u64,
    /// The weighted sum.
    pub loss: f64,
    /// Of the content.
    pub content: f64,
    /// Of the style.
    pub style: f64,
    /// Evaluations of the loss and its gradient so far.
    pub evaluations: u64,
}

/// A picture on its way. Its pixels stay among those that can be shown: what leaves 0..1 is cut off wherever the loss is asked for,
/// as in the baseline of Johnson et al. 2016 (arXiv:1603.08155).
pub struct Optimisation<'a> {
    judge: &'a Judge,
    content: Tensor,
    style: Statistics,
    pixels: BTreeMap<String, Var>,
    mover: Moving,
    rate: f64,
    evaluations: u64,
    step: u64,
    last: Option<Evaluation>,
}

/// What was computed last. A step of L-BFGS begins where its line search has ended, most often with the last evaluation.
struct Evaluation {
    pixels: Tensor,
    losses: [f64; 3],
    gradient: Tensor,
}

enum Moving {
    Lbfgs(Box<Lbfgs>),
    First(Box<dyn Optimizer>),
}

const PIXELS: &str = "pixels";

/// What the loss is multiplied by while it goes back, so that gradients of features are no less than f16 can tell from zero. A
/// power of two: in f32 it changes nothing.
const SCALE: f64 = 65536.0;

impl<'a> Optimisation<'a> {
    /// From `start` `[1, 3, H, W]` towards the content of one picture and a style.
    ///
    /// # Errors
    /// When the pictures are too small for the network, or the device fails.
    pub fn new(judge: &'a Judge, content: &Tensor, style: Statistics, start: &Tensor, mover: Mover, rate: f64) -> Result<Self> {
        let moving = match mover {
            Mover::Lbfgs => Moving::Lbfgs(Box::new(Lbfgs::new(LbfgsConfig {
                rate,
                max_iterations: 1,
                history: 100,
                ..LbfgsConfig::default()
            }))),
            Mover::Sgd => Moving::First(Box::new(Sgd::new(SgdConfig { momentum: 0.0, ..SgdConfig::default() }))),
            Mover::Momentum => Moving::First(Box::new(Sgd::new(SgdConfig { momentum: 0.9, ..SgdConfig::default() }))),
            Mover::Adam => Moving::First(Box::new(Adam::new(AdamConfig::default(), 0.0))),
        };
        let pixels = BTreeMap::from([(PIXELS.to_owned(), Var::from_tensor(start)?)]);
        Ok(Self {
            judge,
            content: judge.content(content)?,
            style,
            pixels,
            mover: moving,
            rate,
            evaluations: 0,
            step: 0,
            last: None,
        })
    }

    /// The picture as it is now, `[1, 3, H, W]`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn picture(&self) -> Result<Tensor> {
        Ok(shown(self.pixels.get(PIXELS).context("no pixels")?)?)
    }

    /// One step; what was found before it.
    ///
    /// # Errors
    /// When the loss is not a number, or the device fails.
    pub fn step(&mut self) -> Result<Point> {
        let Self { judge, content, style, pixels, last, .. } = self;
        let var = pixels.get(PIXELS).context("no pixels")?.clone();
        // L-BFGS reads them before it asks for a loss.
        var.set(&shown(&var)?)?;
        let mut first: Option<[f64; 3]> = None;
        let mut count = 0;
        let mut evaluate = || -> Result<(f64, BTreeMap<String, Tensor>)> {
            let now = shown(&var)?;
            var.set(&now)?;
            if let Some(Evaluation { pixels, losses, gradient }) = last.as_ref()
                && (pixels - &now)?.abs()?.max_all()?.to_scalar::<f32>()? == 0.0
            {
                first.get_or_insert(*losses);
                return Ok((losses[0], BTreeMap::from([(PIXELS.to_owned(), gradient.clone())])));
            }
            let found = judge.losses(var.as_tensor(), content, style)?;
            let values = found.numbers()?;
            first.get_or_insert(values);
            count += 1;
            let gradients = (found.total * SCALE)?.backward()?;
            let gradient = (gradients.get(&var).context("no gradient")?.detach() / SCALE)?;
            ensure!(number(&gradient.sum_all()?)?.is_finite(), "the gradient overflows; leave out --half, or weigh less");
            let gradient = (&gradient * free(&now, &gradient)?)?;
            *last = Some(Evaluation { pixels: now, losses: values, gradient: gradient.clone() });
            Ok((values[0], BTreeMap::from([(PIXELS.to_owned(), gradient)])))
        };
        match &mut self.mover {
            Moving::Lbfgs(lbfgs) => drop(lbfgs.step(pixels, &mut evaluate)?),
            Moving::First(optimizer) => {
                let (loss, gradients) = evaluate()?;
                ensure!(loss.is_finite(), "the loss is {loss}: a lower --lr may help");
                optimizer.step(pixels, &gradients, &Hyper { rate: self.rate, momentum: None, share: &|_| 1.0 })?;
            }
        }
        let [loss, content, style] = first.context("no loss")?;
        self.evaluations += count;
        let point = Point { step: self.step, loss, content, style, evaluations: self.evaluations };
        self.step += 1;
        Ok(point)
    }
}

/// The pixels as they can be shown.
fn shown(pixels: &Var) -> candle_core::Result<Tensor> {
    pixels.as_detached_tensor().clamp(0.0, 1.0)
}

/// 1 where a pixel can go on downhill, 0 where it would leave what can be shown: a line search would wait for what cannot come.
fn free(pixels: &Tensor, gradient: &Tensor) -> candle_core::Result<Tensor> {
    let down = (pixels.le(0.0)? * gradient.gt(0.0)?)?;
    let up = (pixels.ge(1.0)? * gradient.lt(0.0)?)?;
    (down + up)?.eq(0u8)?.to_dtype(gradient.dtype())
}
