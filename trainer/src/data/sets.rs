//! Public sets: fetched, checked and unpacked into a folder of their own.
//!
//! Below the root, `NAME/` is a set, and always a whole one. `NAME.json` beside it says which files it came from, with their
//! checksums. `downloads/NAME/` is what is on its way.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use etcetera::BaseStrategy;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::checksum::sha256;
use super::fetch::{Download, fetch};
use super::unpack::{Packing, unpack};
use crate::runs::write_atomically;

/// Overrides where sets are kept.
pub const ROOT_VARIABLE: &str = "ATELIER_DATA";

/// A public set.
#[derive(Debug, Clone, Copy)]
pub struct Set {
    /// What it is asked for by.
    pub name: &'static str,
    /// What is in it and what it is for.
    pub about: &'static str,
    /// What its owners allow.
    pub licence: &'static str,
    /// Its page.
    pub home: &'static str,
    /// Its files, unpacked into one folder.
    pub archives: &'static [Archive],
    /// Why it cannot be fetched, where a person has to.
    pub by_hand: Option<&'static str>,
}

/// A packed file of a set.
#[derive(Debug, Clone, Copy)]
pub struct Archive {
    /// How it is unpacked.
    pub packing: Packing,
    /// Where it is.
    pub download: Download,
}

/// A file that a set came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    /// `sha256:...` or `md5:...`.
    checksum: String,
    /// Whether it was published, or only seen when the file came.
    published: bool,
}

/// By URL.
type Origins = BTreeMap<String, Origin>;

/// Where sets are kept: `to`, else `ATELIER_DATA`, else `atelier/data` in the user's cache.
///
/// # Errors
/// When there is no home folder.
pub fn root(to: Option<PathBuf>) -> Result<PathBuf> {
    let variable = || std::env::var_os(ROOT_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(root) = to.or_else(variable) {
        return Ok(root);
    }
    let user = etcetera::choose_base_strategy().context("there is no home folder: say where with --to")?;
    Ok(user.cache_dir().join("atelier").join("data"))
}

impl Set {
    /// Bytes to download, where known.
    pub fn bytes(&self) -> Option<u64> {
        self.archives.iter().map(|archive| archive.download.bytes).sum()
    }

    /// Whether it is whole below `root`.
    ///
    /// # Errors
    /// When its folder holds something else.
    pub fn is_whole(&self, root: &Path) -> Result<bool> {
        let folder = root.join(self.name);
        if !folder.exists() {
            return Ok(false);
        }
        let origins = self.origins(root)?;
        let same = |download: &Download| {
            let origin = origins.get(download.url);
            origin.is_some_and(|origin| download.checksum.is_none_or(|published| published.to_string() == origin.checksum))
        };
        if !self.archives.iter().all(|archive| same(&archive.download)) {
            bail!("{}: not this version of {}; move it away or choose another folder with --to", folder.display(), self.name);
        }
        Ok(true)
    }

    /// Fetches, checks and unpacks it below `root`, and returns its folder. One that is whole is left as it is.
    ///
    /// # Errors
    /// When a file cannot be fetched, is not what was published, or cannot be unpacked or written; when a person has to fetch it,
    /// with what to do. What has come stays for the next time.
    pub fn get(&self, root: &Path, bar: &ProgressBar) -> Result<PathBuf> {
        let folder = root.join(self.name);
        if self.is_whole(root)? {
            return Ok(folder);
        }
        let downloads = root.join("downloads").join(self.name);
        fs::create_dir_all(&downloads).with_context(|| format!("cannot make {}", downloads.display()))?;
        let lock = lock(&downloads)?;
        if self.by_hand.is_some() {
            self.wait_for_files(&downloads)?;
        } else {
            for Archive { download, .. } in self.archives {
                bar.set_message(download.name());
                fetch(download, &downloads.join(download.name()), bar)?;
            }
        }
        let origins = self.compare(&downloads, &self.origins(root)?)?;

        // Left over from a run that was stopped, if it is there.
        let unpacking = downloads.join("unpacked");
        remove_folder(&unpacking)?;
        fs::create_dir_all(&unpacking).with_context(|| format!("cannot make {}", unpacking.display()))?;
        for archive in self.archives {
            let name = archive.download.name();
            bar.set_message(format!("unpacking {name}"));
            let unpacked = unpack(&downloads.join(name), archive.packing, &unpacking, bar);
            unpacked.inspect_err(|_| drop(remove_folder(&unpacking)))?;
        }
        write_atomically(&self.record(root), serde_json::to_string_pretty(&origins)?.as_bytes())?;
        fs::rename(&unpacking, &folder).with_context(|| format!("cannot write {}", folder.display()))?;
        drop(lock);
        // What a person has fetched is theirs.
        if self.by_hand.is_none() {
            remove_folder(&downloads)?;
        }
        bar.finish_and_clear();
        Ok(folder)
    }

    fn record(&self, root: &Path) -> PathBuf {
        root.join(format!("{}.json", self.name))
    }

    /// What the set came from, or came from the last time.
    fn origins(&self, root: &Path) -> Result<Origins> {
        let record = self.record(root);
        if !record.exists() {
            return Ok(Origins::new());
        }
        let read = || -> Result<Origins> { Ok(serde_json::from_slice(&fs::read(&record)?)?) };
        read().with_context(|| format!("cannot read {}", record.display()))
    }

    /// What the set comes from now. Nothing vouches for a file without a published checksum, and it says so.
    fn compare(&self, downloads: &Path, before: &Origins) -> Result<Origins> {
        let mut origins = Origins::new();
        for Archive { download, .. } in self.archives {
            let (name, url) = (download.name(), download.url);
            let (checksum, published) = match download.checksum {
                Some(checksum) => (checksum.to_string(), true),
                None => (sha256(&downloads.join(name))?, false),
            };
            match before.get(url) {
                _ if published => info!("{name}: {checksum}, as published"),
                None => warn!("{name}: no checksum is published for it, so it is taken as it came: {checksum}"),
                Some(old) if old.checksum == checksum => info!("{name}: {checksum}, as the last time (none is published)"),
                Some(old) => {
                    warn!("{name}: changed since the last time, from {} to {checksum} (none is published)", old.checksum)
                }
            }
            origins.insert(url.to_owned(), Origin { checksum, published });
        }
        Ok(origins)
    }

    /// Says what to do until the files are there and right.
    fn wait_for_files(&self, downloads: &Path) -> Result<()> {
        let missing = |archive: &&Archive| !downloads.join(archive.download.name()).exists();
        let missing: Vec<&Archive> = self.archives.iter().filter(missing).collect();
        if let (Some(why), false) = (self.by_hand, missing.is_empty()) {
            let urls: Vec<String> = missing.iter().map(|archive| format!("     {}", archive.download.url)).collect();
            bail!(
                "{} cannot be fetched for you. {why}\n  1. Open {} and accept its rules.\n  2. Download\n{}\n  3. Put the files \
                 into {}\n  4. Run the same command again: it checks and unpacks them.",
                self.name,
                self.home,
                urls.join("\n"),
                downloads.display(),
            );
        }
        self.archives.iter().try_for_each(|archive| archive.download.check(&downloads.join(archive.download.name())))
    }
}

/// Two programs must not write the same part.
fn lock(downloads: &Path) -> Result<File> {
    let path = downloads.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.try_lock().with_context(|| format!("{}: another program is at it", downloads.display()))?;
    Ok(file)
}

fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).with_context(|| format!("cannot delete {}", path.display())),
        _ => Ok(()),
    }
}
