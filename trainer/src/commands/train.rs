use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use shared::picture::Picture;
use tracing::info;

use crate::data::pairs::Pairs;
use crate::data::{dead_leaves, folder};
use crate::device::Choice;
use crate::superres::Size;
use crate::superres::run_folder::RunFolder;
use crate::superres::train::{Length, Options, STOP, train};

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Train a super-resolution network.
    Superres(Superres),
}

const EXAMPLES: &str = "Examples:
  Three minutes on made-up pictures, no data needed:
    trainer train superres --minutes 3
  On folders of photos, validated on others, to runs/x2:
    trainer train superres --scale 2 --size quality --data photos --data more --val holiday --minutes 60 --name x2
  Stop it with Ctrl-C and go on later with the same command and --resume.
  From x2 to x4, starting from what x2 has learnt:
    trainer train superres --scale 4 --from runs/x2/best.safetensors --data photos --minutes 60 --name x4";

/// Made-up pictures for training, and for validation beside them.
const MADE_UP: (usize, usize, usize) = (96, 8, 384);

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Superres {
    /// Folders of pictures (or single ones), searched recursively. None: pictures are made up.
    #[arg(long, value_name = "DIR")]
    data: Vec<PathBuf>,
    /// Pictures to validate on. None: every 20th of the data is kept back.
    #[arg(long, value_name = "DIR")]
    val: Vec<PathBuf>,
    /// Upscaling factor.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=4))]
    scale: u8,
    /// Which network.
    #[arg(long, value_enum, default_value = "fast")]
    size: Size,
    /// Feature channels, instead of the size's own.
    #[arg(long)]
    channels: Option<usize>,
    /// Residual blocks, instead of the size's own.
    #[arg(long)]
    blocks: Option<usize>,
    /// End after so many steps.
    #[arg(long, conflicts_with = "minutes")]
    steps: Option<u64>,
    /// End after so many minutes of training [default: 10].
    #[arg(long)]
    minutes: Option<f64>,
    /// Pairs of patches a step.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// Side of the small patches, in pixels.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(4..=1024))]
    patch: u32,
    /// Highest learning rate of the one-cycle schedule.
    #[arg(long, default_value_t = 2e-3)]
    lr: f64,
    /// Seed of weights and data.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Steps between validations.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Start from these weights wherever names and sizes agree.
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    from: Option<PathBuf>,
    /// The run is kept in runs/NAME [default: superres-xSCALE-SIZE].
    #[arg(long)]
    name: Option<String>,
    /// Go on with the run of this name.
    #[arg(long)]
    resume: bool,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    device: Choice,
}

impl Superres {
    pub fn run(self) -> Result<()> {
        let config = self.size.config(self.scale.into(), self.channels, self.blocks);
        config.validate()?;
        if !(self.lr > 0.0 && self.lr < 1.0) {
            bail!("--lr {} must lie between 0 and 1", self.lr);
        }
        let length = match (self.steps, self.minutes) {
            (Some(steps), _) => Length::Steps(steps),
            (None, minutes) => Length::Minutes(minutes.unwrap_or(10.0)),
        };
        let device = self.device.open()?;
        let size = format!("{:?}", self.size).to_lowercase();
        let name = self.name.clone().unwrap_or_else(|| format!("superres-x{}-{size}", self.scale));
        let run = RunFolder::open(&PathBuf::from("runs").join(&name), self.resume)?;
        ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::Relaxed) {
                std::process::exit(130); // the second time: at once
            }
        })
        .context("cannot listen for Ctrl-C")?;

        let (pictures, validation, source) = self.pictures()?;
        let pairs = Pairs::new(pictures, self.scale.into(), self.patch as usize, self.seed)?;
        let settings =
            format!("{length:?}, batch {}, patch {}, lr {}, seed {}, data: {source}", self.batch, self.patch, self.lr, self.seed);
        let provenance = BTreeMap::from([
            ("data".to_owned(), source),
            ("schedule".to_owned(), format!("one-cycle, Adam, highest learning rate {}", self.lr)),
            ("batch".to_owned(), format!("{} pairs of {} x {} pixels", self.batch, self.patch, self.patch)),
            ("program".to_owned(), concat!("Atelier ", env!("CARGO_PKG_VERSION")).to_owned()),
        ]);
        let options = Options {
            config,
            device,
            length,
            batch: self.batch as usize,
            rate: self.lr,
            seed: self.seed,
            every: self.every,
            from: self.from,
            resume: self.resume,
            settings,
            provenance,
        };
        info!("training runs/{name}; Ctrl-C saves and stops");
        let bar = super::progress_bar("{elapsed_precise} {wide_bar} {percent}% {msg} ({eta} left)");
        let best = train(&options, &pairs, &validation, &run, &bar)?;
        info!("best validation PSNR {best:.3} dB: {}", run.best().display());
        Ok(())
    }

    /// Pictures to train on, to validate on, and what to call them.
    fn pictures(&self) -> Result<(Vec<Picture>, Vec<Picture>, String)> {
        let load = |paths: &[PathBuf]| folder::load(paths, &super::progress_bar("reading pictures {wide_bar} {pos}/{len}"));
        if self.data.is_empty() {
            let (train, val, size) = MADE_UP;
            let mut pictures = dead_leaves::pictures(train + val, size, self.seed);
            let kept = match self.val.is_empty() {
                true => pictures.split_off(train),
                false => load(&self.val)?,
            };
            return Ok((pictures, kept, "dead leaves, made up".to_owned()));
        }
        let pictures = load(&self.data)?;
        let names = self.data.iter().map(|p| p.file_name().unwrap_or(p.as_os_str()).to_string_lossy());
        let source = format!("{} ({} pictures)", names.collect::<Vec<_>>().join(", "), pictures.len());
        if !self.val.is_empty() {
            return Ok((pictures, load(&self.val)?, source));
        }
        // At most ten, so that validation stays quick; a single picture validates on itself.
        let is_kept = |i: usize| i.is_multiple_of(20) && i < 200 && pictures.len() > 1;
        let (kept, rest): (Vec<_>, Vec<_>) = pictures.iter().cloned().enumerate().partition(|(i, _)| is_kept(*i));
        let strip = |v: Vec<(usize, Picture)>| v.into_iter().map(|(_, p)| p).collect::<Vec<_>>();
        if kept.is_empty() {
            return Ok((pictures.clone(), pictures, source));
        }
        Ok((strip(rest), strip(kept), source))
    }
}
