//! Runs in the terminal: a list, and a comparison.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Record, RunFolder, duration, score};

/// All runs below a folder, the newest first. What cannot be read is named and left out.
///
/// # Errors
/// When the folder cannot be listed.
pub fn all(root: &Path) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for entry in std::fs::read_dir(root).with_context(|| format!("{}: no runs yet", root.display()))? {
        let path = entry.with_context(|| root.display().to_string())?.path();
        if path.join(RunFolder::CONFIG).exists() {
            match Record::read(&path) {
                Ok(record) => records.push(record),
                Err(error) => tracing::warn!("left out: {error:#}"),
            }
        }
    }
    records.sort_by(|a, b| (b.fact("started"), &a.name).cmp(&(a.fact("started"), &b.name)));
    Ok(records)
}

/// A line a run.
pub fn list(records: &[Record]) -> String {
    let head = ["run", "status", "steps", "time", "best", "device", "network"].map(str::to_owned);
    let line = |record: &Record| {
        let best = record.metrics().next().and_then(|metric| Some(format!("{metric} {}", score(record.best(metric)?.1))));
        [
            record.name.clone(),
            record.fact("status").to_owned(),
            record.last("step").map(|step| step.to_string()).unwrap_or_default(),
            record.last("seconds").map(duration).unwrap_or_default(),
            best.unwrap_or_default(),
            record.fact("device").to_owned(),
            network(record),
        ]
    };
    columns(&std::iter::once(head).chain(records.iter().map(line)).map(Vec::from).collect::<Vec<_>>())
}

/// The network in a word or two.
fn network(record: &Record) -> String {
    let parts = record.config.iter().filter_map(|(key, value)| Some((key.strip_prefix("network.")?, value.as_str())));
    let word = |(key, value): (&str, &str)| if key == "model" { value.to_owned() } else { format!("{key} {value}") };
    parts.map(word).collect::<Vec<_>>().join(", ")
}

/// Runs beside each other: their figures, and what differs in their configurations.
pub fn compare(records: &[Record]) -> String {
    let row = |name: &str, value: &dyn Fn(&Record) -> Option<String>| {
        let cells = records.iter().map(|record| value(record).unwrap_or_else(|| "-".into()));
        std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>()
    };
    let mut rows = vec![row("", &|record| Some(record.name.clone()))];
    let metrics: BTreeSet<&String> = records.iter().flat_map(Record::metrics).collect();
    for metric in metrics {
        rows.push(row(&format!("best {metric}"), &|record| {
            record.best(metric).map(|(step, value)| format!("{} at {step}", score(value)))
        }));
    }
    rows.push(row("train loss", &|record| record.last("train_loss").map(score)));
    rows.push(row("valid loss", &|record| record.last("valid_loss").map(score)));
    rows.push(row("time", &|record| record.last("seconds").map(duration)));
    rows.push(row("device", &|record| Some(record.fact("device").to_owned())));
    let keys: BTreeSet<&String> = records.iter().flat_map(|record| record.config.keys()).collect();
    let differs = |key: &&String| records.iter().any(|record| record.config.get(*key) != records[0].config.get(*key));
    for key in keys.into_iter().filter(differs) {
        rows.push(row(key, &|record| record.config.get(key).cloned()));
    }
    columns(&rows)
}

/// For other programs.
pub fn json(records: &[Record]) -> Value {
    let run = |record: &Record| {
        let best = |metric: &String| Some((metric.clone(), record.best(metric)?.1));
        let best: serde_json::Map<String, Value> =
            record.metrics().filter_map(best).map(|(name, value)| (name, value.into())).collect();
        json!({
            "name": record.name,
            "status": record.fact("status"),
            "steps": record.last("step"),
            "seconds": record.last("seconds"),
            "best": best,
            "config": record.config,
            "machine": record.machine,
        })
    };
    records.iter().map(run).collect()
}

/// Cells in columns as wide as their widest.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let width = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(i, cell)| format!("{cell:<w$}", w = width(i)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
