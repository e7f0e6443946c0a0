use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use shared::checkpoint;
use shared::imresize::{Side, scaled};
use shared::picture::{Format, Picture};
use shared::pipeline::restyle::{Look, restyle};
use shared::session::Session;
use tracing::info;

use crate::commands::{Network, progress_bar, stem, writable};
use crate::data::folder;
use crate::runs::{sheet, write_atomically};
use crate::style::adain::styles::take;
use crate::style::config::StylePicture;
use crate::style::pictures::{GAP, filled};

const EXAMPLES: &str = "Examples:
  trainer run style --weights web/models/style.safetensors --list
  trainer run style --weights web/models/style.safetensors --style great_wave photo.jpg -o wave.png
  trainer run style --weights web/models/style.safetensors --style starry_night:0.6,great_wave:0.4 --strength 0.8 \\
    --keep-colours --size 1024 photo.jpg -o blend.jpg --engine webgpu
  A picture of one's own as style, with a network that takes any:
    trainer run style --weights web/models/own-style.safetensors --take mosaic.jpg photo.jpg -o mosaic.png
  Every style beside each other:
    trainer run style --weights web/models/style.safetensors --sheet photo.jpg other.jpg -o sheet.jpg";

/// Longest side of a picture on a sheet, and how many of a single one stand in a row.
const SHEET_SIDE: u32 = 256;
const SHEET_ROW: usize = 4;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Style {
    #[command(flatten)]
    network: Network,
    /// Print the styles' names and titles, and do nothing else.
    #[arg(long)]
    list: bool,
    /// Styles, each with its part; without parts all count the same.
    #[arg(long, value_name = "NAME[:PART]", value_delimiter = ',', value_parser = style_part, required_unless_present_any = ["list", "take", "sheet"])]
    style: Vec<(String, f32)>,
    /// A picture whose style to take, and its name for --style; may be given again. Without a name it is called as the file is;
    /// without --style the pictures that are taken are the style.
    #[arg(long, value_name = "NAME=FILE")]
    take: Vec<StylePicture>,
    /// Shorter side of the pictures that are taken: the larger, the larger the strokes.
    #[arg(long, value_name = "PIXELS", default_value_t = 320, value_parser = clap::value_parser!(u32).range(8..=2048))]
    style_size: u32,
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
    /// Write a sheet: a row for every picture, as it is and in every style alone, of --style or of all, with the proportions of the
    /// first; of a single picture, rows of four. --size is the longest side there [default: 256].
    #[arg(long)]
    sheet: bool,
    /// The picture; with --sheet one or several.
    #[arg(required_unless_present = "list")]
    input: Vec<PathBuf>,
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
        let (mut checkpoint, mut session) = self.network.open()?;
        if !self.take.is_empty() {
            let named = || self.network.weights.display().to_string();
            checkpoint = take(&checkpoint, &session, &self.take, self.style_size as usize).with_context(named)?;
            session = Session::new(&checkpoint, self.network.place.open()?).with_context(named)?;
        }
        let styles = &checkpoint.metadata.styles;
        if styles.is_empty() {
            bail!("{}: it holds no styles; one for any style takes them by --take", self.network.weights.display());
        }
        let (Some(output), false) = (&self.output, self.list) else {
            let width = styles.iter().map(|style| style.name.len()).max().unwrap_or_default();
            styles.iter().for_each(|style| println!("{:width$}  {}", style.name, style.title));
            return Ok(());
        };
        let Some(format) = Format::from_path(output) else {
            bail!("{}: its ending must be png, jpg or webp", output.display());
        };
        writable(output)?;
        let began = std::time::Instant::now();
        let result = match (&self.input[..], self.sheet) {
            (inputs, true) => self.contact_sheet(&session, styles, inputs)?,
            ([input], false) => {
                let picture = folder::read(input)?;
                let picture = match self.size {
                    Some(size) => scaled(&picture, Side::Longer(size as usize))?,
                    None => picture,
                };
                let look = self.look(styles, &self.parts(styles))?;
                pollster::block_on(restyle(&session, &picture, &look)).with_context(|| input.display().to_string())?
            }
            _ => bail!("several pictures: --sheet puts them beside each other, or name one"),
        };
        write_atomically(output, &result.encode(format)?)?;
        let seconds = began.elapsed().as_secs_f64();
        info!("{} x {} in {seconds:.1} s: {}", result.width(), result.height(), output.display());
        Ok(())
    }

    /// The styles that are asked for: those of --style, else those that were taken, else all.
    fn parts(&self, styles: &[checkpoint::Style]) -> Vec<(String, f32)> {
        let alike = |name: &String| (name.clone(), 1.0);
        match (&self.style[..], &self.take[..]) {
            ([], []) => styles.iter().map(|style| alike(&style.name)).collect(),
            ([], taken) => taken.iter().map(|style| alike(&style.name)).collect(),
            (named, _) => named.to_vec(),
        }
    }

    fn look(&self, styles: &[checkpoint::Style], parts: &[(String, f32)]) -> Result<Look> {
        Ok(Look { keep_colours: self.keep_colours, ..Look::new(styles, parts, self.strength)? })
    }

    fn contact_sheet(&self, session: &Session, styles: &[checkpoint::Style], inputs: &[PathBuf]) -> Result<Picture> {
        let parts = self.parts(styles);
        let looks = parts.iter().map(|part| self.look(styles, std::slice::from_ref(part))).collect::<Result<Vec<_>>>()?;
        let bar = progress_bar("{elapsed_precise} {wide_bar} {pos}/{len} {msg}");
        bar.set_length((inputs.len() * looks.len()) as u64);
        let mut shown: Vec<Picture> = Vec::new();
        for input in inputs {
            bar.set_message(stem(input));
            let picture = folder::read(input)?;
            let picture = match shown.first() {
                Some(first) => filled(&picture, first.width(), first.height())?,
                None => scaled(&picture, Side::Longer(self.size.unwrap_or(SHEET_SIDE) as usize))?,
            };
            shown.push(picture.clone());
            for look in &looks {
                let restyled = pollster::block_on(restyle(session, &picture, look));
                shown.push(restyled.with_context(|| input.display().to_string())?);
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        info!("from left to right: as it is, {}", parts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "));
        let columns = if inputs.len() == 1 { SHEET_ROW } else { 1 + looks.len() };
        sheet(&shown.iter().collect::<Vec<_>>(), columns, GAP)
    }
}
