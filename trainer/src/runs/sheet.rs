use anyhow::{Context, Result, ensure};
use shared::picture::{Picture, Region};

/// Pictures of one size in rows of `columns`, `gap` black pixels apart.
///
/// # Errors
/// When there is none, they have different sizes, or they are too many for memory.
pub fn sheet(pictures: &[&Picture], columns: usize, gap: usize) -> Result<Picture> {
    let first = pictures.first().context("no picture for a sheet")?;
    let (width, height) = (first.width(), first.height());
    let columns = columns.clamp(1, pictures.len());
    let rows = pictures.len().div_ceil(columns);
    let mut sheet = Picture::blank(columns * (width + gap) - gap, rows * (height + gap) - gap, first)?;
    for (i, picture) in pictures.iter().enumerate() {
        ensure!((picture.width(), picture.height()) == (width, height), "the pictures of a sheet have different sizes");
        let at = Region { x: i % columns * (width + gap), y: i / columns * (height + gap), width, height };
        sheet.write_planes(at, 0, 3, &picture.planes(picture.bounds(), 0, 3));
    }
    Ok(sheet)
}
