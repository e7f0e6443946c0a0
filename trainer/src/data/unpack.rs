//! Archives.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;

/// How files are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// A zip archive.
    Zip,
    /// A tar archive in gzip.
    TarGz,
    /// Not at all: the file itself.
    Plain,
    /// One file in gzip, named as the archive without `.gz`.
    Gz,
}

/// Unpacks an archive into a folder. Only files and folders: nothing may lie outside `into`, and links could lead there.
///
/// # Errors
/// Names the archive and the entry that is broken, of another kind, or leaves the folder; or the file that cannot be written.
pub fn unpack(archive: &Path, packing: Packing, into: &Path, bar: &ProgressBar) -> Result<()> {
    let open = || -> Result<File> {
        let file = File::open(archive)?;
        bar.set_length(file.metadata()?.len());
        bar.set_position(0);
        Ok(file)
    };
    let unpack = || match packing {
        Packing::Zip => unzip(open()?, into, bar),
        Packing::TarGz => untar(MultiGzDecoder::new(BufReader::new(bar.wrap_read(open()?))), into),
        Packing::Plain => {
            let name = archive.file_name().context("it has no name")?;
            write(bar.wrap_read(open()?), &into.join(name))
        }
        Packing::Gz => {
            let name = archive.file_stem().context("it has no name")?;
            write(MultiGzDecoder::new(BufReader::new(bar.wrap_read(open()?))), &into.join(name))
        }
    };
    unpack().with_context(|| format!("cannot unpack {}", archive.display()))
}

fn unzip(file: File, into: &Path, bar: &ProgressBar) -> Result<()> {
    let mut zip = zip::ZipArchive::new(BufReader::new(file))?;
    for i in 0..zip.len() {
        let entry = zip.by_index(i)?;
        let name = entry.name()?.into_owned();
        let to = inside(into, Path::new(&name))?;
        bar.inc(entry.compressed_size());
        if entry.is_dir() {
            fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
        } else if entry.is_file() {
            write(entry, &to).with_context(|| format!("`{name}`"))?;
        } else {
            bail!("`{name}` is neither a file nor a folder");
        }
    }
    Ok(())
}

fn untar(reader: impl Read, into: &Path) -> Result<()> {
    for entry in tar::Archive::new(reader).entries()? {
        let entry = entry?;
        let name = entry.path()?.into_owned();
        let to = inside(into, &name)?;
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
        } else if kind.is_file() {
            write(entry, &to).with_context(|| format!("`{}`", name.display()))?;
        } else if !kind.is_pax_global_extensions() {
            bail!("`{}` is neither a file nor a folder", name.display());
        }
    }
    Ok(())
}

/// `name` below `folder`.
fn inside(folder: &Path, name: &Path) -> Result<PathBuf> {
    let mut path = folder.to_owned();
    for component in name.components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => bail!("`{}` leaves the folder", name.display()),
        }
    }
    Ok(path)
}

fn write(mut from: impl Read, to: &Path) -> Result<()> {
    let mut copy = || -> io::Result<()> {
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut file = BufWriter::new(File::create(to)?);
        io::copy(&mut from, &mut file)?;
        file.flush()
    };
    copy().with_context(|| format!("cannot unpack to {}", to.display()))
}
