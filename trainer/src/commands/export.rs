use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use shared::checkpoint::Checkpoint;
use shared::engine::onnx::OPSET;
use shared::pipeline::restyle::Look;
use tracing::info;

use super::run::style_part;
use super::{stem, writable};
use crate::runs::write_atomically;

const EXAMPLES: &str = "Examples:
  trainer export web/models/superres-x4-quality.safetensors --onnx
  trainer export runs/mine/checkpoints/best.safetensors --onnx mine.onnx
  trainer export web/models/style.safetensors --style great_wave --onnx wave.onnx";

/// Writes a model as ONNX, in f32, for batches and pictures of any size. Needs no Python.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Export {
    /// The weights, a safetensors file written by `train` or `publish`.
    #[arg(value_name = "MODEL")]
    weights: PathBuf,
    /// Where to write it; without a name, beside the weights.
    #[arg(long, value_name = "FILE", required = true, num_args = 0..=1)]
    onnx: Option<Option<PathBuf>>,
    /// Of a network of many styles: which of them the file has, each with its part.
    #[arg(long, value_name = "NAME[:PART]", value_delimiter = ',', value_parser = style_part)]
    style: Vec<(String, f32)>,
}

impl Export {
    pub fn run(self) -> Result<()> {
        let output = self.onnx.flatten().unwrap_or_else(|| self.weights.with_extension("onnx"));
        if output.extension().is_none_or(|ending| ending != "onnx") {
            bail!("{}: its ending must be onnx", output.display());
        }
        writable(&output)?;
        let checkpoint = Checkpoint::read(&self.weights)?;
        let styles = &checkpoint.metadata.styles;
        let named = || self.weights.display().to_string();
        let mixture = match (styles.is_empty(), self.style.is_empty()) {
            (true, true) => Vec::new(),
            (false, false) => Look::new(styles, &self.style, 1.0).with_context(named)?.mixture,
            (true, false) => bail!("{}: it has no styles; leave --style out", named()),
            (false, true) => bail!("{}: say with --style which of its styles; `run style --list` names them", named()),
        };
        let model = shared::export::onnx(&checkpoint, &stem(&self.weights), &mixture).with_context(named)?;
        let bytes = model.to_bytes()?;
        write_atomically(&output, &bytes)?;
        info!(
            "{}: opset {OPSET}, {} nodes, {} parameters, {}",
            output.display(),
            model.nodes(),
            HumanCount(model.parameters() as u64),
            HumanBytes(bytes.len() as u64)
        );
        Ok(())
    }
}
