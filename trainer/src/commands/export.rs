use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use shared::checkpoint::Checkpoint;
use shared::engine::onnx::OPSET;
use tracing::info;

use super::{stem, writable};
use crate::runs::write_atomically;

const EXAMPLES: &str = "Examples:
  trainer export web/models/superres-x4-quality.safetensors --onnx
  trainer export runs/mine/checkpoints/best.safetensors --onnx mine.onnx";

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
}

impl Export {
    pub fn run(self) -> Result<()> {
        let output = self.onnx.flatten().unwrap_or_else(|| self.weights.with_extension("onnx"));
        if output.extension().is_none_or(|ending| ending != "onnx") {
            bail!("{}: its ending must be onnx", output.display());
        }
        writable(&output)?;
        let checkpoint = Checkpoint::read(&self.weights)?;
        let model =
            shared::export::onnx(&checkpoint, &stem(&self.weights)).with_context(|| self.weights.display().to_string())?;
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
