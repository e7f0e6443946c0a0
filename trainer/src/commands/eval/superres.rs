use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use shared::session::Session;
use tracing::warn;

use crate::commands::{Network, progress_bar, stem};
use crate::data::folder;
use crate::superres::evaluate::{Scores, trial};

const EXAMPLES: &str = "Examples:
  trainer eval superres --weights web/models/superres-x4-quality.safetensors --data Set5
  trainer eval superres --weights runs/x2/best.safetensors --data Set5 --engine webgpu --json";

/// Every picture is cropped to a multiple of the scale, shrunk by MATLAB's imresize, enlarged by the network, and compared on the
/// luma of BT.601 with a border as wide as the scale left out: the protocol of the papers.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Superres {
    #[command(flatten)]
    network: Network,
    /// Pictures at full size: a folder, searched recursively, or one file.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Must be the scale of the weights, where given.
    #[arg(long)]
    scale: Option<usize>,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub struct Report {
    #[serde(flatten)]
    pub mean: Scores,
    pub scale: usize,
    pub engine: String,
    pub pictures: Vec<Row>,
}

#[derive(Debug, Serialize)]
pub struct Row {
    pub name: String,
    #[serde(flatten)]
    pub scores: Scores,
}

impl Superres {
    #[allow(clippy::print_stdout)]
    pub fn run(self) -> Result<()> {
        let (_, session) = self.network.open()?;
        let scale = session.config().scale();
        if self.scale.is_some_and(|s| s != scale) {
            bail!("{} enlarges by {scale}, not by {}", self.network.weights.display(), self.scale.unwrap_or_default());
        }
        let rows = measure(&session, &self.data)?;
        let mean = mean(&rows);
        if self.json {
            let engine = self.network.place.name();
            println!("{}", serde_json::to_string(&Report { mean, scale, engine, pictures: rows })?);
            return Ok(());
        }
        let width = rows.iter().map(|r| r.name.chars().count()).max().unwrap_or(4).max(4);
        println!("{:width$}  {:>9} {:>7}  {:>9} {:>7}", "", "PSNR (dB)", "SSIM", "bicubic", "SSIM");
        let line = |name: &str, s: &Scores| {
            println!("{name:width$}  {:9.2} {:7.4}  {:9.2} {:7.4}", s.psnr, s.ssim, s.bicubic_psnr, s.bicubic_ssim);
        };
        rows.iter().for_each(|r| line(&r.name, &r.scores));
        line("mean", &mean);
        Ok(())
    }
}

/// The scores of every readable picture under `data`; others are named and skipped.
pub fn measure(session: &Session, data: &Path) -> Result<Vec<Row>> {
    let files = folder::find(data)?;
    let bar = progress_bar("measuring {wide_bar} {pos}/{len}");
    bar.set_length(files.len() as u64);
    let mut rows = Vec::new();
    for file in &files {
        match folder::read(file) {
            Ok(picture) => match trial(session, &picture) {
                Ok(trial) => rows.push(Row { name: stem(file), scores: trial.scores }),
                Err(e) => return Err(e.context(file.display().to_string())),
            },
            Err(e) => warn!("skipped {e:#}"),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if rows.is_empty() {
        bail!("{}: none of the pictures can be read", data.display());
    }
    Ok(rows)
}

pub fn mean(rows: &[Row]) -> Scores {
    Scores::mean(&rows.iter().map(|r| r.scores).collect::<Vec<_>>())
}
