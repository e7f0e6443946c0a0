use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use tracing::info;

use crate::runs::{Record, plot, table, write_atomically, write_reports};

const EXAMPLES: &str = "Examples:
  trainer runs                          all runs, the newest first
  trainer runs x2 x2-wide --plot b.png  two runs beside each other, and their curves
  trainer runs x2 --report              writes runs/x2/report.html anew";

/// Lists runs, or compares those that are named.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Runs {
    /// Names of runs; none: all are listed.
    names: Vec<String>,
    /// The folder of the runs.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    folder: PathBuf,
    /// Draw the curves of all into one picture, .svg or .png.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Write the reports of the named runs anew.
    #[arg(long, requires = "names")]
    report: bool,
    /// For other programs.
    #[arg(long)]
    json: bool,
}

impl Runs {
    pub fn run(self) -> Result<()> {
        let path = |name: &String| self.folder.join(name);
        if self.report {
            for name in &self.names {
                write_reports(&path(name))?;
                info!("{}", path(name).join("report.html").display());
            }
        }
        let records = match self.names.is_empty() {
            true => table::all(&self.folder)?,
            false => self.names.iter().map(|name| Record::read(&path(name))).collect::<Result<_>>()?,
        };
        if let Some(file) = &self.plot {
            draw(file, &records)?;
        }
        #[allow(clippy::print_stdout)] // The result.
        if self.json {
            println!("{:#}", table::json(&records));
        } else if self.names.len() > 1 {
            print!("{}", table::compare(&records));
        } else {
            print!("{}", table::list(&records));
        }
        Ok(())
    }
}

fn draw(file: &Path, records: &[Record]) -> Result<()> {
    super::writable(file)?;
    let panels = plot::curves(&records.iter().collect::<Vec<_>>())?;
    match file.extension().and_then(|e| e.to_str()) {
        Some("svg") => write_atomically(file, plot::svg(&panels)?.as_bytes()),
        Some("png") => write_atomically(file, &plot::png(&panels)?),
        _ => bail!("{}: must end in .svg or .png", file.display()),
    }
}
