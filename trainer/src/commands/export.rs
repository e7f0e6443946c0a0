use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use shared::checkpoint::Checkpoint;
use shared::engine::onnx::OPSET;
use shared::models::Config;
use shared::pipeline::restyle::Look;
use tracing::info;

use super::run::style_part;
use super::{stem, writable};
use crate::runs::write_atomically;

const EXAMPLES: &str = "Examples:
  trainer export web/models/superres-x4-quality.safetensors --onnx
  trainer export runs/mine/checkpoints/best.safetensors --onnx mine.onnx
  trainer export web/models/style.safetensors --style great_wave --onnx wave.onnx
  trainer export web/models/translate-de-en.safetensors --onnx
  trainer export web/models/dates.safetensors --words 24 --onnx dates.onnx
A network for sentences gives the logits of every next word, from numbers of words: source and target, whose first is 1, the start;
0 is padding and 2 the end.";

/// Writes a model as ONNX, in f32, for batches of any size, of pictures or sentences. Needs no Python.
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
    /// Of a recurrent network for sentences: for how many words.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1000))]
    words: u16,
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
        let name = stem(&self.weights);
        let model = match checkpoint.metadata.config {
            Config::Image(_) => shared::export::onnx(&checkpoint, &name, &mixture),
            Config::Translation(_) | Config::Language(_) => {
                shared::export::onnx_of_sentences(&checkpoint, &name, self.words.into())
            }
        };
        let model = model.with_context(named)?;
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
