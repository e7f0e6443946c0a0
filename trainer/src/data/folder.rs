//! Folders of pictures.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use shared::imresize::resized;
use shared::picture::Picture;
use tracing::warn;

/// Longer sides than this are halved: photos straight from a camera are soft at full size and teach little.
const SHARP: usize = 2200;

/// Endings of pictures that can be read.
pub const ENDINGS: [&str; 10] = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm"];

/// All files that look like pictures under `path` (a file or a folder, recursive), sorted.
///
/// # Errors
/// When `path` does not exist or holds none.
pub fn find(path: &Path) -> Result<Vec<PathBuf>> {
    find_endings(path, &ENDINGS)
}

/// All files under `path` with one of these endings, in lower case, or `path` itself if it is a file; sorted.
///
/// # Errors
/// When `path` does not exist or holds none.
pub fn find_endings(path: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    if !path.exists() {
        bail!("{}: no such file or folder", path.display());
    }
    let wanted = |p: &Path| endings.contains(&ending(p).as_str());
    let entries = walkdir::WalkDir::new(path).follow_links(true).sort_by_file_name();
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", path.display()))?;
        if entry.file_type().is_file() && (wanted(entry.path()) || entry.path() == path) {
            files.push(entry.into_path());
        }
    }
    if files.is_empty() {
        bail!("{}: no pictures in it", path.display());
    }
    Ok(files)
}

/// A file's ending in lower case, without the dot.
pub fn ending(path: &Path) -> String {
    path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase()
}

/// Reads one picture.
///
/// # Errors
/// Names the file.
pub fn read(path: &Path) -> Result<Picture> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Picture::decode(&bytes).with_context(|| path.display().to_string())
}

/// Reads all pictures of these folders for training. Broken files are named and skipped; very large pictures are halved.
///
/// # Errors
/// When nothing readable is left.
pub fn load(paths: &[PathBuf], bar: &indicatif::ProgressBar) -> Result<Vec<Picture>> {
    let mut files = Vec::new();
    for path in paths {
        files.extend(find(path)?);
    }
    bar.set_length(files.len() as u64);
    let load = |file: &PathBuf| {
        let picture = read(file).map(|p| if p.width().max(p.height()) > SHARP { halve(&p) } else { p });
        bar.inc(1);
        picture.inspect_err(|e| warn!("skipped {e:#}")).ok()
    };
    let pictures: Vec<Picture> = files.par_iter().filter_map(load).collect();
    bar.finish_and_clear();
    if pictures.is_empty() {
        bail!("none of the {} pictures can be read", files.len());
    }
    Ok(pictures)
}

/// What pictures of these folders are called in a model card.
pub fn described(paths: &[PathBuf], count: usize) -> String {
    let names = paths.iter().map(|p| p.file_name().unwrap_or(p.as_os_str()).to_string_lossy());
    format!("{} ({count} pictures)", names.collect::<Vec<_>>().join(", "))
}

fn halve(picture: &Picture) -> Picture {
    let (width, height) = (picture.width() / 2, picture.height() / 2);
    // Sizes above `SHARP` stay above zero.
    resized(picture, width, height).unwrap_or_else(|_| picture.clone())
}
