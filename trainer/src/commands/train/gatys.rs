use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use clap::Args;
use shared::engine::candle::multiply_in_bf16;
use shared::imresize::resized;
use shared::imresize::{Side, scaled};
use shared::picture::{Format, Picture};
use shared::pipeline::restyle::recolour;
use tracing::info;

use super::objective::ObjectiveArgs;
use crate::commands::progress_bar;
use crate::data::folder;
use crate::device::Choice;
use crate::runs::{sheet, write_atomically};
use crate::style::gatys::{Mover, Optimisation, Point, Start};
use crate::style::judge::{Judge, Statistics};
use crate::style::pictures::{GAP, picture, tensor};

const EXAMPLES: &str = "Examples:
  One picture in the style of another, to runs/gatys:
    trainer train gatys --judge squeezenet1_1.safetensors --content photo.jpg --style wave.jpg
  Two styles, three parts to one, from noise, small first:
    trainer train gatys --judge F --content photo.jpg --style wave.jpg:3 --style night.jpg:1 --start noise --sizes 128,256,512
  As the photo is coloured, by the diagonal of the Gram matrix, with Adam:
    trainer train gatys --judge F --content photo.jpg --style wave.jpg --keep-colours --gram diagonal --optimizer adam
The networks that judge come by `trainer data perceptual`.";

/// The weight of the style where none is given: one picture can come closer than a network.
const STYLE_WEIGHT: f64 = 20.0;

/// Optimises the pixels of one picture.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct Gatys {
    #[command(flatten)]
    pub goal: Goal,
    /// What moves the pixels.
    #[arg(long, value_enum, default_value = "lbfgs")]
    optimizer: Mover,
    /// Step length [default: 1 for lbfgs, 5 for sgd, 20 for momentum, 0.02 for adam].
    #[arg(long)]
    lr: Option<f64>,
    /// Steps at each size.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    steps: u64,
    /// Where the pixels start.
    #[arg(long, value_enum, default_value = "content")]
    start: Start,
    /// Keep the colours of the content: only light is taken from the result.
    #[arg(long)]
    keep_colours: bool,
    /// Pictures along the way.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=100))]
    pictures: u64,
    /// Seed of the noise.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The run is kept in runs/NAME.
    #[arg(long, default_value = "gatys")]
    name: String,
}

/// What is wanted: a content, styles, and what judges.
#[derive(Debug, Clone, Args)]
pub struct Goal {
    /// The network that judges: SqueezeNet 1.1, VGG-16 or VGG-19 in torchvision's names, a safetensors file.
    #[arg(long, value_name = "FILE")]
    pub judge: PathBuf,
    /// The picture that is redrawn.
    #[arg(long, value_name = "FILE")]
    pub content: PathBuf,
    /// The picture in whose style; may be given again, each with its part.
    #[arg(long, value_name = "FILE[:PART]", required = true, value_parser = part)]
    pub style: Vec<(PathBuf, f64)>,
    /// Longest side of the result; several: one after another, from coarse to fine.
    #[arg(long, value_name = "PIXELS", value_delimiter = ',', default_value = "256", alias = "size")]
    pub sizes: Vec<u32>,
    /// Layers whose statistics are style [default: those that suit the network].
    #[arg(long, value_delimiter = ',')]
    pub layers: Vec<String>,
    #[command(flatten)]
    pub objective: ObjectiveArgs,
    /// Compute features in f16, for CUDA; on a CPU with AMX (Intel's servers) multiply in bf16. Pixels and losses stay f32.
    #[arg(long)]
    pub half: bool,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    pub device: Choice,
}

fn part(text: &str) -> Result<(PathBuf, f64), String> {
    match text.rsplit_once(':').and_then(|(file, part)| Some((file, part.parse::<f64>().ok()?))) {
        Some((file, part)) if part > 0.0 && part.is_finite() => Ok((file.into(), part)),
        Some((_, part)) => Err(format!("a part of {part}; it must be above 0")),
        None => Ok((text.into(), 1.0)),
    }
}

/// The pictures that are compared, read.
pub struct Pictures {
    pub content: Picture,
    pub styles: Vec<(Picture, f64)>,
}

impl Goal {
    /// Opens the network and reads the pictures.
    ///
    /// # Errors
    /// Names the file or the value.
    pub fn open(&self) -> Result<(Judge, Pictures, Device)> {
        ensure!(self.sizes.iter().all(|size| (16..=8192).contains(size)), "--sizes must lie between 16 and 8192");
        let objective = self.objective.objective(self.layers.clone(), STYLE_WEIGHT);
        objective.validate()?;
        let device = self.device.open()?;
        let dtype = match (self.half, device.is_cpu()) {
            (false, _) => DType::F32,
            (true, false) => DType::F16,
            (true, true) => {
                ensure!(multiply_in_bf16(), "--half is for CUDA and for CPUs with AMX; this one computes in f32");
                DType::F32
            }
        };
        let judge = Judge::open_as(&self.judge, objective, &device, dtype)?;
        let content = folder::read(&self.content)?;
        let styles = self.style.iter().map(|(file, part)| Ok((folder::read(file)?, *part))).collect::<Result<_>>()?;
        Ok((judge, Pictures { content, styles }, device))
    }
}

impl Pictures {
    /// Content and style at a size: the shorter side of a style is as long as that of the content.
    ///
    /// # Errors
    /// When a picture is too small for the network.
    pub fn at(&self, judge: &Judge, size: usize, device: &Device) -> Result<(Tensor, Statistics)> {
        let content = scaled(&self.content, Side::Longer(size))?;
        let short = content.width().min(content.height());
        let style = |(style, _): &(Picture, f64)| judge.style(&tensor(&scaled(style, Side::Shorter(short))?, device)?);
        let styles: Vec<Statistics> = self.styles.iter().map(style).collect::<Result<_>>()?;
        let sum: f64 = self.styles.iter().map(|(_, part)| part).sum();
        let parts: Vec<f64> = self.styles.iter().map(|(_, part)| part / sum).collect();
        Ok((tensor(&content, device)?, Statistics::blend(&styles, &parts)?))
    }
}

impl Gatys {
    pub fn run(self) -> Result<()> {
        let (judge, pictures, device) = self.goal.open()?;
        let root = Path::new("runs").join(&self.name);
        std::fs::create_dir_all(&root).with_context(|| root.display().to_string())?;
        let rate = self.lr.unwrap_or(self.optimizer.usual_rate());
        info!("{} judges, {} moves; the pictures go to {}", judge.kind().title(), self.optimizer.title(), root.display());

        let all = self.steps * self.goal.sizes.len() as u64;
        let bar = progress_bar("{elapsed_precise} {wide_bar} {pos}/{len} {msg} ({eta} left)");
        bar.set_length(all);
        let every = (all / self.pictures).max(1);
        let mut along = Vec::new();
        let mut points: Vec<Point> = Vec::new();
        let mut now: Option<Picture> = None;
        let mut done = 0;
        for &size in &self.goal.sizes {
            let (content, style) = pictures.at(&judge, size as usize, &device)?;
            let (_, _, height, width) = content.dims4()?;
            let start = match &now {
                Some(smaller) => tensor(&resized(smaller, width, height)?, &device)?,
                None => self.start.pixels(&content, self.seed)?,
            };
            let mut optimisation = Optimisation::new(&judge, &content, style, &start, self.optimizer, rate)?;
            for _ in 0..self.steps {
                let point = optimisation.step()?;
                bar.set_message(format!("loss {:.4}, content {:.3}, style {:.4}", point.loss, point.content, point.style));
                bar.inc(1);
                done += 1;
                points.push(Point { step: done, ..point });
                if done % every == 0 || done == all {
                    let now = self.finished(&picture(&optimisation.picture()?)?, &content)?;
                    write(&root.join(format!("step-{done:05}.png")), &now)?;
                    along.push(now);
                }
            }
            now = Some(picture(&optimisation.picture()?)?);
        }
        bar.finish_and_clear();
        let last = along.last().context("no picture")?;
        write(&root.join("result.png"), last)?;
        let (width, height) = (last.width(), last.height());
        let shown = along.iter().map(|p| Ok(resized(p, width, height)?)).collect::<Result<Vec<_>>>()?;
        write(&root.join("sheet.png"), &sheet(&shown.iter().collect::<Vec<_>>(), 4, GAP)?)?;
        let mut csv = csv::Writer::from_path(root.join("metrics.csv"))?;
        points.iter().try_for_each(|point| csv.serialize(point))?;
        csv.flush()?;
        if let (Some(first), Some(last)) = (points.first(), points.last()) {
            info!("loss {:.4} to {:.4}: {}", first.loss, last.loss, root.join("result.png").display());
        }
        Ok(())
    }

    /// With the content's colours where they are kept.
    fn finished(&self, result: &Picture, content: &Tensor) -> Result<Picture> {
        if !self.keep_colours {
            return Ok(result.clone());
        }
        let mut rgb = result.planes(result.bounds(), 0, 3);
        recolour(&mut rgb, &shared::engine::candle::values(content)?);
        Ok(Picture::from_planes(result.width(), result.height(), &rgb)?)
    }
}

fn write(path: &Path, picture: &Picture) -> Result<()> {
    write_atomically(path, &picture.encode(Format::Png)?)
}
