//! The page's folder of models: weights, cards, and their list, `models.json`.

use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use shared::catalogue::{Catalogue, Model};
use shared::checkpoint::{Checkpoint, Precision};
use tracing::info;

use crate::runs::write_atomically;

/// What the list says of a model beside what its weights do.
pub struct Entry {
    /// What it does: `superres`, `style`, `translate`, `dates`.
    pub task: &'static str,
    /// Its name.
    pub name: String,
    /// How much larger pictures become; 1 where there are none.
    pub scale: usize,
    /// `fast` or `quality`; nothing where there is no choice.
    pub quality: String,
}

/// As the page gets it, rounded to f16: what is published is measured after this.
///
/// # Errors
/// When f16 cannot hold a weight.
pub fn rounded(checkpoint: &Checkpoint) -> Result<Checkpoint> {
    Ok(Checkpoint::from_bytes(&checkpoint.to_bytes(Precision::F16)?)?)
}

/// Writes the weights, the card, which `card` makes of the entry, and the entry into the list.
///
/// # Errors
/// When a file cannot be written; the page goes on with what it had.
pub fn publish(models: &Path, entry: Entry, checkpoint: &Checkpoint, card: impl FnOnce(&Model) -> Result<String>) -> Result<()> {
    std::fs::create_dir_all(models).with_context(|| models.display().to_string())?;
    let bytes = checkpoint.to_bytes(Precision::F16)?;
    let Entry { task, name, scale, quality } = entry;
    let (source, target) = checkpoint.metadata.text.as_ref().map(|t| (t.source.clone(), t.target.clone())).unwrap_or_default();
    let model = Model {
        task: task.to_owned(),
        file: format!("{name}.safetensors"),
        card: format!("{name}.md"),
        scale,
        quality,
        source,
        target,
        parameters: checkpoint.tensors.values().map(|t| t.values.len() as u64).sum(),
        bytes: bytes.len() as u64,
        sha256: sha256(&bytes),
        metrics: checkpoint.metadata.metrics.clone(),
        name,
    };
    let list = models.join("models.json");
    let mut catalogue = read(&list)?;
    // The list comes last: until then the page goes on with what it had.
    write_atomically(&models.join(&model.file), &bytes)?;
    write_atomically(&models.join(&model.card), card(&model)?.as_bytes())?;
    info!("{}: {} bytes", models.join(&model.file).display(), model.bytes);
    catalogue.put(model);
    write_atomically(&list, catalogue.to_json()?.as_bytes())
}

/// Reads the list; empty where there is none.
fn read(path: &Path) -> Result<Catalogue> {
    match std::fs::read_to_string(path) {
        Ok(json) => Catalogue::parse(&json).with_context(|| path.display().to_string()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Catalogue::default()),
        Err(e) => Err(e).with_context(|| path.display().to_string()),
    }
}

/// SHA-256 in hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
