use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use shared::checkpoint::Checkpoint;
use shared::session::{Engine, Session};
use tracing::info;

use crate::commands::eval::{mean, measure};
use crate::device::Choice;
use crate::publish::{Entry, publish, rounded};
use crate::superres::Size;
use crate::superres::card::card;
use crate::superres::evaluate::Scores;

const EXAMPLES: &str = "Example:
  trainer publish superres --weights runs/x4/best.safetensors --size quality --test Set5=data/Set5 \\
    --trained-on \"BSDS500 (train and test), 41 photos\"";

/// Stores the weights in f16, measures what is stored, and writes the weights, the model card and the page's list of models.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Superres {
    /// The weights, as training left them.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Which of the page's models it becomes.
    #[arg(long, value_enum)]
    size: Size,
    /// Test pictures and the name of the set; may be given again. The first one stands in the page.
    #[arg(long, value_name = "NAME=DIR", required = true, value_parser = test_set)]
    test: Vec<(String, PathBuf)>,
    /// The training data in words, with its licence, for the model card.
    #[arg(long, value_name = "TEXT")]
    trained_on: Option<String>,
    /// The page's folder of models.
    #[arg(long, value_name = "DIR", default_value = "web/models")]
    models: PathBuf,
    /// What measures: auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    device: Choice,
}

fn test_set(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, dir)) if !name.is_empty() && name.chars().all(char::is_alphanumeric) => Ok((name.to_owned(), dir.into())),
        _ => Err("must be NAME=DIR, with a name of letters and digits".to_owned()),
    }
}

impl Superres {
    pub fn run(self) -> Result<()> {
        let quality = match self.size {
            Size::Fast => "fast",
            Size::Quality => "quality",
            Size::Lesson => bail!("the page has `fast` and `quality`; the lesson's network is not published"),
        };
        let mut checkpoint = Checkpoint::read(&self.weights)?;
        if let Some(text) = self.trained_on {
            checkpoint.metadata.provenance.insert("data".to_owned(), text);
        }
        // What is measured is what the page gets.
        let mut checkpoint = rounded(&checkpoint)?;
        let session = Session::new(&checkpoint, Engine::Candle(self.device.open()?))?;
        let mut tests: Vec<(String, Scores)> = Vec::new();
        checkpoint.metadata.metrics.clear();
        for (name, data) in &self.test {
            let scores = mean(&measure(&session, data)?);
            info!("{name}: PSNR {:.2} dB, SSIM {:.4}; bicubic {:.2} dB", scores.psnr, scores.ssim, scores.bicubic_psnr);
            let key = name.to_lowercase();
            let metrics = [("psnr", scores.psnr), ("ssim", scores.ssim), ("bicubic_psnr", scores.bicubic_psnr)];
            let rounded = |v: f64| (v * 1e4).round() / 1e4;
            checkpoint.metadata.metrics.extend(metrics.map(|(m, v)| (format!("{key}_{m}"), rounded(v))));
            tests.push((name.clone(), scores));
        }
        let scale = checkpoint.image()?.scale();
        let name = format!("superres-x{scale}-{quality}");
        let entry = Entry { task: "superres", name, scale, quality: quality.to_owned() };
        publish(&self.models, entry, &checkpoint, |model| card(model, &checkpoint, &tests))
    }
}
