//! What a run leaves behind: `last.safetensors` to go on from, `best.safetensors` to use, `log.csv`, `samples/`.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use candle_core::Tensor;
use shared::checkpoint::{Checkpoint, Dense, Metadata, Precision};
use shared::models::SuperresConfig;
use shared::picture::{Format, Picture, Region};

use crate::optimizer::{Adam, Slot};
use crate::superres::evaluate::{Scores, Trial};
use crate::variables::to_dense;

/// The folder of one run.
pub struct RunFolder {
    path: PathBuf,
}

/// How far a run has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// Steps done.
    pub step: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Highest validation PSNR so far.
    pub best: f64,
    /// What must not change between the parts of a run, as text.
    pub settings: String,
}

/// The parts of a [`Slot`] and their prefix in `last.safetensors`.
type Part = (&'static str, fn(&Slot) -> &Tensor);
const PARTS: [Part; 4] =
    [("weight.", |s| s.var.as_tensor()), ("mean.", |s| &s.mean), ("square.", |s| &s.square), ("average.", |s| &s.average)];

impl RunFolder {
    /// Opens or makes the folder.
    ///
    /// # Errors
    /// When it cannot be made, holds a run that `resume` does not ask to go on with, or lacks the one that it asks for.
    pub fn open(path: &Path, resume: bool) -> Result<Self> {
        let run = Self { path: path.to_owned() };
        match (run.last().exists(), resume) {
            (true, false) => bail!("{}: there is a run in it; go on with --resume, or choose another --name", path.display()),
            (false, true) => bail!("{}: no run in it to resume", path.display()),
            _ => {}
        }
        let samples = path.join("samples");
        std::fs::create_dir_all(&samples).with_context(|| samples.display().to_string())?;
        Ok(run)
    }

    fn last(&self) -> PathBuf {
        self.path.join("last.safetensors")
    }

    /// The best weights of the run.
    pub fn best(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// Saves all that resuming needs.
    ///
    /// # Errors
    /// When the file cannot be written; the one before stays.
    pub fn save(&self, config: SuperresConfig, optimizer: &Adam, at: &Position) -> Result<()> {
        let mut tensors = BTreeMap::new();
        for (prefix, part) in PARTS {
            let dense = to_dense(optimizer.slots.iter().map(|(name, slot)| (name, part(slot))))?;
            tensors.extend(dense.into_iter().map(|(name, t)| (format!("{prefix}{name}"), t)));
        }
        let facts = [
            ("step", at.step.to_string()),
            ("seconds", at.seconds.to_string()),
            ("best", at.best.to_string()),
            ("settings", at.settings.clone()),
        ];
        let provenance = facts.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        let metadata = Metadata { config, provenance, metrics: BTreeMap::new() };
        write_atomically(&self.last(), &Checkpoint { metadata, tensors }.to_bytes(Precision::F32)?)
    }

    /// Fills the optimiser with what [`RunFolder::save`] wrote.
    ///
    /// # Errors
    /// When the file is broken, or `settings` differ from those the run began with.
    pub fn restore(&self, config: SuperresConfig, optimizer: &mut Adam, settings: &str) -> Result<Position> {
        let checkpoint = Checkpoint::read(&self.last())?;
        let facts = &checkpoint.metadata.provenance;
        let fact = |name: &str| facts.get(name).with_context(|| format!("{}: no `{name}` in it", self.last().display()));
        let number = |name: &str| -> Result<f64> { fact(name)?.parse().with_context(|| format!("`{name}` is no number")) };
        if checkpoint.metadata.config != config || fact("settings")? != settings {
            bail!(
                "{}: the run began with other settings; give the same or start a new one\n  began with: {}\n  now:        {settings}",
                self.path.display(),
                fact("settings")?,
            );
        }
        for (name, slot) in &mut optimizer.slots {
            let device = slot.var.device().clone();
            let dims = slot.var.dims().to_vec();
            let stored = |prefix: &str| -> Result<Tensor> {
                Ok(Tensor::from_vec(checkpoint.tensor(&format!("{prefix}{name}"), &dims)?, dims.as_slice(), &device)?)
            };
            slot.var.set(&stored("weight.")?)?;
            slot.mean = stored("mean.")?;
            slot.square = stored("square.")?;
            slot.average = stored("average.")?;
        }
        optimizer.step = number("step")? as u64;
        Ok(Position { step: optimizer.step, seconds: number("seconds")?, best: number("best")?, settings: settings.to_owned() })
    }

    /// Saves weights to use.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_best(&self, checkpoint: &Checkpoint) -> Result<()> {
        write_atomically(&self.best(), &checkpoint.to_bytes(Precision::F32)?)
    }

    /// Appends a line to the log, its head first where it is new.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn log(&self, at: &Position, loss: f64, rate: f64, scores: &Scores) -> Result<()> {
        let path = self.path.join("log.csv");
        let new = !path.exists();
        let file = OpenOptions::new().create(true).append(true).open(&path).with_context(|| path.display().to_string())?;
        let mut csv = csv::Writer::from_writer(file);
        if new {
            csv.write_record(["step", "seconds", "loss", "learning_rate", "psnr", "ssim", "bicubic_psnr"])?;
        }
        let record = [
            at.step.to_string(),
            format!("{:.1}", at.seconds),
            format!("{loss:.6}"),
            format!("{rate:.3e}"),
            format!("{:.4}", scores.psnr),
            format!("{:.5}", scores.ssim),
            format!("{:.4}", scores.bicubic_psnr),
        ];
        csv.write_record(record)?;
        Ok(csv.flush()?)
    }

    /// Saves bicubic, network and original side by side.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn sample(&self, step: u64, trial: &Trial) -> Result<()> {
        let [a, b, c] = [&trial.bicubic, &trial.network, &trial.large];
        let (width, height) = (a.width(), a.height());
        let mut strip = Picture::blank(3 * width, height, a)?;
        for (i, part) in [a, b, c].into_iter().enumerate() {
            let to = Region { x: i * width, y: 0, width, height };
            strip.write_planes(to, 0, 3, &part.planes(part.bounds(), 0, 3));
        }
        write_atomically(&self.path.join(format!("samples/{step:07}.png")), &strip.encode(Format::Png)?)
    }
}

/// The averaged weights as a checkpoint of their own.
///
/// # Errors
/// When the device fails.
pub fn averaged(config: SuperresConfig, optimizer: &Adam, provenance: BTreeMap<String, String>) -> Result<Checkpoint> {
    let tensors: BTreeMap<String, Dense> = to_dense(optimizer.slots.iter().map(|(name, slot)| (name, &slot.average)))?;
    Ok(Checkpoint { metadata: Metadata { config, provenance, metrics: BTreeMap::new() }, tensors })
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
