use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use shared::picture::Format;
use shared::pipeline::restyle::{Look, restyle};
use tracing::info;

use crate::commands::{Network, writable};
use crate::data::folder;
use crate::runs::write_atomically;
use crate::style::pictures::scaled;

const EXAMPLES: &str = "Examples:
  trainer run style --weights web/models/style.safetensors --list
  trainer run style --weights web/models/style.safetensors --style great_wave photo.jpg -o wave.png
  trainer run style --weights web/models/style.safetensors --style starry_night:0.6,great_wave:0.4 --strength 0.8 \\
    --keep-colours --size 1024 photo.jpg -o blend.jpg --engine webgpu";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Style {
    #[command(flatten)]
    network: Network,
    /// Print the styles' names and titles, and do nothing else.
    #[arg(long)]
    list: bool,
    /// Styles, each with its part; without parts all count the same.
    #[arg(long, value_name = "NAME[:PART]", value_delimiter = ',', value_parser = style_part, required_unless_present = "list")]
    style: Vec<(String, f32)>,
    /// How much of the styles, from 0 to 1.
    #[arg(long, default_value_t = 1.0)]
    strength: f32,
    /// Keep the picture's colours: only its light changes.
    #[arg(long)]
    keep_colours: bool,
    /// Shrink or enlarge the picture first, so that its longest side has so many pixels. The network sees the whole picture: strokes
    /// are large in a small picture, and memory grows with the size [default: as it is].
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=16384))]
    size: Option<u32>,
    /// The picture.
    #[arg(required_unless_present = "list")]
    input: Option<PathBuf>,
    /// Where to write it; the ending says the format: png, jpg or webp.
    #[arg(short, long, value_name = "FILE", required_unless_present = "list")]
    output: Option<PathBuf>,
}

/// A style and its part, as command lines have them.
///
/// # Errors
/// When the part is no number above 0.
pub fn style_part(text: &str) -> Result<(String, f32), String> {
    match text.split_once(':') {
        Some((name, part)) => match part.parse::<f32>() {
            Ok(part) if part > 0.0 && part.is_finite() => Ok((name.to_owned(), part)),
            _ => Err(format!("“{part}” of {name}: a part must be a number above 0")),
        },
        None => Ok((text.to_owned(), 1.0)),
    }
}

impl Style {
    #[allow(clippy::print_stdout)]
    pub fn run(self) -> Result<()> {
        let (checkpoint, session) = self.network.open()?;
        let styles = &checkpoint.metadata.styles;
        if styles.is_empty() {
            bail!("{}: not a network of many styles", self.network.weights.display());
        }
        let (Some(input), Some(output), false) = (self.input, self.output, self.list) else {
            let width = styles.iter().map(|style| style.name.len()).max().unwrap_or_default();
            styles.iter().for_each(|style| println!("{:width$}  {}", style.name, style.title));
            return Ok(());
        };
        let look = Look { keep_colours: self.keep_colours, ..Look::new(styles, &self.style, self.strength)? };
        let Some(format) = Format::from_path(&output) else {
            bail!("{}: its ending must be png, jpg or webp", output.display());
        };
        writable(&output)?;
        let picture = folder::read(&input)?;
        let picture = match self.size {
            Some(size) => scaled(&picture, size as usize, false)?,
            None => picture,
        };
        let began = std::time::Instant::now();
        let result = pollster::block_on(restyle(&session, &picture, &look));
        let result = result.with_context(|| input.display().to_string())?;
        write_atomically(&output, &result.encode(format)?)?;
        let seconds = began.elapsed().as_secs_f64();
        info!("{} x {} in {seconds:.1} s: {}", result.width(), result.height(), output.display());
        Ok(())
    }
}
