use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use shared::picture::Format;
use tracing::info;

use crate::commands::{Network, progress_bar, writable};
use crate::data::folder;
use crate::runs::write_atomically;
use crate::superres::evaluate::enlarge;

const EXAMPLES: &str = "Examples:
  trainer run superres --weights web/models/superres-x4-quality.safetensors photo.jpg -o large.png
  trainer run superres --weights web/models/superres-x2-fast.safetensors photo.jpg -o large.webp --engine webgpu";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Superres {
    #[command(flatten)]
    network: Network,
    /// The picture.
    input: PathBuf,
    /// Where to write it; the ending says the format: png, jpg or webp.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Side of the windows that the network sees, in pixels: larger is faster and takes more memory.
    #[arg(long, default_value_t = crate::superres::evaluate::TILE)]
    tile: usize,
}

impl Superres {
    pub fn run(self) -> Result<()> {
        let Some(format) = Format::from_path(&self.output) else {
            bail!("{}: its ending must be png, jpg or webp", self.output.display());
        };
        writable(&self.output)?;
        let (_, session) = self.network.open()?;
        let picture = folder::read(&self.input)?;
        let bar = progress_bar("{elapsed_precise} {wide_bar} {pos}/{len} tiles ({eta} left)");
        let began = std::time::Instant::now();
        let result = enlarge(&session, &picture, self.tile.clamp(16, 4096), |done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
            Ok(())
        })
        .with_context(|| self.input.display().to_string())?;
        bar.finish_and_clear();
        let size = (picture.width(), picture.height());
        drop(picture);
        write_atomically(&self.output, &result.encode(format)?)?;
        info!(
            "{} x {} to {} x {} in {:.1} s: {}",
            size.0,
            size.1,
            result.width(),
            result.height(),
            began.elapsed().as_secs_f64(),
            self.output.display()
        );
        Ok(())
    }
}
