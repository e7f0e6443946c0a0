//! What a publisher says about a file's bytes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use md5::Md5;
use sha2::{Digest, Sha256};

/// A published checksum, in lower-case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-256.
    Sha256(&'static str),
    /// MD5: against damage, not against malice. For files whose publisher gives nothing better.
    Md5(&'static str),
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sha256(hex) => write!(f, "sha256:{hex}"),
            Self::Md5(hex) => write!(f, "md5:{hex}"),
        }
    }
}

impl Checksum {
    /// Compares the file's bytes with it.
    ///
    /// # Errors
    /// Names the file and both checksums where they differ, or says why it cannot be read.
    pub fn check(self, path: &Path) -> Result<()> {
        let found = match self {
            Self::Sha256(_) => sha256(path)?,
            Self::Md5(_) => format!("md5:{}", digest::<Md5>(path)?),
        };
        let expected = self.to_string();
        if found != expected {
            bail!("{}: damaged or changed\n  expected {expected}\n  found    {found}", path.display());
        }
        Ok(())
    }
}

/// The file's SHA-256 as [`Checksum`] prints it.
///
/// # Errors
/// When it cannot be read.
pub fn sha256(path: &Path) -> Result<String> {
    Ok(format!("sha256:{}", digest::<Sha256>(path)?))
}

fn digest<D: Digest>(path: &Path) -> Result<String> {
    let read = || -> std::io::Result<D> {
        let (mut file, mut digest) = (File::open(path)?, D::new());
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(digest),
                count => digest.update(&buffer[..count]),
            }
        }
    };
    let digest = read().with_context(|| format!("cannot read {}", path.display()))?;
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
