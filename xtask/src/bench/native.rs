//! Atelier's CPU engine beside onnxruntime, both as native programs.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use xtask::command::Cmd;
use xtask::python;

use super::case::Kind;
use super::networks::Network;
use super::report::time;
use super::{Effort, site};

/// How often both take turns, so that whatever else the machine does meets both.
const ROUNDS: usize = 5;

/// A network at a size.
#[derive(Debug, Serialize)]
pub struct Row {
    network: String,
    size: usize,
    threads: usize,
    onnxruntime: String,
    /// Median of the rounds' medians, and the shortest run, in milliseconds.
    atelier_ms: [f64; 2],
    onnxruntime_ms: [f64; 2],
}

/// Measures `networks` at `sizes`, at those of the literature where there are none; `None` where there is no Python.
///
/// # Errors
/// When a program cannot be built or run.
pub fn measure(root: &Path, networks: &[Network], sizes: &[usize], effort: Effort) -> Result<Option<Vec<Row>>> {
    let target = site::target(root)?;
    let packages = match python::packages(root, &target.join("tmp")) {
        Ok(packages) => packages,
        Err(error) => {
            eprintln!("\n*** SKIPPED: onnxruntime needs Python 3.11 or newer with pip: {error:#} ***\n");
            return Ok(None);
        }
    };
    let folder = target.join("bench-native");
    Cmd::cargo(root).args(["build", "--quiet", "--release", "--package", "trainer"]).run()?;
    site::weights(root, &folder, networks)?;
    let trainer = target.join("release").join(format!("trainer{}", std::env::consts::EXE_SUFFIX));
    let (runs, threads) = (effort.runs.to_string(), effort.threads.to_string());
    let mut rows = Vec::new();
    for network in networks {
        let usual = match network.kind {
            Kind::Superres => [128],
            Kind::Style => [256],
        };
        for &size in if sizes.is_empty() { &usual } else { sizes } {
            network.kind.accepts(size)?;
            let [weights, onnx] = site::files(&network.name).map(|file| folder.join(file));
            let side = size.to_string();
            let ours = Cmd::new(&trainer, root).args(["bench", "--only", "networks", "--json", "--weights"]).arg(weights);
            let ours = ours.args(["--size", &side, "--runs", &runs, "--threads", &threads]);
            let theirs = Cmd::new("python3", root).arg("tests/python/time_onnx.py").arg(onnx).args([&side, &runs, &threads]);
            let theirs = theirs.env("PYTHONPATH", &packages);
            let (mut atelier, mut peer, mut version) = (Vec::new(), Vec::new(), String::new());
            for _ in 0..ROUNDS {
                let Ours { rows: [row] } = told(&ours)?;
                atelier.push([row.median_ms, row.least_ms]);
                let Theirs { version: found, median_ms, least_ms } = told(&theirs)?;
                peer.push([median_ms, least_ms]);
                version = found;
            }
            let (atelier_ms, onnxruntime_ms) = (summary(&atelier), summary(&peer));
            let row = Row {
                network: network.name.clone(),
                size,
                threads: effort.threads,
                onnxruntime: version,
                atelier_ms,
                onnxruntime_ms,
            };
            eprintln!("{} {size}: {:.2} times the time of onnxruntime", row.network, row.ratio());
            rows.push(row);
        }
    }
    Ok(Some(rows))
}

/// What `trainer bench --json` prints, as far as it is needed.
#[derive(Deserialize)]
struct Ours {
    rows: [Our; 1],
}

#[derive(Deserialize)]
struct Our {
    median_ms: f64,
    least_ms: f64,
}

/// What `tests/python/time_onnx.py` prints.
#[derive(Deserialize)]
struct Theirs {
    version: String,
    median_ms: f64,
    least_ms: f64,
}

fn told<T: serde::de::DeserializeOwned>(command: &Cmd) -> Result<T> {
    let text = command.output().with_context(|| format!("this fails:\n  {command}"))?;
    serde_json::from_str(&text).with_context(|| format!("cannot read what this prints:\n  {command}"))
}

/// The median of the medians, and the shortest of the shortest.
fn summary(rounds: &[[f64; 2]]) -> [f64; 2] {
    let mut medians: Vec<f64> = rounds.iter().map(|[median, _]| *median).collect();
    medians.sort_by(f64::total_cmp);
    let median = medians.get(medians.len() / 2).copied().unwrap_or(f64::NAN);
    [median, rounds.iter().fold(f64::INFINITY, |least, [_, ms]| least.min(*ms))]
}

impl Row {
    /// Of the shortest runs: whatever else the machine does only adds.
    fn ratio(&self) -> f64 {
        self.atelier_ms[1] / self.onnxruntime_ms[1]
    }
}

/// A table in Markdown.
pub fn markdown(processor: &str, rows: &[Row]) -> String {
    let mut text = format!("{processor}; one beside the other, {ROUNDS} rounds.\n\n");
    text += "| Network | Size | Threads | Atelier, shortest (median) | onnxruntime | Ratio of the shortest |\n|---|---|---|---|---|---|\n";
    for row in rows {
        let both = |[median, least]: [f64; 2]| format!("{} ({})", time(least), time(median));
        let Row { network, size, threads, onnxruntime, .. } = row;
        let (ours, theirs) = (both(row.atelier_ms), both(row.onnxruntime_ms));
        let _ = writeln!(text, "| {network} | {size} | {threads} | {ours} | {onnxruntime}: {theirs} | {:.2} |", row.ratio());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_that_of_the_shortest_runs() {
        let atelier_ms = summary(&[[9.0, 6.0], [7.0, 5.0], [30.0, 8.0]]);
        assert_eq!(atelier_ms, [9.0, 5.0]);
        let onnxruntime = "1.32.0".to_owned();
        let row = Row { network: "sr".into(), size: 128, threads: 1, onnxruntime, atelier_ms, onnxruntime_ms: [20.0, 4.0] };
        let text = markdown("a processor", &[row]);
        assert!(text.contains("| sr | 128 | 1 | 5.00 ms (9.00 ms) | 1.32.0: 4.00 ms (20.0 ms) | 1.25 |"), "{text}");
    }
}
