//! Runs: what they write ([`RunFolder`]), and what is made of it to look at.

mod axis;
mod events;
mod folder;
mod machine;
pub mod page;
pub mod plot;
mod record;
mod report;
mod sheet;
pub mod table;

use std::path::Path;

use anyhow::Result;

pub use folder::{RunFolder, write_atomically};
pub use machine::machine;
pub use record::Record;
pub use sheet::sheet;

/// Writes `curves.svg`, `curves.png`, `report.html` and TensorBoard's `events.out.tfevents.atelier` of a run from what else is in
/// its folder.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write_reports(folder: &Path) -> Result<()> {
    let record = Record::read(folder)?;
    let panels = plot::curves(&[&record])?;
    write_atomically(&folder.join("curves.svg"), plot::svg(&panels)?.as_bytes())?;
    write_atomically(&folder.join("curves.png"), &plot::png(&panels)?)?;
    write_atomically(&folder.join("report.html"), report::html(&record, &panels)?.as_bytes())?;
    events::update(&folder.join("events.out.tfevents.atelier"), &record)
}

/// Seconds for people.
fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0) as u64;
    match minutes {
        0 => format!("{seconds:.0} s"),
        1..60 => format!("{minutes} min {:.0} s", (seconds % 60.0).floor()),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

/// A score with the digits that tell: two for decibels, four for what lies below one.
fn score(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if v < 1e-3 => format!("{value:.2e}"),
        v if v < 10.0 => format!("{value:.4}"),
        v if v < 1e6 => format!("{value:.2}"),
        _ => format!("{value:.2e}"),
    }
}
