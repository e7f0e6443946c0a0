use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use candle_core::Device;
use clap::Args;
use shared::checkpoint::Checkpoint;
use shared::pipeline::search::Search;
use shared::pipeline::translate::Translator;
use tracing::info;

use crate::commands::eval;
use crate::publish::{Entry, publish, rounded};
use crate::translate::card::card;
use crate::translate::evaluate::{self, Scores};
use crate::translate::{corpus, dates};

const EXAMPLES: &str = "Examples:
  trainer publish translate --weights runs/translate-de-en/checkpoints/best.safetensors --test multi30k --test deu-eng.zip \\
    --trained-on \"Multi30k (non-commercial research) and Tatoeba (CC-BY 2.0)\"
  trainer publish translate --weights runs/dates/checkpoints/best.safetensors";

/// Dates that a network for dates is measured on, and their seed.
const DATES: (usize, u64) = (10_000, 1);

/// Stores the weights in f16, measures what is stored, and writes the weights, the model card and the page's list of models.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Translate {
    /// The weights, as training left them.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Folders, tables and archives with test sets, as for `eval translate`; none for dates.
    #[arg(long, value_name = "PATH")]
    test: Vec<PathBuf>,
    /// The training data in words, with its licence, for the model card.
    #[arg(long, value_name = "TEXT")]
    trained_on: Option<String>,
    /// The page's folder of models.
    #[arg(long, value_name = "DIR", default_value = "web/models")]
    models: PathBuf,
}

impl Translate {
    pub fn run(self) -> Result<()> {
        let mut checkpoint = Checkpoint::read(&self.weights)?;
        if let Some(text) = self.trained_on {
            checkpoint.metadata.provenance.insert("data".to_owned(), text);
        }
        // What is measured is what the page gets.
        let mut checkpoint = rounded(&checkpoint)?;
        let translator = Translator::new(&checkpoint, &Device::Cpu).with_context(|| self.weights.display().to_string())?;
        let text = translator.text();
        let for_dates = text.target == dates::TARGET;
        let mut scores: BTreeMap<String, Scores> = BTreeMap::new();
        let mut measure = |name: String, pairs: &[corpus::Pair], search: &Search| -> Result<()> {
            let translations = eval::translate(&translator, pairs, search, &name)?;
            scores.insert(name, evaluate::scores(pairs, &translations));
            Ok(())
        };
        if for_dates {
            measure("dates".to_owned(), &dates::pairs(DATES.1, DATES.0, true), &Search { beam: 1, ..Search::default() })?;
        } else {
            ensure!(!self.test.is_empty(), "--test is missing: what is published is measured");
            for path in &self.test {
                for (name, pairs) in corpus::read(path, &text.source, &text.target, None)?.test {
                    measure(name, &pairs, &Search::default())?;
                }
            }
        }
        checkpoint.metadata.metrics.clear();
        let rounded = |v: f64| (v * 1e4).round() / 1e4;
        for (name, s) in &scores {
            info!("{name}: BLEU {:.2}, chrF {:.2}, exact match {:.4}", s.bleu, s.chrf, s.exact_match);
            let metrics = match for_dates {
                true => vec![("exact_match".to_owned(), s.exact_match)],
                false => vec![(format!("{name}_bleu"), s.bleu), (format!("{name}_chrf"), s.chrf)],
            };
            checkpoint.metadata.metrics.extend(metrics.into_iter().map(|(m, v)| (m, rounded(v))));
        }
        let (task, name) = match for_dates {
            true => ("dates", "dates".to_owned()),
            false => ("translate", format!("translate-{}-{}", text.source, text.target)),
        };
        let entry = Entry { task, name, scale: 1, quality: String::new() };
        publish(&self.models, entry, &checkpoint, |model| card(model, &checkpoint, &scores))
    }
}
