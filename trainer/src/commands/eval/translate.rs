use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use candle_core::Device;
use clap::Args;
use serde::Serialize;
use shared::checkpoint::Checkpoint;
use shared::pipeline::search::Search;
use shared::pipeline::translate::Translator;
use tracing::info;

use crate::commands::progress_bar;
use crate::runs::write_atomically;
use crate::translate::corpus::{self, Pair};
use crate::translate::evaluate::{self, Scores};
use crate::translate::{bleu, chrf, dates};

/// How sentences are searched for.
#[derive(Debug, Clone, Args)]
pub struct Searching {
    /// Sentences that are followed at once; 1 is greedy and fast.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=64))]
    beam: u16,
    /// 0 prefers short translations, 2 long ones.
    #[arg(long, default_value_t = Search::default().length_penalty)]
    length_penalty: f32,
    /// Rewards looking at every word of the source, so that fewer clauses are left out; 0 does not, 0.2 much.
    #[arg(long, default_value_t = Search::default().coverage)]
    coverage: f32,
}

impl Searching {
    pub fn search(&self) -> Search {
        let &Self { beam, length_penalty, coverage } = self;
        Search { beam: beam.into(), length_penalty, coverage, ..Search::default() }
    }
}

const EXAMPLES: &str = "Examples:
  trainer eval translate --weights web/models/translate-de-en.safetensors --data multi30k --data deu-eng.zip
  trainer eval translate --weights runs/translate-de-en/checkpoints/best.safetensors --data multi30k --beam 1 --json";

/// Translates test sets and compares with their references: BLEU and chrF, cased and detokenised, as sacreBLEU computes them. Of a
/// folder the parts that are neither `train` nor `val` are test sets; of a table, the sentences that training leaves out.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Translate {
    /// The weights, a safetensors file written by `train` or `publish`.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Folders, tables and archives of pairs.
    #[arg(long, value_name = "PATH", required = true)]
    data: Vec<PathBuf>,
    /// Languages of the columns of tables [default: as for training].
    #[arg(long, value_delimiter = ',', value_name = "CODES")]
    columns: Vec<String>,
    #[command(flatten)]
    searching: Searching,
    /// Only the first so many sentences of every set.
    #[arg(long, value_name = "COUNT")]
    first: Option<usize>,
    /// Write the translations into this folder, a file a set, to compare with other programs.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    bleu_signature: &'static str,
    chrf_signature: &'static str,
    beam: u16,
    sets: BTreeMap<String, Scores>,
}

/// A network for sentences, from a file.
pub fn open(weights: &std::path::Path) -> Result<Translator> {
    let checkpoint = Checkpoint::read(weights)?;
    // A sentence at a time is too little work for a GPU.
    Translator::new(&checkpoint, &Device::Cpu).with_context(|| weights.display().to_string())
}

/// Translates with a progress bar.
pub fn translate(translator: &Translator, pairs: &[Pair], search: &Search, name: &str) -> Result<Vec<String>> {
    let bar = progress_bar(&format!("{name} {{wide_bar}} {{pos}}/{{len}} ({{eta}} left)"));
    bar.set_length(pairs.len() as u64);
    let translations = evaluate::translate(translator, pairs, search, || bar.inc(1));
    bar.finish_and_clear();
    translations
}

impl Translate {
    #[allow(clippy::print_stdout)]
    pub fn run(self) -> Result<()> {
        let translator = open(&self.weights)?;
        let text = translator.text();
        let columns = (!self.columns.is_empty()).then_some(&self.columns[..]);
        let mut sets = BTreeMap::new();
        for path in &self.data {
            sets.extend(corpus::read(path, &text.source, &text.target, columns)?.test);
        }
        ensure!(!sets.is_empty(), "no test set in the data: no part of a folder beside `train` and `val`, no table");
        if let Some(folder) = &self.output {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let mut scores = BTreeMap::new();
        for (name, mut pairs) in sets {
            pairs.truncate(self.first.unwrap_or(usize::MAX));
            let translations = translate(&translator, &pairs, &self.searching.search(), &name)?;
            if let Some(folder) = &self.output {
                let lines =
                    |texts: &mut dyn Iterator<Item = &str>| texts.map(|t| t.replace('\n', " ") + "\n").collect::<String>();
                let file = |ending: &str| folder.join(format!("{name}.{ending}"));
                write_atomically(&file("translated"), lines(&mut translations.iter().map(String::as_str)).as_bytes())?;
                write_atomically(&file("reference"), lines(&mut pairs.iter().map(|p| p.target.as_str())).as_bytes())?;
                info!("{} and .reference", file("translated").display());
            }
            scores.insert(name, evaluate::scores(&pairs, &translations));
        }
        let beam = self.searching.beam;
        if self.json {
            let report = Report { bleu_signature: bleu::SIGNATURE, chrf_signature: chrf::SIGNATURE, beam, sets: scores };
            println!("{}", serde_json::to_string(&report)?);
            return Ok(());
        }
        let width = scores.keys().map(|name| name.chars().count()).max().unwrap_or(4);
        println!("{:width$}  {:>9}  {:>6}  {:>6}", "", "sentences", "BLEU", "chrF");
        for (name, s) in &scores {
            println!("{name:width$}  {:9}  {:6.2}  {:6.2}", s.sentences, s.bleu, s.chrf);
        }
        info!("beam {beam}; BLEU {}; chrF {}", bleu::SIGNATURE, chrf::SIGNATURE);
        Ok(())
    }
}

const DATES_EXAMPLE: &str = "Example:
  trainer eval dates --weights web/models/dates.safetensors --count 10000 --seed 1 --json";

/// Reads dates of days that no training has seen. A date is right when every letter is.
#[derive(Debug, Args)]
#[command(after_help = DATES_EXAMPLE)]
pub struct Dates {
    /// The weights, a safetensors file written by `train` or `publish`.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// How many dates.
    #[arg(long, default_value_t = 10_000)]
    count: usize,
    /// Which dates.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

impl Dates {
    #[allow(clippy::print_stdout)]
    pub fn run(self) -> Result<()> {
        ensure!(self.count > 0, "--count is 0");
        let translator = open(&self.weights)?;
        let pairs = dates::pairs(self.seed, self.count, true);
        let translations = translate(&translator, &pairs, &Search { beam: 1, ..Search::default() }, "dates")?;
        let exact_match = evaluate::scores(&pairs, &translations).exact_match;
        if self.json {
            println!("{}", serde_json::json!({ "exact_match": exact_match, "count": self.count, "seed": self.seed }));
            return Ok(());
        }
        println!("{:.2} % of {} dates are right", 100.0 * exact_match, self.count);
        let wrong = pairs.iter().zip(&translations).filter(|(pair, given)| pair.target != **given);
        for (pair, given) in wrong.take(10) {
            println!("  {:?}: {} instead of {}", pair.source, given, pair.target);
        }
        Ok(())
    }
}
