//! Training: a task's settings become a configuration, and a configuration a run.

mod adain;
mod gatys;
mod language;
pub mod network;
mod objective;
pub mod settings;
mod style;
mod superres;
pub mod translate;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use shared::checkpoint::Metadata;
use shared::engine::candle::multiply_in_bf16;
use shared::text::Tokenizer;
use tracing::info;

use crate::device::Choice;
use crate::learner::callbacks::{
    Accumulation, Checkpoints, Clipping, Csv, EarlyStopping, Ema, Interrupt, LossScale, NanGuard, Profiler, Progress, Reports,
    Samples, Scheduler, Table,
};
use crate::learner::{Callback, Learner, Run, Task as Learnt};
use crate::runs::{RunFolder, machine, write_atomically};
use crate::training::{Precision, Training};
use crate::{style as restyling, superres as enlarging, translate as translating};

pub use gatys::Goal;
pub use objective::ObjectiveArgs;
pub use superres::Settings as SuperresSettings;
pub use translate::{DatesSettings, Settings as TranslateSettings};

const EXAMPLES: &str = "Examples:
  Three minutes on made-up pictures, no data needed:
    trainer train superres --minutes 3
  Ten minutes on made-up dates, no data needed:
    trainer train dates
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
    /// The run is kept in runs/NAME [default: by its task, or that of the configuration].
    #[arg(long)]
    pub name: Option<String>,
    /// Go on with the run of this name.
    #[arg(long)]
    pub resume: bool,
    /// auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    pub device: Choice,
    /// Tell at the end where the time went.
    #[arg(long)]
    pub profile: bool,
}

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Train a super-resolution network.
    Superres(superres::Superres),
    /// Train a network for translation.
    Translate(translate::Translate),
    /// Train a language model.
    Language(language::Language),
    /// Train a network that redraws pictures in many styles.
    Style(style::Train),
    /// Train a network that redraws pictures in the style of any other.
    Adain(adain::Train),
    /// Redraw one picture in the style of another.
    Gatys(gatys::Gatys),
    /// Train a network that reads dates.
    Dates(translate::Dates),
}

/// A configuration of any task, as `config.toml` holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "lowercase")]
pub enum Recipe {
    Superres(enlarging::config::Config),
    Style(restyling::config::Config),
    Adain(restyling::adain::config::Config),
    Translate(translating::config::Config),
    Language(translating::language::Config),
}

impl Recipe {
    fn validate(&self) -> Result<()> {
        match self {
            Self::Superres(config) => config.validate(),
            Self::Style(config) => config.validate(),
            Self::Adain(config) => config.validate(),
            Self::Translate(config) => config.validate(),
            Self::Language(config) => config.validate(),
        }
    }

    fn training(&self) -> &Training {
        match self {
            Self::Superres(config) => &config.training,
            Self::Style(config) => &config.training,
            Self::Adain(config) => &config.training,
            Self::Translate(config) => &config.training,
            Self::Language(config) => &config.training,
        }
    }
}

impl Train {
    pub fn run(self) -> Result<()> {
        match self.task {
            Some(Task::Superres(task)) => {
                let name = task.settings.name();
                return train(Recipe::Superres(task.settings.config()?), &name, task.how);
            }
            Some(Task::Translate(task)) => {
                let name = task.settings.name();
                return train(Recipe::Translate(task.settings.config()?), &name, task.how);
            }
            Some(Task::Language(task)) => {
                let name = task.settings.name();
                return train(Recipe::Language(task.settings.config()?), &name, task.how);
            }
            Some(Task::Dates(task)) => {
                return train(Recipe::Translate(task.settings.config()?), "dates", task.how);
            }
            Some(Task::Style(task)) => {
                return train(Recipe::Style(task.settings.config()?), "style", task.how);
            }
            Some(Task::Adain(task)) => {
                return train(Recipe::Adain(task.settings.config()?), "adain", task.how);
            }
            Some(Task::Gatys(task)) => return task.run(),
            None => {}
        }
        let path = self.config.context("neither a task nor --config; see --help")?;
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let recipe: Recipe = toml::from_str(&text).with_context(|| path.display().to_string())?;
        recipe.validate().with_context(|| path.display().to_string())?;
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
        train(recipe, &folder.to_string_lossy(), self.how)
    }
}

static STOP: AtomicBool = AtomicBool::new(false);

/// The tokenizer of a run, beside its configuration.
pub const TOKENIZER: &str = "tokenizer.json";

fn train(recipe: Recipe, name: &str, how: How) -> Result<()> {
    let root = Path::new("runs").join(how.name.as_deref().filter(|n| !n.is_empty()).unwrap_or(name));
    listen()?;
    learn(&recipe, &root, None, &how)?;
    Ok(())
}

/// Has Ctrl-C stop what is learnt.
///
/// # Errors
/// When it cannot be listened for.
pub fn listen() -> Result<()> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130); // the second time: at once
        }
    })
    .context("cannot listen for Ctrl-C")
}

/// Learns in the folder `root`; whether the run has come to its end. A new run for sentences takes `tokenizer`, where there is
/// one.
///
/// # Errors
/// What went wrong, with the file or the value named.
pub fn learn(recipe: &Recipe, root: &Path, tokenizer: Option<Tokenizer>, how: &How) -> Result<bool> {
    let device = how.device.open()?;
    if device.is_cpu() {
        match recipe.training().precision {
            Precision::F32 => {}
            Precision::Bf16 if multiply_in_bf16() => info!("convolutions multiply in bf16, by AMX"),
            Precision::Bf16 => bail!("bf16 is for CUDA and for CPUs with AMX; this one computes in f32"),
            Precision::F16 => bail!("f16 is for CUDA; the CPU computes in f32, or in bf16 where it has AMX"),
        }
    }
    let folder = if how.resume { RunFolder::open(root)? } else { RunFolder::create(root)? };
    if how.resume {
        folder.check_config(recipe)?;
    }
    match recipe {
        Recipe::Superres(config) => {
            let (task, run) = config.prepare(device, super::progress_bar)?;
            fit(recipe, &folder, how, &task, run)
        }
        Recipe::Style(config) => {
            let (task, run) = config.prepare(device, super::progress_bar)?;
            fit(recipe, &folder, how, &task, run)
        }
        Recipe::Adain(config) => {
            let (task, run) = config.prepare(device, super::progress_bar)?;
            fit(recipe, &folder, how, &task, run)
        }
        Recipe::Translate(config) => {
            let (task, run) = config.prepare(device, known(&folder, tokenizer, how)?, super::progress_bar)?;
            keep_tokenizer(&folder, &task)?;
            fit(recipe, &folder, how, &task, run)
        }
        Recipe::Language(config) => {
            let (task, run) = config.prepare(device, known(&folder, tokenizer, how)?, super::progress_bar)?;
            keep_tokenizer(&folder, &task)?;
            fit(recipe, &folder, how, &task, run)
        }
    }
}

/// The tokenizer of a run that goes on, or `given`.
fn known(folder: &RunFolder, given: Option<Tokenizer>, how: &How) -> Result<Option<Tokenizer>> {
    let path = folder.path(TOKENIZER);
    if how.resume && path.exists() { read_tokenizer(&path).map(Some) } else { Ok(given) }
}

/// A tokenizer from a file.
///
/// # Errors
/// Names the file.
pub fn read_tokenizer(path: &Path) -> Result<Tokenizer> {
    let named = || path.display().to_string();
    Tokenizer::parse(&std::fs::read_to_string(path).with_context(named)?).with_context(named)
}

fn keep_tokenizer(folder: &RunFolder, task: &impl Learnt) -> Result<()> {
    match task.metadata().text {
        Some(text) => write_atomically(&folder.path(TOKENIZER), text.tokenizer.as_bytes()),
        None => Ok(()),
    }
}

fn fit<T: Learnt>(recipe: &Recipe, folder: &RunFolder, how: &How, task: &T, mut run: Run) -> Result<bool> {
    if how.resume {
        folder.restore(&task.metadata().config, &mut run)?;
        info!("resumed at step {}", run.step);
    } else {
        folder.write_config(recipe)?;
    }
    folder.write_machine(&machine(&run.device))?;
    info!("training {}; Ctrl-C saves and stops", folder.root().display());
    let mut learner = Learner::new(task, run, callbacks(recipe.training(), task.metadata(), folder, how.profile));
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
    Ok(learner.run.is_finished())
}

/// In the order in which they are asked.
fn callbacks<'a>(config: &Training, metadata: Metadata, folder: &'a RunFolder, profile: bool) -> Vec<Box<dyn Callback + 'a>> {
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
    all.push(Box::new(Checkpoints::new(folder, metadata)));
    all.push(Box::new(Reports { folder }));
    all.push(Box::new(Interrupt { stop: &STOP }));
    all
}
