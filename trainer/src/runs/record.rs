use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A run as its folder tells it. Files that are missing, as in a run that has just begun, count as empty.
#[derive(Debug, Clone)]
pub struct Record {
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
    /// Pictures and texts in `samples/`, oldest first.
    pub samples: Vec<PathBuf>,
}

impl Record {
    /// Reads a run.
    ///
    /// # Errors
    /// When there is no such folder, or one of its files is broken. The last line of `metrics.csv` may be cut.
    pub fn read(folder: &Path) -> Result<Self> {
        anyhow::ensure!(folder.is_dir(), "{}: no such run", folder.display());
        let read = |name: &str| -> Result<String> {
            let path = folder.join(name);
            match std::fs::read_to_string(&path) {
                Ok(text) => Ok(text),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
                Err(e) => Err(e).with_context(|| path.display().to_string()),
            }
        };
        let table = |name: &str| -> Result<BTreeMap<String, String>> {
            let table: toml::Table = read(name)?.parse().with_context(|| folder.join(name).display().to_string())?;
            Ok(super::folder::flatten(&table))
        };
        let metrics = read("metrics.csv")?;
        let mut lines = metrics.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::trim_end);
        let columns: Vec<String> = lines.next().unwrap_or_default().split(',').map(str::to_owned).collect();
        let row = |line: &str| line.split(',').map(|cell| cell.parse().unwrap_or(f64::NAN)).collect::<Vec<f64>>();
        let rows = lines.map(row).filter(|row| row.len() == columns.len()).collect();
        let entries = std::fs::read_dir(folder.join("samples")).into_iter().flatten().flatten();
        let mut samples: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        samples.sort();
        Ok(Self {
            name: folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned(),
            config: table("config.toml")?,
            machine: table("machine.toml")?,
            columns,
            rows,
            samples,
        })
    }

    /// A column by the steps; rows without a number are left out.
    pub fn series(&self, column: &str) -> Vec<(f64, f64)> {
        let index = |name: &str| self.columns.iter().position(|c| c == name);
        let (Some(x), Some(y)) = (index("step"), index(column)) else { return Vec::new() };
        let point = |row: &Vec<f64>| Some((*row.get(x)?, *row.get(y)?));
        self.rows.iter().filter_map(point).filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
    }

    /// The metrics: what follows the losses. What they are compared with, `bicubic_...`, is none.
    pub fn metrics(&self) -> impl Iterator<Item = &String> {
        let after = self.columns.iter().position(|c| c == "valid_loss").map_or(self.columns.len(), |i| i + 1);
        self.columns.iter().skip(after).filter(|name| !name.starts_with("bicubic_"))
    }

    /// The best value of a column and its step.
    pub fn best(&self, column: &str) -> Option<(f64, f64)> {
        self.series(column).into_iter().max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The last value of a column.
    pub fn last(&self, column: &str) -> Option<f64> {
        Some(self.series(column).last()?.1)
    }

    /// A fact of `machine.toml`.
    pub fn fact(&self, name: &str) -> &str {
        self.machine.get(name).map_or("", |value| value.trim_matches('"'))
    }
}
