use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::folder::flatten;

/// A run as its folder tells it. Files that are missing, as in a run that has just begun, count as empty.
#[derive(Debug, Clone)]
pub struct Record {
    /// The folder, as it was given.
    pub folder: PathBuf,
    /// The name of the folder.
    pub name: String,
    /// `config.toml`, its leaves by their dotted names.
    pub config: BTreeMap<String, String>,
    /// `machine.toml`.
    pub machine: BTreeMap<String, String>,
    /// The columns of `metrics.csv`.
    pub columns: Vec<String>,
    /// Its rows; empty cells are NaN.
    pub rows: Vec<Vec<f64>>,
    /// Pictures and texts in `samples/`, oldest first, with their steps.
    pub samples: Vec<(u64, PathBuf)>,
}

/// What every run has; the other columns are metrics.
const COMMON: [&str; 6] = ["epoch", "step", "seconds", "rate", "train_loss", "valid_loss"];

/// Metrics that are better when lower, by the end of their names.
const LOWER_IS_BETTER: [&str; 9] = ["loss", "error", "perplexity", "mse", "mae", "lpips", "fid", "cer", "wer"];

impl Record {
    /// Reads a run.
    ///
    /// # Errors
    /// When there is no such folder, or one of its files is broken. The last line of `metrics.csv` may be cut.
    pub fn read(folder: &Path) -> Result<Self> {
        ensure!(folder.is_dir(), "{}: no such run", folder.display());
        let read = |name: &str| match std::fs::read(folder.join(name)) {
            Ok(bytes) => Ok(printable(&String::from_utf8_lossy(&bytes))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(e) => Err(e).with_context(|| format!("cannot read {}", folder.join(name).display())),
        };
        let table = |name: &str| -> Result<BTreeMap<String, String>> {
            let table: toml::Table = read(name)?.parse().with_context(|| folder.join(name).display().to_string())?;
            Ok(flatten(&table))
        };
        let metrics = read("metrics.csv")?;
        let (columns, rows) = numbers(&metrics).with_context(|| folder.join("metrics.csv").display().to_string())?;
        let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy();
        Ok(Self {
            folder: folder.to_owned(),
            name: printable(&name.replace(['\n', '\t'], " ")),
            config: table("config.toml")?,
            machine: table("machine.toml")?,
            columns,
            rows,
            samples: samples(&folder.join("samples")),
        })
    }

    /// A column by the steps; rows without a number are left out.
    pub fn series(&self, column: &str) -> Vec<(f64, f64)> {
        let index = |name: &str| self.columns.iter().position(|c| c == name);
        let (Some(x), Some(y)) = (index("step"), index(column)) else { return Vec::new() };
        let point = |row: &Vec<f64>| Some((*row.get(x)?, *row.get(y)?));
        self.rows.iter().filter_map(point).filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
    }

    /// The metrics, without what they are compared with, `bicubic_...`.
    pub fn metrics(&self) -> impl Iterator<Item = &String> {
        self.columns.iter().filter(|name| !COMMON.contains(&name.as_str()) && !name.starts_with("bicubic_"))
    }

    /// The best value of a column, after the step where it was first reached.
    pub fn best(&self, column: &str) -> Option<(f64, f64)> {
        let sign = if LOWER_IS_BETTER.iter().any(|end| column.ends_with(end)) { -1.0 } else { 1.0 };
        self.series(column).into_iter().reduce(|best, next| if sign * next.1 > sign * best.1 { next } else { best })
    }

    /// The last value of a column.
    pub fn last(&self, column: &str) -> Option<f64> {
        Some(self.series(column).last()?.1)
    }

    /// A fact of `machine.toml`, empty where it is not told.
    pub fn fact(&self, name: &str) -> &str {
        self.machine.get(name).map_or("", String::as_str)
    }
}

/// The columns and rows of `metrics.csv`, without a last line that was cut.
fn numbers(text: &str) -> Result<(Vec<String>, Vec<Vec<f64>>)> {
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let mut csv = csv::ReaderBuilder::new().flexible(true).from_reader(whole.as_bytes());
    let columns: Vec<String> = csv.headers()?.iter().map(str::to_owned).collect();
    let mut rows = Vec::new();
    for record in csv.records() {
        let record = record?;
        if record.len() == columns.len() {
            rows.push(record.iter().map(|cell| cell.trim().parse().unwrap_or(f64::NAN)).collect());
        }
    }
    Ok((columns, rows))
}

/// The files in `samples/` that are named by a step.
fn samples(folder: &Path) -> Vec<(u64, PathBuf)> {
    let paths = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let step = |path: PathBuf| {
        let known = path.extension().is_some_and(|ending| ending == "png" || ending == "txt");
        Some((path.file_stem().filter(|_| known)?.to_str()?.parse().ok()?, path))
    };
    let mut samples: Vec<(u64, PathBuf)> = paths.filter_map(step).collect();
    samples.sort();
    samples
}

/// Control characters would break a terminal, and are no XML.
fn printable(text: &str) -> String {
    let kept = |c: char| if c.is_control() && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
    text.replace("\r\n", "\n").chars().map(kept).collect()
}
