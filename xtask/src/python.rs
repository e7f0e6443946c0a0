//! onnxruntime, for the tests and measurements that compare with it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::Cmd;

/// The folder of the packages that `tests/python/requirements.txt` names, for `PYTHONPATH`; installed below `store` if missing.
///
/// # Errors
/// Without Python 3.11 or newer and pip, or when pip fails.
pub fn packages(root: &Path, store: &Path) -> Result<PathBuf> {
    let requirements = root.join("tests/python/requirements.txt");
    let wanted = fs::read_to_string(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    let packages = store.join("onnx-packages");
    let marker = packages.join("installed.txt");
    if !fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        eprintln!("Installing onnxruntime into {}: 120 MB, once.", packages.display());
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target"];
        Cmd::new("python3", root).args(pip).arg(&packages).arg("-r").arg(&requirements).run()?;
        fs::write(&marker, wanted).with_context(|| format!("cannot write {}", marker.display()))?;
    }
    Ok(packages)
}
