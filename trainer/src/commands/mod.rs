//! The command line.

mod bench;
mod data;
mod eval;
mod export;
mod init;
mod ladder;
mod lr_find;
mod publish;
mod run;
mod runs;
mod train;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use shared::checkpoint::Checkpoint;
use shared::session::{Engine, Session};

use crate::device::Choice;

/// Trains Atelier's models, measures them, runs them and publishes them to the page.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a model.
    Train(train::Train),
    /// Find a learning rate.
    LrFind {
        #[command(subcommand)]
        task: lr_find::Task,
    },
    /// Find out what every part of a network is worth.
    Ladder {
        #[command(subcommand)]
        task: ladder::Task,
    },
    /// List and compare runs.
    Runs(runs::Runs),
    /// Fetch public sets, and print statistics of any set.
    Data(data::Data),
    /// Measure a model on what it has not seen.
    Eval {
        #[command(subcommand)]
        task: eval::Task,
    },
    /// Use a model.
    Run {
        #[command(subcommand)]
        task: run::Task,
    },
    /// Measure how fast networks, layers and this machine are.
    Bench(bench::Bench),
    /// Write a network with random weights, to measure with.
    Init(init::Init),
    /// Write a model for other programs.
    Export(export::Export),
    /// Put a model into the page.
    Publish {
        #[command(subcommand)]
        task: publish::Task,
    },
}

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// What went wrong, with the file or the value named.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Train(args) => args.run(),
            Command::Runs(args) => args.run(),
            Command::LrFind { task } => task.run(),
            Command::Ladder { task } => task.run(),
            Command::Data(args) => args.run(),
            Command::Eval { task } => task.run(),
            Command::Run { task } => task.run(),
            Command::Bench(args) => args.run(),
            Command::Init(args) => args.run(),
            Command::Export(args) => args.run(),
            Command::Publish { task } => task.run(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EngineName {
    /// candle, on `--device`.
    Candle,
    /// The GPU through Vulkan, Metal or DirectX: what the page runs.
    Webgpu,
}

/// Which weights on which engine.
#[derive(Debug, Clone, clap::Args)]
struct Network {
    /// The weights, a safetensors file written by `train` or `publish`.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// What computes.
#[derive(Debug, Clone, clap::Args)]
struct Place {
    /// What computes.
    #[arg(long, value_enum, default_value = "candle")]
    engine: EngineName,
    /// For candle: auto, cpu or cuda:N.
    #[arg(long, default_value = "auto")]
    device: Choice,
}

impl Place {
    fn open(&self) -> Result<Engine> {
        match self.engine {
            EngineName::Candle => Ok(Engine::Candle(self.device.open()?)),
            EngineName::Webgpu => webgpu(),
        }
    }

    /// The engine's name, in lower case.
    fn name(&self) -> String {
        format!("{:?}", self.engine).to_lowercase()
    }

    /// What says the same on a command line.
    fn arguments(&self) -> [String; 4] {
        ["--engine".to_owned(), self.name(), "--device".to_owned(), self.device.to_string()]
    }
}

impl Network {
    fn open(&self) -> Result<(Checkpoint, Session)> {
        let checkpoint = Checkpoint::read(&self.weights)?;
        let session = Session::new(&checkpoint, self.place.open()?).with_context(|| self.weights.display().to_string())?;
        Ok((checkpoint, session))
    }
}

#[cfg(feature = "webgpu")]
fn webgpu() -> Result<Engine> {
    let context = pollster::block_on(shared::engine::webgpu::Context::new())?;
    tracing::info!("WebGPU on {}", context.adapter().name);
    Ok(Engine::WebGpu(context))
}

#[cfg(not(feature = "webgpu"))]
fn webgpu() -> Result<Engine> {
    bail!("this build has no WebGPU engine: build it with the default features")
}

/// A progress bar on stderr, silent where that is no terminal.
fn progress_bar(template: &str) -> ProgressBar {
    let bar = ProgressBar::no_length();
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// A file's name without folders and ending.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Refuses to lose work: a result needs a folder to go to before hours are spent on it.
fn writable(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        bail!("{}: the folder does not exist", folder.display());
    }
    Ok(())
}
