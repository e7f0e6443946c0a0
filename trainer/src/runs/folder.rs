//! What a run writes: `config.toml`, `machine.toml`, `metrics.csv`, `samples/`, `checkpoints/{last,best}.safetensors`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use candle_core::{Device, Tensor};
use serde::Serialize;
use shared::checkpoint::{Checkpoint, Metadata, Precision};
use shared::models::Config;

use crate::learner::Run;
use crate::variables::to_dense;

/// The folder of one run.
pub struct RunFolder {
    root: PathBuf,
}

const MACHINE: &str = "machine.toml";
const METRICS: &str = "metrics.csv";

/// The parts of a run's state in `last.safetensors`, by the beginning of their names.
const WEIGHT: &str = "weight.";
const OPTIMIZER: &str = "optimizer.";
const KEPT: &str = "kept.";
/// Facts of callbacks, in the metadata.
const FACT: &str = "fact.";

impl RunFolder {
    /// The configuration of a run.
    pub const CONFIG: &'static str = "config.toml";

    /// Makes the folder of a new run.
    ///
    /// # Errors
    /// When it cannot be made, or holds a run already.
    pub fn create(root: &Path) -> Result<Self> {
        let run = Self { root: root.to_owned() };
        if run.last().exists() {
            bail!("{}: there is a run in it; go on with --resume, or choose another --name", root.display());
        }
        for folder in ["samples", "checkpoints"] {
            let folder = run.path(folder);
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(run)
    }

    /// Opens the folder of a run that is to go on.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(root: &Path) -> Result<Self> {
        let run = Self { root: root.to_owned() };
        if !run.path(Self::CONFIG).exists() {
            bail!("{}: no run in it to resume", root.display());
        }
        Ok(run)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file of the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The best weights.
    pub fn best(&self) -> PathBuf {
        Self::best_of(&self.root)
    }

    /// The best weights of the run in `root`.
    pub fn best_of(root: &Path) -> PathBuf {
        root.join("checkpoints/best.safetensors")
    }

    fn last(&self) -> PathBuf {
        self.path("checkpoints/last.safetensors")
    }

    /// Writes the configuration of a new run.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_config(&self, config: &impl Serialize) -> Result<()> {
        write_atomically(&self.path(Self::CONFIG), toml::to_string_pretty(config)?.as_bytes())
    }

    /// Refuses a configuration that is not the one the run began with, and says what differs.
    ///
    /// # Errors
    /// As said, or when the file cannot be read.
    pub fn check_config(&self, config: &impl Serialize) -> Result<()> {
        let path = self.path(Self::CONFIG);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let before: toml::Table = text.parse().with_context(|| path.display().to_string())?;
        let now = toml::Table::try_from(config)?;
        let (before, now) = (flatten(&before), flatten(&now));
        let keys: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        let value = |table: &BTreeMap<String, String>, key: &str| table.get(key).cloned().unwrap_or_else(|| "nothing".into());
        let differ = keys.into_iter().filter(|key| before.get(*key) != now.get(*key));
        let lines: Vec<String> =
            differ.map(|key| format!("  {key}: {} before, {} now", value(&before, key), value(&now, key))).collect();
        if lines.is_empty() {
            return Ok(());
        }
        bail!(
            "{}: the run began with other settings; give the same or start a new one\n{}",
            self.root.display(),
            lines.join("\n")
        )
    }

    /// Writes what computes and when it began; the status is set with [`RunFolder::set_status`].
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_machine(&self, machine: &BTreeMap<String, String>) -> Result<()> {
        write_atomically(&self.path(MACHINE), toml::to_string_pretty(machine)?.as_bytes())
    }

    /// Sets `status` in `machine.toml`.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn set_status(&self, status: &str) -> Result<()> {
        let path = self.path(MACHINE);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let mut machine: BTreeMap<String, String> = toml::from_str(&text).with_context(|| path.display().to_string())?;
        machine.insert("status".into(), status.into());
        self.write_machine(&machine)
    }

    /// Saves all that resuming needs.
    ///
    /// # Errors
    /// When the file cannot be written; the one before stays.
    pub fn save(&self, metadata: &Metadata, run: &Run) -> Result<()> {
        let optimizer = run.optimizer.state();
        let weights = run.parameters.iter().map(|(name, var)| (format!("{WEIGHT}{name}"), var.as_tensor()));
        let prefixed = |prefix: &'static str| move |(name, tensor)| (format!("{prefix}{name}"), tensor);
        let others = optimizer.iter().map(prefixed(OPTIMIZER)).chain(run.kept.iter().map(prefixed(KEPT)));
        // What a step that is not complete has summed up.
        let sums = run.gradients.iter().map(prefixed(GRADIENT));
        let all: Vec<(String, &Tensor)> = weights.chain(others).chain(sums).collect();
        let tensors = to_dense(all.iter().map(|(name, tensor)| (name, *tensor)))?;
        let mut provenance: BTreeMap<String, String> =
            run.facts.iter().map(|(name, value)| (format!("{FACT}{name}"), value.to_string())).collect();
        let position = [
            ("step", run.step.to_string()),
            ("epoch", run.epoch.to_string()),
            ("seconds", run.seconds.to_string()),
            ("losses.sum", run.losses.sum.to_string()),
            ("losses.count", run.losses.count.to_string()),
            ("optimizer.steps", run.optimizer.steps().to_string()),
        ];
        provenance.extend(position.map(|(name, value)| (name.to_owned(), value)));
        let metadata = Metadata { provenance, ..metadata.clone() };
        write_atomically(&self.last(), &Checkpoint { metadata, tensors }.to_bytes(Precision::F32)?)
    }

    /// Brings a run to where [`RunFolder::save`] left it. Without a checkpoint (killed before the first) it stays at its
    /// beginning.
    ///
    /// # Errors
    /// When the file is broken or of another network.
    pub fn restore(&self, config: &Config, run: &mut Run) -> Result<()> {
        let path = self.last();
        if !path.exists() {
            return Ok(());
        }
        let checkpoint = Checkpoint::read(&path)?;
        if checkpoint.metadata.config != *config {
            bail!("{}: of another network, {:?} instead of {config:?}", path.display(), checkpoint.metadata.config);
        }
        let restored = restore(&checkpoint, run);
        restored.with_context(|| path.display().to_string())
    }

    /// Saves weights to use.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_best(&self, checkpoint: &Checkpoint) -> Result<()> {
        write_atomically(&self.best(), &checkpoint.to_bytes(Precision::F32)?)
    }

    /// Appends a line to `metrics.csv`, its head first where it is new.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn log(&self, columns: &[(&str, String)]) -> Result<()> {
        let path = self.path(METRICS);
        let new = !path.exists();
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        let mut csv = csv::Writer::from_writer(file.with_context(|| format!("cannot write {}", path.display()))?);
        if new {
            csv.write_record(columns.iter().map(|(name, _)| *name))?;
        }
        csv.write_record(columns.iter().map(|(_, value)| value))?;
        csv.flush().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Drops the lines of `metrics.csv` that lie after `step`, and one that was cut.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn forget_after(&self, step: u64) -> Result<()> {
        let path = self.path(METRICS);
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(()) };
        let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let Some(head) = lines.next() else { return Ok(std::fs::remove_file(&path)?) };
        let column = head.trim_end().split(',').position(|name| name == "step").unwrap_or(1);
        let before = |line: &&str| line.split(',').nth(column).and_then(|s| s.parse::<u64>().ok()).is_some_and(|s| s <= step);
        let kept: String = std::iter::once(head).chain(lines.filter(before)).collect();
        if kept == text { Ok(()) } else { write_atomically(&path, kept.as_bytes()) }
    }
}

const GRADIENT: &str = "gradient.";

fn restore(checkpoint: &Checkpoint, run: &mut Run) -> Result<()> {
    let facts = &checkpoint.metadata.provenance;
    let number = |name: &str| -> Result<f64> {
        let text = facts.get(name).with_context(|| format!("no `{name}` in it"))?;
        text.parse().map_err(|_| anyhow!("its `{name}` is no number: {text}"))
    };
    let part = |prefix: &str, device: &Device| -> Result<BTreeMap<String, Tensor>> {
        let part = checkpoint.tensors.iter().filter_map(|(name, dense)| Some((name.strip_prefix(prefix)?, dense)));
        part.map(|(name, t)| Ok((name.to_owned(), Tensor::from_slice(&t.values, t.dims.as_slice(), device)?))).collect()
    };
    for (name, var) in &run.parameters {
        let values = checkpoint.tensor(&format!("{WEIGHT}{name}"), var.dims())?;
        var.set(&Tensor::from_vec(values, var.dims(), var.device())?)?;
    }
    run.optimizer.restore(part(OPTIMIZER, &run.device)?, number("optimizer.steps")? as u64, &run.parameters)?;
    run.kept = part(KEPT, &run.device)?;
    run.gradients = part(GRADIENT, &run.device)?;
    let fact = |name: &String| Some((name.strip_prefix(FACT)?.to_owned(), number(name)));
    run.facts = facts.keys().filter_map(fact).map(|(name, value)| Ok((name, value?))).collect::<Result<_>>()?;
    run.step = number("step")? as u64;
    run.epoch = number("epoch")? as u64;
    run.seconds = number("seconds")?;
    run.losses.sum = number("losses.sum")?;
    run.losses.count = number("losses.count")?;
    Ok(())
}

/// The leaves of a table by their dotted names.
pub(super) fn flatten(table: &toml::Table) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                leaves.extend(flatten(inner).into_iter().map(|(name, value)| (format!("{key}.{name}"), value)));
            }
            toml::Value::String(text) => {
                leaves.insert(key.clone(), text.clone());
            }
            value => {
                leaves.insert(key.clone(), value.to_string());
            }
        }
    }
    leaves
}

/// Writes a file whole or not at all.
///
/// # Errors
/// Names the file.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        // Readable by others, as far as the umask allows: a result is no secret.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
