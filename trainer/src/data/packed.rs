//! Many small labelled pictures in one file: CIFAR-10's binary version (`.bin`) and `.jpgpack`.
//!
//! A `.bin` is a row of records: the label, a byte, then 32 x 32 bytes each of red, green and blue. A `.jpgpack` is `JPK1`, the
//! count as a u32, then for each picture the label, a byte, the length, a u16, and a JPEG file; numbers are little-endian.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use shared::picture::Picture;

use super::folder::ending;

/// Endings of packed files.
pub const ENDINGS: [&str; 2] = ["bin", "jpgpack"];

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const CLASSES: u8 = 10;

/// The pictures of a packed file, still encoded.
pub struct Packed {
    bytes: Vec<u8>,
    entries: Vec<(u8, Range<usize>)>,
    jpeg: bool,
}

impl Packed {
    /// Whether the file's ending says that it is one.
    pub fn is(path: &Path) -> bool {
        ENDINGS.contains(&ending(path).as_str())
    }

    /// Reads the file. Pictures are decoded one by one, later.
    ///
    /// # Errors
    /// Names the file when it cannot be read, is neither kind, or ends too early.
    pub fn read(path: &Path) -> Result<Self> {
        let read = || -> Result<Self> {
            let bytes = std::fs::read(path)?;
            let jpeg = bytes.starts_with(b"JPK1");
            let entries = if jpeg { jpgpack(&bytes)? } else { binary(&bytes)? };
            Ok(Self { bytes, entries, jpeg })
        };
        read().with_context(|| path.display().to_string())
    }

    /// How many pictures there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The class of the picture `index`.
    ///
    /// # Panics
    /// When there is no such picture.
    pub fn label(&self, index: usize) -> u8 {
        self.entries[index].0
    }

    /// Decodes the picture `index`.
    ///
    /// # Errors
    /// When it is broken.
    ///
    /// # Panics
    /// When there is no such picture.
    pub fn picture(&self, index: usize) -> shared::Result<Picture> {
        let bytes = &self.bytes[self.entries[index].1.clone()];
        if self.jpeg {
            return Picture::decode(bytes);
        }
        let rgba = (0..PLANE).flat_map(|i| [bytes[i], bytes[PLANE + i], bytes[2 * PLANE + i], 255]).collect();
        Picture::from_rgba8(SIDE, SIDE, rgba)
    }
}

fn binary(bytes: &[u8]) -> Result<Vec<(u8, Range<usize>)>> {
    let record = 1 + 3 * PLANE;
    ensure!(!bytes.is_empty() && bytes.len().is_multiple_of(record), "{} bytes are no pictures of CIFAR-10", bytes.len());
    let entries = (0..bytes.len()).step_by(record).map(|at| (bytes[at], at + 1..at + record)).collect::<Vec<_>>();
    if let Some((label, range)) = entries.iter().find(|(label, _)| *label >= CLASSES) {
        bail!("the label at byte {} is {label}, which CIFAR-10 does not have", range.start - 1);
    }
    Ok(entries)
}

fn jpgpack(bytes: &[u8]) -> Result<Vec<(u8, Range<usize>)>> {
    let early = "it ends too early";
    let count = bytes.get(4..).and_then(|rest| rest.first_chunk()).context(early)?;
    let mut at = 8;
    let mut entries = Vec::new();
    for _ in 0..u32::from_le_bytes(*count) {
        let [label, low, high] = *bytes.get(at..).and_then(|rest| rest.first_chunk()).context(early)?;
        let range = at + 3..at + 3 + usize::from(u16::from_le_bytes([low, high]));
        ensure!(range.end <= bytes.len(), early);
        at = range.end;
        entries.push((label, range));
    }
    ensure!(at == bytes.len(), "{} bytes follow the last picture", bytes.len() - at);
    Ok(entries)
}
