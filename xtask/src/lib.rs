//! What the commands of this repository share with each other and with its tests.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

#[cfg(feature = "bench")]
pub mod browser;
pub mod command;
pub mod python;
pub mod seal;
pub mod serve;
pub mod tools;

/// The folder of the workspace.
///
/// # Errors
/// When this was built outside of it.
pub fn root() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask is not in a workspace")?;
    Ok(folder.to_owned())
}
