//! `cargo xtask bench`: the same networks through Atelier, onnxruntime-web and TensorFlow.js, in one headless browser.
#![allow(clippy::print_stdout)] // A program: its results belong on stdout.

mod agreement;
mod case;
mod chart;
mod measure;
mod memory;
mod native;
mod networks;
mod report;
mod server;
mod site;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use sysinfo::System;
use xtask::tools;

use case::{Backend, Case, Choice, Kind, Runtime};
use measure::{Effort, Laboratory};
use report::{Agreement, Machine, Outcome, Row};

/// Seconds of warm runs for each measurement.
const SECONDS: u64 = 10;

/// Warm runs of `--quick`.
const QUICK_RUNS: usize = 3;

const EXAMPLES: &str = "Examples:
  cargo xtask bench                                       # everything; with a software GPU it takes about half an hour
  cargo xtask bench --quick                               # one size a network, few runs
  cargo xtask bench --only sr,x4-fast --backend wasm      # two networks, without a GPU
  cargo xtask bench --only johnson --size 64,256 --runtime atelier,ort --runs 50
  cargo xtask bench --backend wasm --threads 2            # the others with two threads; Atelier has one
  cargo xtask bench --native --only sr,johnson            # beside onnxruntime for Python, without a browser";

/// Measures Atelier beside onnxruntime-web and TensorFlow.js in headless Chromium.
///
/// Each measurement is a page load of its own, by the same code. All outputs must agree to 1e-3 of the largest value; where they
/// do not, the command fails after the table is written.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench", after_help = EXAMPLES)]
struct Args {
    /// Networks, by name or the end of it [default: the shipped ones, sr and johnson].
    #[arg(long, value_delimiter = ',', value_name = "NETWORK")]
    only: Vec<String>,
    /// Sizes in pixels; the input is a square [default: small ones for a software GPU, larger ones for a real one].
    #[arg(long, value_delimiter = ',', value_name = "PIXELS")]
    size: Vec<usize>,
    /// Runtimes [default: all but ort-jspi].
    #[arg(long, value_enum, value_delimiter = ',')]
    runtime: Vec<Runtime>,
    /// What computes [default: both].
    #[arg(long, value_enum, value_delimiter = ',')]
    backend: Vec<Backend>,
    /// Warm runs at most; 10 s end them earlier, once there are three.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Threads of onnxruntime-web and TensorFlow.js in WebAssembly, where Atelier has one; with --native, threads of both.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// Only the smallest size of each network, and three runs.
    #[arg(long)]
    quick: bool,
    /// Native programs instead of a browser: Atelier's CPU engine beside onnxruntime, which needs Python.
    #[arg(long, conflicts_with_all = ["runtime", "backend"])]
    native: bool,
    /// Where the table (bench.md, bench.csv, bench.json) and the chart (bench.svg, bench.png) go; with --native, native.md and
    /// native.json.
    #[arg(long, default_value = "target/bench", value_name = "FOLDER")]
    out: PathBuf,
}

impl Args {
    fn choice(&self) -> Choice {
        Choice {
            networks: self.only.clone(),
            sizes: self.size.clone(),
            runtimes: self.runtime.clone(),
            backends: self.backend.clone(),
            quick: self.quick,
        }
    }

    fn effort(&self) -> Effort {
        let runs = usize::from(self.runs);
        let runs = if self.quick { runs.min(QUICK_RUNS) } else { runs };
        Effort { runs, seconds: SECONDS, threads: usize::from(self.threads) }
    }
}

/// Builds what is compared, measures it, and writes the table and the chart.
fn main() -> Result<()> {
    let args = Args::parse();
    let root = xtask::root()?;
    let choice = args.choice();
    let mut networks = networks::all(&root)?;
    choice.check(networks.iter().map(|network| network.name.as_str()))?;
    networks.retain(|network| choice.wants(&network.name));
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    if args.native {
        return native(&root, &networks, &args);
    }
    let named: Vec<(String, Kind)> = networks.iter().map(|network| (network.name.clone(), network.kind)).collect();
    // Wishes that cannot be met are refused before minutes are spent on builds.
    choice.cases(&named, true)?;
    tools::system_packages(false)?;
    let site = root.join("target/bench-site");
    eprintln!("Building Atelier and the page of the benchmark; the first time takes some minutes.");
    let runtimes = site::build(&root, &site)?;
    site::weights(&root, &site, &networks)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (machine, rows) = runtime.block_on(async {
        let laboratory = Laboratory::open().await?;
        let adapter = laboratory.adapter(&site).await?;
        let software = adapter.as_ref().is_none_or(measure::Adapter::software);
        let machine = Machine {
            browser: laboratory.browser(),
            gpu: adapter.map_or_else(|| "none".to_owned(), |adapter| adapter.name()),
            software,
            processor: processor()?,
            threads: usize::from(args.threads),
            runtimes,
        };
        eprintln!("{}; WebGPU: {}{}", machine.browser, machine.gpu, if software { " (software)" } else { "" });
        let rows = all(laboratory, &site, &choice.cases(&named, software)?, args.effort()).await?;
        anyhow::Ok((machine, rows))
    })?;
    write(&args.out, &machine, &rows)?;

    let disagree: Vec<String> = rows.iter().filter(|row| !row.holds()).map(|row| row.case.to_string()).collect();
    if !disagree.is_empty() {
        bail!("these differ from the reference by more than {}: {}", agreement::TOLERANCE, disagree.join("; "));
    }
    Ok(())
}

fn native(root: &Path, networks: &[networks::Network], args: &Args) -> Result<()> {
    let Some(rows) = native::measure(root, networks, &args.size, args.effort())? else { return Ok(()) };
    let table = native::markdown(&processor()?, &rows);
    put(&args.out, "native.md", table.as_bytes())?;
    put(&args.out, "native.json", (serde_json::to_string_pretty(&rows)? + "\n").as_bytes())?;
    println!("{table}");
    Ok(())
}

impl Row {
    fn holds(&self) -> bool {
        match &self.outcome {
            Outcome::Measured(measured) => measured.agreement.holds(),
            Outcome::Failed(_) => true,
        }
    }
}

/// Measures all cases.
async fn all(mut laboratory: Laboratory, site: &Path, cases: &[Case], effort: Effort) -> Result<Vec<Row>> {
    let bar = ProgressBar::new(cases.len() as u64);
    let style = ProgressStyle::with_template("{pos}/{len} {bar:24} {elapsed}, {eta} left  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut rows = Vec::new();
    // What must agree stands together, so few outputs are in memory at once.
    for group in cases.chunk_by(|a, b| (&a.network, a.size) == (&b.network, b.size)) {
        let mut outputs = Vec::new();
        for case in group {
            bar.set_message(case.to_string());
            let outcome = match laboratory.measure(site, case, effort).await {
                Ok((measured, output)) => {
                    bar.println(format!("{case}: {}", report::time(measured.median_ms())));
                    outputs.push((rows.len(), output));
                    Outcome::Measured(measured)
                }
                Err(error) => {
                    bar.println(format!("{case}: {error:#}"));
                    // Whatever it left, a hung tab or a lost GPU, is not the next one's fault.
                    drop(laboratory);
                    laboratory = Laboratory::open().await?;
                    Outcome::Failed(format!("{error:#}"))
                }
            };
            rows.push(Row { case: case.clone(), outcome });
            bar.inc(1);
        }
        compare(&mut rows, &outputs);
    }
    bar.finish_and_clear();
    Ok(rows)
}

/// Notes how the outputs of one network at one size, by row, compare.
fn compare(rows: &mut [Row], outputs: &[(usize, Vec<f32>)]) {
    let runtimes: Vec<Runtime> = outputs.iter().filter_map(|(row, _)| Some(rows.get(*row)?.case.runtime)).collect();
    let Some((reference, expected)) = agreement::reference(&runtimes).and_then(|i| outputs.get(i)) else { return };
    for (row, output) in outputs {
        let found = match agreement::difference(expected, output) {
            Ok(_) if outputs.len() == 1 => Agreement::Alone,
            Ok(_) if row == reference => Agreement::Reference,
            Ok(difference) => Agreement::Differs(difference),
            Err(error) => Agreement::Incomparable(error.to_string()),
        };
        if let Some(Row { outcome: Outcome::Measured(measured), .. }) = rows.get_mut(*row) {
            measured.agreement = found;
        }
    }
}

fn write(folder: &Path, machine: &Machine, rows: &[Row]) -> Result<()> {
    let put = |name: &str, content: &[u8]| put(folder, name, content);
    let table = report::markdown(machine, rows);
    put("bench.md", table.as_bytes())?;
    put("bench.csv", report::csv(rows)?.as_bytes())?;
    put("bench.json", report::json(machine, rows)?.as_bytes())?;
    println!("{table}");
    let (svg, png) = chart::draw(rows)?;
    put("bench.svg", svg.as_bytes())?;
    put("bench.png", &png)?;
    println!("The table and the chart are in {}", folder.display());
    Ok(())
}

fn put(folder: &Path, name: &str, content: &[u8]) -> Result<()> {
    let file = folder.join(name);
    std::fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))
}

/// The processor's name and number of threads.
fn processor() -> Result<String> {
    let mut system = System::new()?;
    system.refresh_cpu_all();
    let name = system.cpus().first().map_or("", |cpu| cpu.brand().trim());
    Ok(format!("{}, {} threads", if name.is_empty() { "unknown processor" } else { name }, system.cpus().len()))
}

#[cfg(test)]
mod tests {
    use super::report::tests::row;
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(["bench"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn the_line_of_arguments_is_understood() {
        let args = parse("--only sr,x4-fast --size 32,64 --runtime atelier,ort --backend cpu --runs 7 --threads 2").unwrap();
        let choice = args.choice();
        assert_eq!(choice.networks, ["sr", "x4-fast"]);
        assert_eq!(choice.sizes, [32, 64]);
        assert_eq!(choice.runtimes, [Runtime::Atelier, Runtime::Ort]);
        assert_eq!(choice.backends, [Backend::Wasm]);
        assert_eq!((args.effort().runs, args.effort().threads), (7, 2));
        assert_eq!(parse("--quick").unwrap().effort().runs, QUICK_RUNS);
        for wrong in ["--runtime onnx", "--backend gpu", "--size big", "--runs 0", "--threads 0"] {
            let error = parse(wrong).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(wrong.split(' ').nth(1).unwrap()), "{error}");
        }
    }

    #[test]
    fn a_planted_difference_is_charged_to_whoever_differs() {
        let mut rows = [Runtime::Atelier, Runtime::Ort, Runtime::Tfjs].map(|runtime| row(runtime, Backend::Wasm, &[1.0]));
        let mut outputs: Vec<(usize, Vec<f32>)> = (0..3).map(|i| (i, vec![0.5, -2.0, 1.0])).collect();
        compare(&mut rows, &outputs);
        assert!(rows.iter().all(Row::holds));
        outputs[2].1[0] += 0.01;
        compare(&mut rows, &outputs);
        assert_eq!(rows.each_ref().map(Row::holds), [true, true, false]);
        outputs[0].1[1] = f32::NAN;
        compare(&mut rows, &outputs);
        assert_eq!(rows.each_ref().map(Row::holds), [false, true, false]);
    }

    #[test]
    fn an_output_that_stands_alone_must_be_finite_too() {
        let mut rows = [row(Runtime::Ort, Backend::Wasm, &[1.0])];
        compare(&mut rows, &[(0, vec![1.0])]);
        assert!(rows[0].holds());
        compare(&mut rows, &[(0, vec![f32::INFINITY])]);
        assert!(!rows[0].holds());
    }
}
