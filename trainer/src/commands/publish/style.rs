use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use shared::catalogue::{OWN_STYLE, STYLE};
use shared::checkpoint::Checkpoint;
use shared::models::ImageConfig;
use shared::session::Engine;

use crate::commands::eval::StyleTest;
use crate::device::Choice;
use crate::publish::{Entry, publish, rounded};
use crate::runs::write_atomically;
use crate::style::adain::styles::complete;
use crate::style::card::card;
use crate::style::config::StylePicture;
use crate::style::evaluate::mean;

const EXAMPLES: &str = "Example:
  trainer publish style --weights runs/style/checkpoints/best.safetensors --judge vgg.safetensors --data BSDS500/val \\
    --style great_wave=wave.jpg --title \"great_wave=The Great Wave off Kanagawa, Katsushika Hokusai, about 1831\"";

/// Stores the weights in f16, measures what is stored, and writes the weights, the model card and the page's list of models.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Style {
    /// The weights, as training left them.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    #[command(flatten)]
    test: StyleTest,
    /// A style that is measured and not stored, for a network that takes its styles from pictures; may be given again.
    #[arg(long, value_name = "NAME=FILE")]
    unseen: Vec<StylePicture>,
    /// What a style is called for people; may be given again.
    #[arg(long, value_name = "NAME=TITLE", value_parser = title)]
    title: Vec<(String, String)>,
    /// The training data in words, with its licence, for the model card.
    #[arg(long, value_name = "TEXT")]
    trained_on: Option<String>,
    /// The photos of the test in words, for the model card.
    #[arg(long, value_name = "TEXT", default_value = "photos that were kept back")]
    tested_on: String,
    /// A picture for the model card, with what it shows; may be given again.
    #[arg(long, value_name = "FILE=TEXT", value_parser = picture)]
    picture: Vec<(PathBuf, String)>,
    /// The page's folder of models.
    #[arg(long, value_name = "DIR", default_value = "web/models")]
    models: PathBuf,
    /// What measures: auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    device: Choice,
}

fn title(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(name, title)| (name.to_owned(), title.to_owned())).ok_or_else(|| "must be NAME=TITLE".to_owned())
}

fn picture(text: &str) -> Result<(PathBuf, String)> {
    let (file, shows) = text.split_once('=').context("must be FILE=TEXT")?;
    ensure!(!shows.contains(['[', ']', '\n']), "what it shows is one line without brackets");
    Ok((PathBuf::from(file), shows.to_owned()))
}

impl Style {
    pub fn run(self) -> Result<()> {
        let device = self.device.open()?;
        let engine = Engine::Candle(device.clone());
        let mut checkpoint = complete(&Checkpoint::read(&self.weights)?, &self.test.style, self.test.style_size, &engine)?;
        for (name, title) in &self.title {
            match checkpoint.metadata.styles.iter_mut().find(|style| style.name == *name) {
                Some(style) => title.clone_into(&mut style.title),
                None => bail!("{}: no style is called “{name}”", self.weights.display()),
            }
        }
        if let Some(text) = self.trained_on {
            checkpoint.metadata.provenance.insert("data".to_owned(), text);
        }
        // What is measured is what the page gets.
        let mut checkpoint = rounded(&checkpoint)?;
        let styles = [self.test.style.as_slice(), &self.unseen].concat();
        let scores = self.test.measure(&checkpoint, &styles, &device)?;
        let mean = mean(&scores[..self.test.style.len()]);
        let rounded = |v: f64| (v * 1e4).round() / 1e4;
        checkpoint.metadata.metrics.clear();
        let metrics = [("content_loss", mean.content), ("style_loss", mean.style)];
        checkpoint.metadata.metrics.extend(metrics.map(|(name, value)| (name.to_owned(), rounded(value))));
        let task = if matches!(checkpoint.image()?, ImageConfig::AdaIn(_)) { OWN_STYLE } else { STYLE };
        let entry = Entry { task, name: task.to_owned(), scale: 1, quality: String::new() };
        std::fs::create_dir_all(&self.models).with_context(|| self.models.display().to_string())?;
        let mut pictures = Vec::new();
        for (file, shows) in &self.picture {
            let name = format!("{task}-{}", file.file_name().unwrap_or_default().to_string_lossy().replace(' ', "-"));
            let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
            write_atomically(&self.models.join(&name), &bytes)?;
            pictures.push((name, shows.clone()));
        }
        publish(&self.models, entry, &checkpoint, |model| card(model, &checkpoint, &scores, &self.tested_on, &pictures))
    }
}
