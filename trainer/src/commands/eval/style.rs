use std::path::PathBuf;

use anyhow::Result;
use candle_core::Device;
use clap::Args;
use shared::checkpoint::Checkpoint;

use crate::commands::progress_bar;
use crate::device::Choice;
use crate::style::config::StylePicture;
use crate::style::evaluate::{Scores, Test, measure};
use crate::style::judge::{Judge, Objective};
use crate::style::lpips::Lpips;

const EXAMPLES: &str = "Example:
  trainer eval style --weights web/models/style.safetensors --judge vgg.safetensors --data BSDS500/val --count 50 \\
    --style great_wave=wave.jpg --style starry_night=night.jpg
A network that takes its styles from pictures takes those that it does not have.";

/// Every photo is restyled whole, in each style alone at full strength, and judged by the losses of the training: relative ones, so
/// that 1 is a picture that has nothing of what is wanted.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Style {
    /// The weights, a safetensors file written by `train` or `publish`.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    #[command(flatten)]
    test: TestArgs,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    device: Choice,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// What is measured, and on what.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The network that judges, a safetensors file.
    #[arg(long, value_name = "FILE")]
    judge: PathBuf,
    /// A style of the network and the picture that has it; may be given again.
    #[arg(long, value_name = "NAME=FILE", required = true)]
    pub style: Vec<StylePicture>,
    /// Measure also how different the results look from the photos, by LPIPS: the file of its heads for SqueezeNet, version 0.1.
    #[arg(long, value_name = "FILE", requires = "squeezenet")]
    lpips: Option<PathBuf>,
    /// For LPIPS: SqueezeNet 1.1, a safetensors file in torchvision's names.
    #[arg(long, value_name = "FILE", requires = "lpips")]
    squeezenet: Option<PathBuf>,
    /// Shorter side of the style pictures.
    #[arg(long, default_value_t = 320)]
    pub style_size: usize,
    /// Photos that the network has not seen.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The first so many of them.
    #[arg(long, default_value_t = 50)]
    pub count: usize,
}

impl TestArgs {
    /// Measures these styles.
    ///
    /// # Errors
    /// As [`measure`].
    pub fn measure(&self, checkpoint: &Checkpoint, styles: &[StylePicture], device: &Device) -> Result<Vec<Scores>> {
        let judge = Judge::open(&self.judge, Objective::default(), device)?;
        let lpips = match (&self.squeezenet, &self.lpips) {
            (Some(network), Some(heads)) => Some(Lpips::open(network, heads, device)?),
            _ => None,
        };
        let bar = progress_bar("measuring {wide_bar} {pos}/{len} ({eta} left)");
        bar.set_length((self.count * styles.len()) as u64);
        let test = Test {
            judge: &judge,
            lpips: lpips.as_ref(),
            styles,
            style_size: self.style_size,
            data: &self.data,
            count: self.count,
        };
        let scores = measure(checkpoint, &test, device, || bar.inc(1));
        bar.finish_and_clear();
        scores
    }
}

impl Style {
    #[allow(clippy::print_stdout)]
    pub fn run(self) -> Result<()> {
        let checkpoint = Checkpoint::read(&self.weights)?;
        let scores = self.test.measure(&checkpoint, &self.test.style, &self.device.open()?)?;
        if self.json {
            println!("{}", serde_json::to_string(&scores)?);
            return Ok(());
        }
        let width = scores.iter().map(|s| s.name.len()).max().unwrap_or_default();
        println!("{:width$}  {:>7} {:>7}  {:>12}  {:>5}", "", "content", "style", "style before", "LPIPS");
        for Scores { name, content, style, before, lpips } in &scores {
            let lpips = lpips.map(|lpips| format!("{lpips:.3}")).unwrap_or_default();
            println!("{name:width$}  {content:7.3} {style:7.4}  {before:12.3}  {lpips:>5}");
        }
        Ok(())
    }
}
