use std::ops::Not;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use pollster::block_on;
use shared::checkpoint::Checkpoint;
use shared::engine::candle::multiply_in_bf16;
use shared::engine::cost;
use shared::models::ImageConfig;
use shared::session::{Engine, Session};

use super::{Place, init, stem};
use crate::bench::{Ceilings, Cut, Effort, Layer, Report, Row, scale};
use crate::runs::{machine, plot, write_atomically};
use crate::superres::evaluate::TILE;

const EXAMPLES: &str = r#"Examples:
  trainer bench                                            ceilings, layers, and the page's networks, on the CPU
  trainer bench --engine webgpu --size 256                 the same on the GPU
  trainer bench --engine webgpu --tune --only layers       which way to cut a convolution into threads is the fastest there
  trainer bench --only networks --weights runs/mine/checkpoints/best.safetensors --size 128,512 --json
  trainer bench --only networks --config '{"model":"transform-net","channels":32,"blocks":5}' --size 256 --threads 1
  trainer bench --scale --weights web/models/superres-x2-fast.safetensors --size 256,512,1024,2048,4096"#;

/// Measures how fast networks are here, and their layers, beside what the machine can do at best.
///
/// GFLOP/s count two operations for every product and sum of a convolution. The ceilings are a large product of matrices and a
/// copy; a layer cannot be faster than what both allow. Nothing else should run meanwhile.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Bench {
    #[command(flatten)]
    place: Place,
    /// Threads of the CPU [default: all].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Networks: safetensors files written by `train` or `publish` [default: those of web/models].
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    weights: Vec<PathBuf>,
    /// A network with random weights, by its configuration in JSON; may be given several times.
    #[arg(long, value_name = "JSON")]
    config: Vec<String>,
    /// Sides of square pictures, in pixels [default: 128 for networks and 512 for layers, 32 and 64 where the GPU is software].
    #[arg(long, value_name = "PIXELS", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=16384))]
    size: Vec<u32>,
    /// What to measure [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Runs before the clock starts.
    #[arg(long, default_value_t = 2)]
    warm: u16,
    /// Runs that count.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// First measure how the kernels of every layer are best cut into threads on this GPU, as the page does, and cut them so.
    #[arg(long, conflicts_with = "scale")]
    tune: bool,
    /// Enlarge whole pictures, tile by tile, each in a process of its own: time and memory by size.
    #[arg(long, conflicts_with_all = ["only", "warm", "runs"])]
    scale: bool,
    /// With --scale, the side of the tiles in pixels.
    #[arg(long, default_value_t = TILE, value_parser = tile, requires = "scale")]
    tile: usize,
    /// With --scale of several pictures, where the table (scale.md, scale.json) and the chart (scale.svg, scale.png) go.
    #[arg(long, default_value = "target/bench", value_name = "FOLDER", requires = "scale")]
    out: PathBuf,
    /// Have convolutions multiply in bf16, as `train --precision bf16` does on a CPU with AMX (Intel's servers).
    #[arg(long, conflicts_with = "scale")]
    bf16: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What the machine can do at best.
    Ceilings,
    /// Single convolutions.
    Layers,
    /// Whole networks.
    Networks,
}

fn tile(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(tile) if (16..=4096).contains(&tile) => Ok(tile),
        _ => Err("must be 16 to 4096".to_owned()),
    }
}

/// A network to measure, and the arguments that name it.
struct Named {
    name: String,
    config: ImageConfig,
    checkpoint: Checkpoint,
    arguments: [String; 2],
}

impl Bench {
    #[allow(clippy::print_stdout)] // The result.
    pub fn run(self) -> Result<()> {
        if let Some(threads) = self.threads.map(|threads| threads.to_string())
            && std::env::var(THREADS).is_ok_and(|set| set == threads).not()
        {
            return again(&threads);
        }
        if self.scale {
            let points = self.measure_scale()?;
            match self.json {
                true => println!("{}", serde_json::to_string(&points)?),
                false => print!("{}", scale::table(&points)),
            }
            return Ok(());
        }
        let report = self.measure()?;
        match self.json {
            true => println!("{}", serde_json::to_string(&report)?),
            false => print!("{}", report.table()),
        }
        Ok(())
    }

    fn measure(&self) -> Result<Report> {
        let wants = |part| self.only.is_empty() || self.only.contains(&part);
        let engine = self.place.open()?;
        ensure!(!self.tune || !matches!(engine, Engine::Candle(_)), "--tune is for --engine webgpu");
        if self.bf16 {
            let on_cpu = matches!(&engine, Engine::Candle(device) if device.is_cpu());
            ensure!(on_cpu && multiply_in_bf16(), "--bf16 is for a CPU with AMX");
        }
        let networks = if wants(Part::Networks) { self.networks()? } else { Vec::new() };
        let (network_size, layer_size) = if software(&engine) { (32, 64) } else { (128, 512) };
        // Sizes that a network refuses are refused before minutes are spent on others.
        let mut runs = Vec::new();
        for network in &networks {
            for side in self.sizes(&[network_size]) {
                let operations = cost::operations(&network.config, [1, 3, side, side]);
                runs.push((network, side, operations.with_context(|| format!("{} on {side} x {side}", network.name))?));
            }
        }
        let layers: Vec<Layer> = match wants(Part::Layers) {
            true => self.sizes(&[layer_size]).into_iter().flat_map(Layer::usual).collect(),
            false => Vec::new(),
        };

        let effort = Effort { warm: self.warm.into(), runs: self.runs.into() };
        let bar = super::progress_bar("{elapsed_precise} {wide_bar} {pos}/{len} {msg}");
        bar.set_length((usize::from(wants(Part::Ceilings)) + layers.len() + runs.len()) as u64);
        bar.set_message("the ceilings");
        let ceilings = wants(Part::Ceilings).then(|| Ceilings::measure(&engine, effort)).transpose()?;
        bar.inc(u64::from(ceilings.is_some()));
        let (mut rows, mut cuts) = (Vec::new(), Vec::new());
        for layer in &layers {
            bar.set_message(layer.to_string());
            if self.tune {
                cuts.extend(layer.tune(&engine).with_context(|| layer.to_string())?);
            }
            rows.push(Row::layer(layer, &layer.time(&engine, effort).with_context(|| layer.to_string())?));
            bar.inc(1);
        }
        for (network, side, operations) in runs {
            let Named { name, config, checkpoint, .. } = network;
            bar.set_message(format!("{name} {side}"));
            let session = Session::new(checkpoint, engine.clone()).with_context(|| name.clone())?;
            let input: Vec<f32> = (0..3 * side * side).map(|i| (i % 256) as f32 / 255.0).collect();
            // Any style will do.
            let mixture: Vec<f32> = (0..config.styles()).map(|style| if style == 0 { 1.0 } else { 0.0 }).collect();
            let run = || Ok(block_on(session.restyle(&input, side, side, &mixture)).map(drop)?);
            if self.tune {
                run().with_context(|| format!("{name} on {side} x {side}"))?;
                cuts.extend(tune(&session, &engine)?);
            }
            let times = effort.time(run);
            let times = times.with_context(|| format!("{name} on {side} x {side}"))?;
            rows.push(Row::network(name, *config, [1, 3, side, side], operations, &times));
            bar.inc(1);
        }
        bar.finish_and_clear();
        let threads = rayon::current_num_threads();
        Ok(Report { engine: self.place.name(), device: device(&engine, threads), threads, ceilings, cuts, rows })
    }

    fn sizes(&self, default: &[usize]) -> Vec<usize> {
        if self.size.is_empty() { default.to_vec() } else { self.size.iter().map(|&side| side as usize).collect() }
    }

    /// The networks that were asked for; where none were, those of the page.
    fn networks(&self) -> Result<Vec<Named>> {
        let read = |file: &PathBuf| -> Result<Named> {
            let arguments = ["--weights".to_owned(), file.display().to_string()];
            let checkpoint = Checkpoint::read(file)?;
            let config = *checkpoint.image().with_context(|| file.display().to_string())?;
            Ok(Named { name: stem(file), config, checkpoint, arguments })
        };
        if self.weights.is_empty() && self.config.is_empty() {
            let shipped = Path::new("web/models");
            let entries = std::fs::read_dir(shipped).into_iter().flatten().flatten().map(|entry| entry.path());
            let weights = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "safetensors");
            let mut files: Vec<PathBuf> = entries.filter(weights).collect();
            files.sort();
            // Others are for sentences.
            let networks: Vec<Named> = files.iter().filter_map(|file| read(file).ok()).collect();
            ensure!(!networks.is_empty(), "{} has no networks: name some by --weights or --config", shipped.display());
            return Ok(networks);
        }
        let make = |config: &String| -> Result<Named> {
            let checkpoint = init::random(config, 0)?;
            let arguments = ["--config".to_owned(), config.clone()];
            let config = *checkpoint.image()?;
            let name = serde_json::to_value(config)?["model"].as_str().unwrap_or("network").to_owned();
            Ok(Named { name, config, checkpoint, arguments })
        };
        self.weights.iter().map(read).chain(self.config.iter().map(make)).collect()
    }

    fn measure_scale(&self) -> Result<Vec<scale::Point>> {
        let networks = self.networks()?;
        let sides = self.sizes(&[256, 512, 1024, 2048, 4096]);
        let bar = super::progress_bar("{elapsed_precise} {wide_bar} {pos}/{len} {msg}");
        if let ([network], [side]) = (&networks[..], &sides[..]) {
            return Ok(vec![self.enlarge(network, *side, &bar)?]);
        }
        if let Some(whole) = networks.iter().find(|network| network.config.receptive_field().is_none()) {
            bail!("{} sees the whole picture, so it has no tiles to scale by", whole.name);
        }
        std::fs::create_dir_all(&self.out).with_context(|| format!("cannot make {}", self.out.display()))?;
        bar.set_length((networks.len() * sides.len()) as u64);
        let mut points = Vec::new();
        for network in &networks {
            for side in &sides {
                bar.set_message(format!("{} {side}", network.name));
                points.extend(self.apart(network, *side)?);
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        let panels = scale::panels(&points)?;
        let put = |name: &str, content: &[u8]| write_atomically(&self.out.join(name), content);
        put("scale.md", scale::table(&points).as_bytes())?;
        put("scale.json", &serde_json::to_vec_pretty(&points)?)?;
        put("scale.svg", plot::svg(&panels)?.as_bytes())?;
        put("scale.png", &plot::png(&panels)?)?;
        Ok(points)
    }

    fn enlarge(&self, network: &Named, side: usize, bar: &ProgressBar) -> Result<scale::Point> {
        let session = Session::new(&network.checkpoint, self.place.open()?).with_context(|| network.name.clone())?;
        let point = scale::measure(&network.name, &session, side, self.tile, |done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        });
        bar.finish_and_clear();
        point.with_context(|| format!("{} on {side} x {side}", network.name))
    }

    /// In a process of its own, so that its peak of memory is that of this picture.
    fn apart(&self, network: &Named, side: usize) -> Result<Vec<scale::Point>> {
        let mut child = Command::new(std::env::current_exe()?);
        child.args(["bench", "--scale", "--json"]).args(&network.arguments).args(self.place.arguments());
        child.args(["--size", &side.to_string(), "--tile", &self.tile.to_string()]);
        let output = child.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("cannot start this program again")?;
        ensure!(output.status.success(), "{} on {side} x {side}: {}", network.name, output.status);
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// The number of threads of rayon and of candle, which has threads of its own. Both read it once, at their start.
const THREADS: &str = "RAYON_NUM_THREADS";

/// This command once more, with `threads` threads.
fn again(threads: &str) -> Result<()> {
    let mut child = Command::new(std::env::current_exe()?);
    let status =
        child.args(std::env::args_os().skip(1)).env(THREADS, threads).status().context("cannot start this program again")?;
    std::process::exit(status.code().unwrap_or(1))
}

/// Measures how the kernels of a network that has run are best cut.
fn tune(session: &Session, engine: &Engine) -> Result<Vec<Cut>> {
    match engine {
        Engine::Candle(_) => Ok(Vec::new()),
        #[cfg(feature = "webgpu")]
        Engine::WebGpu(context) => Ok(Cut::of(&block_on(session.tune(|| true))?, context)),
    }
}

fn software(engine: &Engine) -> bool {
    match engine {
        Engine::Candle(_) => false,
        #[cfg(feature = "webgpu")]
        Engine::WebGpu(context) => context.adapter().software,
    }
}

/// What computes, for people.
fn device(engine: &Engine, threads: usize) -> String {
    match engine {
        Engine::Candle(device) => {
            let mut facts = machine(device);
            let cpu = facts.remove("cpu").unwrap_or_default();
            let plural = if threads == 1 { "" } else { "s" };
            match device.is_cpu() {
                true => format!("{cpu}, {threads} thread{plural}"),
                false => facts.remove("device").unwrap_or_default(),
            }
        }
        #[cfg(feature = "webgpu")]
        Engine::WebGpu(context) => {
            let adapter = context.adapter();
            let software = if adapter.software { ", a program on the CPU" } else { "" };
            format!("{} by {}{software}", adapter.name, adapter.backend)
        }
    }
}
