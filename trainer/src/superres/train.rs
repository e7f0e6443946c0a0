//! The training loop.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use candle_core::{Device, Tensor};
use indicatif::ProgressBar;
use shared::Scope;
use shared::checkpoint::Checkpoint;
use shared::models::{Superres, SuperresConfig};
use shared::picture::{Picture, Region};
use shared::session::{Engine, Session};
use tracing::info;

use super::evaluate::{Scores, Trial, trial};
use super::run_folder::{Position, RunFolder, averaged};
use crate::data::pairs::{Batch, Pairs};
use crate::optimizer::{Adam, AdamConfig, one_cycle};
use crate::variables::Variables;

/// When a run ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// After so many steps.
    Steps(u64),
    /// After so many minutes of training.
    Minutes(f64),
}

impl Length {
    /// The part of the run that is done, 1 at its end.
    fn progress(self, step: u64, seconds: f64) -> f64 {
        match self {
            Self::Steps(steps) => step as f64 / steps.max(1) as f64,
            Self::Minutes(minutes) => seconds / (60.0 * minutes).max(1e-9),
        }
    }
}

/// What a run needs.
pub struct Options {
    /// The network.
    pub config: SuperresConfig,
    /// Where to compute.
    pub device: Device,
    /// When to end.
    pub length: Length,
    /// Pairs a step.
    pub batch: usize,
    /// The highest learning rate.
    pub rate: f64,
    /// Seed of weights and data.
    pub seed: u64,
    /// Steps between validations.
    pub every: u64,
    /// Start from these weights where names and sizes agree.
    pub from: Option<PathBuf>,
    /// Go on with the run in the folder.
    pub resume: bool,
    /// What must stay the same when the run is resumed, as text.
    pub settings: String,
    /// What the checkpoint will say of its origin.
    pub provenance: BTreeMap<String, String>,
}

/// Set by Ctrl-C: the loop saves and ends.
pub static STOP: AtomicBool = AtomicBool::new(false);

/// Largest side of a validation picture.
const VALIDATION_SIDE: usize = 320;

/// Trains; the folder then holds `best.safetensors`. Returns the best validation scores' PSNR.
///
/// # Errors
/// When a file cannot be read or written, the device fails, or the loss is no longer a number (the last checkpoint stays).
pub fn train(options: &Options, pairs: &Pairs, validation: &[Picture], folder: &RunFolder, bar: &ProgressBar) -> Result<f64> {
    let variables = Variables::new(&options.device, options.seed);
    let model = Superres::new(&options.config, &Scope::root(&variables))?;
    if let Some(from) = &options.from {
        let loaded = variables.load(&Checkpoint::read(from)?.tensors)?;
        if loaded == 0 {
            bail!("{}: none of its tensors fits this network", from.display());
        }
        info!("{loaded} of {} tensors from {}", variables.all().len(), from.display());
    }
    let mut optimizer = Adam::new(variables.all(), AdamConfig::default())?;
    let mut at = Position { step: 0, seconds: 0.0, best: 0.0, settings: options.settings.clone() };
    if options.resume {
        at = folder.restore(options.config, &mut optimizer, &options.settings)?;
        info!("resumed at step {}", at.step);
    }
    let validation: Vec<Picture> = validation.iter().map(middle).collect();
    let parameters: usize = optimizer.slots.values().map(|s| s.var.elem_count()).sum();
    info!("{parameters} parameters, {} pictures, {} to validate", pairs.len(), validation.len());
    bar.set_length(1000);

    let (first, length) = (at.step, options.length);
    std::thread::scope(|scope| {
        // Batches are made ahead of the device. When the loop ends its receiver goes, and the thread with it.
        let (send, batches) = mpsc::sync_channel::<Batch>(2);
        scope.spawn(move || (first..).take_while(|&step| send.send(pairs.batch(step, options.batch)).is_ok()).count());

        let began = Instant::now();
        let before = at.seconds;
        let mut losses = Mean::default();
        while length.progress(at.step, at.seconds) < 1.0 {
            let (small, large) = batches.recv().context("the data thread ended")?.to_device(&options.device)?;
            let loss = l1(&model.forward(&small)?, &large)?;
            let value = f64::from(loss.to_scalar::<f32>()?);
            let rate = options.rate * one_cycle(length.progress(at.step, at.seconds));
            let norm = optimizer.step(&loss.backward()?, rate)?;
            if !(value.is_finite() && norm.is_finite()) {
                bail!("step {}: loss {value}, gradient norm {norm}; the last checkpoint is kept (try a lower --lr)", at.step);
            }
            losses.add(value);
            at.step = optimizer.step;
            at.seconds = before + began.elapsed().as_secs_f64();
            let progress = length.progress(at.step, at.seconds);
            bar.set_position((progress * 1000.0) as u64);
            bar.set_message(format!("step {}, loss {:.4}, best {:.2} dB", at.step, losses.mean(), at.best));

            if STOP.load(Ordering::Relaxed) {
                folder.save(options.config, &optimizer, &at)?;
                // Not a candidate for the best: a run that is stopped and resumed ends as one that never stopped.
                if !folder.best().exists() {
                    folder.save_best(&averaged(options.config, &optimizer, provenance(options, &at))?)?;
                }
                bar.suspend(|| info!("stopped and saved at step {}; go on with --resume", at.step));
                break;
            }
            if progress >= 1.0 || at.step.is_multiple_of(options.every) {
                let checkpoint = averaged(options.config, &optimizer, provenance(options, &at))?;
                let trials = validate(&checkpoint, &options.device, &validation)?;
                let scores = Scores::mean(&trials.iter().map(|t| t.scores).collect::<Vec<_>>());
                if let Some(first) = trials.first() {
                    folder.sample(at.step, first)?;
                }
                if scores.psnr >= at.best {
                    at.best = scores.psnr;
                    folder.save_best(&checkpoint)?;
                }
                folder.log(&at, losses.mean(), rate, &scores)?;
                folder.save(options.config, &optimizer, &at)?;
                bar.suspend(|| {
                    let speed = (at.step - first) as f64 / began.elapsed().as_secs_f64();
                    info!(
                        "step {} ({speed:.2}/s): loss {:.5}, PSNR {:.3} dB (bicubic {:.3})",
                        at.step,
                        losses.mean(),
                        scores.psnr,
                        scores.bicubic_psnr
                    );
                });
                losses = Mean::default();
            }
        }
        bar.finish_and_clear();
        Ok(at.best)
    })
}

fn l1(output: &Tensor, target: &Tensor) -> candle_core::Result<Tensor> {
    (output - target)?.abs()?.mean_all()
}

fn validate(checkpoint: &Checkpoint, device: &Device, pictures: &[Picture]) -> Result<Vec<Trial>> {
    let session = Session::new(checkpoint, Engine::Candle(device.clone()))?;
    pictures.iter().map(|p| trial(&session, p)).collect()
}

fn provenance(options: &Options, at: &Position) -> BTreeMap<String, String> {
    let mut facts = options.provenance.clone();
    facts.insert("steps".into(), at.step.to_string());
    facts.insert("minutes".into(), format!("{:.1}", at.seconds / 60.0));
    facts
}

/// The middle of a picture, so that validation stays quick.
fn middle(picture: &Picture) -> Picture {
    let (width, height) = (picture.width().min(VALIDATION_SIDE), picture.height().min(VALIDATION_SIDE));
    picture.crop(Region { x: (picture.width() - width) / 2, y: (picture.height() - height) / 2, width, height })
}

#[derive(Default)]
struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }
    fn mean(&self) -> f64 {
        self.sum / self.count.max(1.0)
    }
}
