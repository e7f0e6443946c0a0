use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use tracing::info;

use crate::device::Choice;
use crate::learner::callbacks::{
    Accumulation, Checkpoints, Clipping, Csv, EarlyStopping, Ema, Interrupt, LossScale, NanGuard, Profiler, Progress, Reports,
    Samples, Scheduler, Table,
};
use crate::learner::{Callback, Learner, Length};
use crate::optimizer::{AdamwConfig, OptimizerConfig, RmspropConfig, SgdConfig};
use crate::runs::{RunFolder, machine};
use crate::schedule::{Schedule, discriminative};
use crate::superres::Size;
use crate::superres::config::{Config, Precision, TaskName};

const EXAMPLES: &str = "Examples:
  Three minutes on made-up pictures, no data needed:
    trainer train superres --minutes 3
  A run again, from its own configuration, under another name:
    trainer train --config runs/x2/config.toml --name again";

/// What to train: a task with its settings, or a configuration from a file.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Train {
    #[command(subcommand)]
    task: Option<Task>,
    /// The configuration, as a run writes it: runs/NAME/config.toml.
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

/// Where a run goes and what computes it; nothing here changes its result.
#[derive(Debug, Clone, Args)]
pub struct How {
    /// The run is kept in runs/NAME [default: superres-xSCALE-SIZE, or that of the configuration].
    #[arg(long)]
    name: Option<String>,
    /// Go on with the run of this name.
    #[arg(long)]
    resume: bool,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    device: Choice,
    /// Tell at the end where the time went.
    #[arg(long)]
    profile: bool,
}

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Train a super-resolution network.
    Superres(Superres),
}

const SUPERRES_EXAMPLES: &str = "Examples:
  Three minutes on made-up pictures, no data needed:
    trainer train superres --minutes 3
  On folders of photos, validated on others, to runs/x2:
    trainer train superres --scale 2 --size quality --data photos --data more --val holiday --minutes 60 --name x2
  Stop it with Ctrl-C and go on later with the same command and --resume.
  From x2 to x4, starting from what x2 has learnt:
    trainer train superres --scale 4 --from runs/x2/checkpoints/best.safetensors --data photos --minutes 60 --name x4
  Small patches first, in half precision on a GPU:
    trainer train superres --sizes 24,48 --precision bf16 --device cuda:0 --data photos --steps 20000
  Can the network learn one batch by heart? If not, something is broken:
    trainer train superres --overfit --steps 300 --every 100";

#[derive(Debug, Clone, Args)]
#[command(after_help = SUPERRES_EXAMPLES)]
pub struct Superres {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OptimizerName {
    Sgd,
    Adam,
    Adamw,
    Rmsprop,
}

/// Everything that decides the result.
#[derive(Debug, Clone, Args)]
pub struct Settings {
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
    /// End after so many batches.
    #[arg(long, conflicts_with = "minutes")]
    steps: Option<u64>,
    /// End after so many minutes of training [default: 10].
    #[arg(long)]
    minutes: Option<f64>,
    /// Pairs of patches a batch.
    #[arg(long, default_value_t = 16)]
    batch: u32,
    /// Batches whose gradients are added up for a step.
    #[arg(long, default_value_t = 1)]
    accumulate: u64,
    /// Sides of the small patches, in pixels. Several: each for an equal part of the run, in batches of as many pixels.
    #[arg(long, value_delimiter = ',', default_value = "32")]
    sizes: Vec<u32>,
    /// Highest learning rate; `trainer lr-find` suggests one.
    #[arg(long, default_value_t = 2e-3)]
    lr: f64,
    /// What changes the weights.
    #[arg(long, value_enum, default_value = "adam")]
    optimizer: OptimizerName,
    /// Learning rate over the run: one-cycle, cosine, constant, clr, or a TOML file with phases.
    #[arg(long, default_value = "one-cycle")]
    schedule: String,
    /// Factor on the learning rate of a part of the network, e.g. body=0.1; may be given again.
    #[arg(long, value_name = "LAYER=FACTOR", value_parser = share)]
    share: Vec<(String, f64)>,
    /// Discriminative rates: this factor for the first of --layers, 1 for the last, equal ratios between.
    #[arg(long, value_name = "FACTOR", requires = "layers")]
    discriminative: Option<f64>,
    /// Parts of the network in its order, e.g. head,body,tail.
    #[arg(long, value_delimiter = ',', requires = "discriminative")]
    layers: Vec<String>,
    /// What the forward and backward passes compute in.
    #[arg(long, value_enum, default_value = "f32")]
    precision: Precision,
    /// Longest gradient, as L2 norm of all together.
    #[arg(long, default_value_t = 1.0)]
    clip: f64,
    /// Decay of the weights' average; 0 keeps none.
    #[arg(long, default_value_t = 0.999)]
    ema: f64,
    /// Seed of weights and data.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Batches from one validation to the next.
    #[arg(long, default_value_t = 500)]
    every: u64,
    /// End after so many validations without a better result.
    #[arg(long)]
    patience: Option<u64>,
    /// Learn one batch by heart, as a test of the network.
    #[arg(long)]
    overfit: bool,
    /// Start from these weights wherever names and sizes agree.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

fn share(text: &str) -> Result<(String, f64), String> {
    let parts = text.split_once('=').and_then(|(layer, factor)| Some((layer.to_owned(), factor.parse().ok()?)));
    parts.ok_or_else(|| "must be LAYER=FACTOR, such as body=0.1".to_owned())
}

impl Settings {
    /// The configuration.
    ///
    /// # Errors
    /// When a value makes no sense, or a file of phases cannot be read.
    pub fn config(self) -> Result<Config> {
        let schedule = match self.schedule.as_str() {
            "one-cycle" => Schedule::default(),
            "cosine" => Schedule::Cosine,
            "constant" => Schedule::Constant,
            "clr" => Schedule::clr(),
            file => Schedule::read(Path::new(file))?,
        };
        let optimizer = match self.optimizer {
            OptimizerName::Sgd => OptimizerConfig::Sgd(SgdConfig::default()),
            OptimizerName::Adam => OptimizerConfig::default(),
            OptimizerName::Adamw => OptimizerConfig::Adamw(AdamwConfig::default()),
            OptimizerName::Rmsprop => OptimizerConfig::Rmsprop(RmspropConfig::default()),
        };
        let mut shares = match self.discriminative {
            Some(first) => discriminative(&self.layers, first, 1.0)?,
            None => Vec::new(),
        };
        shares.extend(self.share);
        let config = Config {
            task: TaskName::Superres,
            data: self.data,
            validation: self.val,
            from: self.from,
            seed: self.seed,
            batch: self.batch,
            sizes: self.sizes,
            accumulate: self.accumulate,
            epoch_steps: self.every,
            rate: self.lr,
            clip: self.clip,
            ema: self.ema,
            precision: self.precision,
            patience: self.patience,
            overfit: self.overfit,
            length: self.steps.map_or(Length::Minutes(self.minutes.unwrap_or(10.0)), Length::Steps),
            network: self.size.config(self.scale.into(), self.channels, self.blocks),
            optimizer,
            schedule,
            shares: shares.into_iter().collect(),
        };
        config.validate()?;
        Ok(config)
    }
}

impl Train {
    pub fn run(self) -> Result<()> {
        if let Some(Task::Superres(superres)) = self.task {
            let size = format!("{:?}", superres.settings.size).to_lowercase();
            let name = format!("superres-x{}-{size}", superres.settings.scale);
            return train(superres.settings.config()?, &name, superres.how);
        }
        let path = self.config.context("neither a task nor --config; see --help")?;
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let config: Config = toml::from_str(&text).with_context(|| path.display().to_string())?;
        config.validate().with_context(|| path.display().to_string())?;
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
        train(config, &folder.to_string_lossy(), self.how)
    }
}

static STOP: AtomicBool = AtomicBool::new(false);

fn train(config: Config, name: &str, how: How) -> Result<()> {
    let device = how.device.open()?;
    if device.is_cpu() && config.precision != Precision::F32 {
        bail!("half precision is for CUDA; the CPU computes in f32");
    }
    let root = Path::new("runs").join(how.name.as_deref().filter(|n| !n.is_empty()).unwrap_or(name));
    let folder = if how.resume { RunFolder::open(&root)? } else { RunFolder::create(&root)? };
    if how.resume {
        folder.check_config(&config)?;
    }
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130); // the second time: at once
        }
    })
    .context("cannot listen for Ctrl-C")?;

    let (task, mut run) = config.prepare(device, super::progress_bar)?;
    if how.resume {
        folder.restore(config.network, &mut run)?;
        info!("resumed at step {}", run.step);
    } else {
        folder.write_config(&config)?;
    }
    folder.write_machine(&machine(&run.device))?;
    info!("training {}; Ctrl-C saves and stops", root.display());
    let mut learner = Learner::new(&task, run, callbacks(&config, &folder, how.profile));
    let fitted = learner.fit();
    if fitted.is_err() {
        // What ended the run is the error to tell.
        let _ = folder.set_status("failed");
    }
    fitted?;
    match learner.run.facts.get(Checkpoints::BEST) {
        Some(best) => info!("best {best:.3}: {}; the report: {}", folder.best().display(), folder.path("report.html").display()),
        None => info!("not validated yet: {}", folder.best().display()),
    }
    Ok(())
}

/// In the order in which they are asked.
fn callbacks<'a>(config: &Config, folder: &'a RunFolder, profile: bool) -> Vec<Box<dyn Callback + 'a>> {
    let bar = super::progress_bar("{elapsed_precise} {wide_bar} {percent}% {msg} ({eta} left)");
    let mut all: Vec<Box<dyn Callback + 'a>> = Vec::new();
    if profile {
        all.push(Box::new(Profiler::default()));
    }
    all.push(Box::new(Scheduler { rate: config.rate, schedule: config.schedule.clone() }));
    if config.accumulate > 1 {
        all.push(Box::new(Accumulation { batches: config.accumulate }));
    }
    if config.precision == Precision::F16 {
        all.push(Box::new(LossScale));
    }
    all.push(Box::new(NanGuard));
    all.push(Box::new(Clipping { max_norm: config.clip }));
    if config.ema > 0.0 {
        all.push(Box::new(Ema { decay: config.ema }));
    }
    all.push(Box::new(Progress { bar: bar.clone() }));
    all.push(Box::new(Table::new(bar)));
    all.push(Box::new(Csv { folder }));
    all.push(Box::new(Samples { folder }));
    if let Some(patience) = config.patience {
        // Counts before the checkpoint is written, stops after it.
        all.push(Box::new(EarlyStopping { patience }));
    }
    all.push(Box::new(Checkpoints::new(folder, config.network)));
    all.push(Box::new(Reports { folder }));
    all.push(Box::new(Interrupt { stop: &STOP }));
    all
}
