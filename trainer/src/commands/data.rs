use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use indicatif::HumanBytes;
use tracing::{info, warn};

use super::progress_bar;
use crate::data::catalogue::{self, SETS};
use crate::data::sets;
use crate::data::statistics::Statistics;

const EXAMPLES: &str = "Examples:
  trainer data                                    # what there is
  trainer data cifar10                            # fetch it; prints its folder
  trainer data div2k multi30k --to /big/disk
  trainer data stats photos
  trainer data stats ~/.cache/atelier/data/cifar10/cifar-10-batches-bin --json

Sets are kept in the user's cache folder, or where --to or the variable ATELIER_DATA says.
A download that was cut goes on with the same command. Files are checked by their published
checksums; where there is none, it says so.";

/// Without anything else: lists the sets.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Data {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    get: Get,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the sets, their licences, and which are there.
    List {
        /// Where sets are kept.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Fetch sets, check them and unpack them: the same as `trainer data NAME...`.
    Get(Get),
    /// Print mean and standard deviation of each channel.
    Stats(Stats),
}

#[derive(Debug, Args)]
struct Get {
    /// Sets to fetch.
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(SETS.iter().map(|set| set.name)))]
    names: Vec<String>,
    /// Where sets are kept.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// Over all pixels of all pictures, red, green and blue in 0..1; alpha is left out. Broken files are named and left out.
#[derive(Debug, Args)]
struct Stats {
    /// Pictures, folders of pictures (searched recursively), CIFAR-10's .bin files or .jpgpack files.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

impl Data {
    pub fn run(self) -> Result<()> {
        match self.action {
            Some(Action::List { to }) => list(&sets::root(to)?),
            Some(Action::Get(get)) => get.run(),
            Some(Action::Stats(stats)) => stats.run(),
            None => self.get.run(),
        }
    }
}

#[allow(clippy::print_stdout)]
fn list(root: &Path) -> Result<()> {
    for set in SETS {
        let size = set.bytes().map_or("size unknown".to_owned(), |bytes| HumanBytes(bytes).to_string());
        println!("{}: {}", set.name, set.about);
        println!("    {size}; {}; {}", set.licence, set.home);
        match set.is_whole(root) {
            Ok(true) => println!("    in {}", root.join(set.name).display()),
            Ok(false) if set.by_hand.is_some() => println!("    to fetch by hand; `trainer data {}` says how", set.name),
            Ok(false) => println!("    not fetched yet"),
            Err(e) => println!("    {e:#}"),
        }
    }
    Ok(())
}

impl Get {
    #[allow(clippy::print_stdout)]
    fn run(self) -> Result<()> {
        let root = sets::root(self.to)?;
        if self.names.is_empty() {
            return list(&root);
        }
        let bar = progress_bar("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left");
        for name in self.names {
            let set = catalogue::find(&name).with_context(|| format!("there is no set `{name}`"))?;
            if !set.is_whole(&root)? {
                info!("{name}: {}", set.about);
                info!("licence: {}; see {}", set.licence, set.home);
            }
            println!("{}", set.get(&root, &bar)?.display());
        }
        Ok(())
    }
}

impl Stats {
    #[allow(clippy::print_stdout)]
    fn run(self) -> Result<()> {
        let bar = progress_bar("reading {wide_bar} {pos}/{len}, {eta} left");
        let statistics = Statistics::of(&self.paths, &bar)?;
        for why in &statistics.broken {
            warn!("left out: {why}");
        }
        if self.json {
            println!("{}", serde_json::to_string(&statistics)?);
            return Ok(());
        }
        let channels = |values: [f64; 3]| values.map(|v| format!("{v:.4}")).join(" ");
        println!("mean      {}", channels(statistics.mean));
        println!("std       {}", channels(statistics.std));
        println!("pictures  {} ({} broken), {} pixels", statistics.pictures, statistics.broken.len(), statistics.pixels);
        for (name, s) in [("width", statistics.width), ("height", statistics.height)] {
            println!("{name:<9} {} to {}, median {}", s.min, s.max, s.median);
        }
        Ok(())
    }
}
