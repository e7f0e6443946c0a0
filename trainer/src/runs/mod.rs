//! Runs: what they write ([`RunFolder`]), and what is made of it to look at.

mod folder;
mod machine;
pub mod plot;
mod record;
mod report;
pub mod table;

use std::path::Path;

use anyhow::Result;

pub use folder::{RunFolder, write_atomically};
pub use machine::machine;
pub use record::Record;

/// Writes `curves.svg`, `curves.png` and `report.html` of a run from what else is in its folder.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write_reports(folder: &Path) -> Result<()> {
    let record = Record::read(folder)?;
    let panels = plot::curves(&[&record]);
    let svg = plot::svg(&panels)?;
    write_atomically(&folder.join("curves.svg"), svg.as_bytes())?;
    write_atomically(&folder.join("curves.png"), &plot::png(&panels)?)?;
    write_atomically(&folder.join("report.html"), report::html(&record, &svg).as_bytes())
}
