use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use candle_core::Device;
use clap::Args;
use shared::Scope;
use shared::checkpoint::{Checkpoint, Dense, Metadata, Precision, Style};
use shared::models::{ImageConfig, ImageNetwork};
use tracing::info;

use super::writable;
use crate::runs::write_atomically;
use crate::seed;
use crate::variables::{Variables, normals, to_dense};

const EXAMPLES: &str = r#"Example:
  trainer init '{"model":"rlfn","scale":4,"channels":48,"blocks":4}' --seed 0 --output random.safetensors"#;

/// What scales and shifts start as constants gets noise of this deviation.
const NOISE: f32 = 0.1;

/// Writes a network with random weights, to measure engines and to compare them; nothing is learnt from it. What would start as
/// zeros or ones, biases for one, is random too, so that every parameter shows in the output.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Init {
    /// The network and its size, as checkpoints hold it, in JSON.
    #[arg(value_name = "CONFIG")]
    config: String,
    /// Which weights; the same seed gives the same file.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to write it.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

impl Init {
    pub fn run(self) -> Result<()> {
        writable(&self.output)?;
        let checkpoint = random(&self.config, self.seed)?;
        write_atomically(&self.output, &checkpoint.to_bytes(Precision::F16)?)?;
        info!("{}: random weights from the seed {}", self.output.display(), self.seed);
        Ok(())
    }
}

/// The network of `config`, which is JSON, with random weights.
pub fn random(config: &str, seed: u64) -> Result<Checkpoint> {
    let config: ImageConfig = serde_json::from_str(config).with_context(|| format!("{config} is no network's configuration"))?;
    let variables = Variables::new(&Device::Cpu, seed);
    ImageNetwork::new(&config, &Scope::root(&variables))?;
    let mut tensors = to_dense(variables.all().iter().map(|(name, var)| (name, var.as_tensor())))?;
    for (name, Dense { dims, values }) in &mut tensors {
        if dims.len() == 1 {
            let noise = normals(&mut seed::rng(seed, &format!("{name} noise"), 0), values.len(), NOISE);
            values.iter_mut().zip(noise).for_each(|(value, noise)| *value += noise);
        }
    }
    let provenance = BTreeMap::from([("weights".to_owned(), format!("random, from the seed {seed}"))]);
    let style = |i| Style { name: format!("style{i}"), title: format!("Style {i}, at random") };
    let styles = (0..config.styles()).map(style).collect();
    Ok(Checkpoint { metadata: Metadata { provenance, styles, ..Metadata::new(config) }, tensors })
}
