//! How good translations are.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use rayon::prelude::*;
use serde::Serialize;
use shared::pipeline::search::Search;
use shared::pipeline::translate::Translator;
use tracing::warn;

use super::corpus::Pair;
use super::{bleu, chrf};

/// Of a test set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scores {
    /// Sentences.
    pub sentences: usize,
    /// See [`bleu`].
    pub bleu: f64,
    /// See [`chrf`].
    pub chrf: f64,
    /// The part of the translations that are the reference, letter by letter.
    pub exact_match: f64,
}

/// Translates every source; what is too long for the network becomes nothing. `done` is told after every sentence.
///
/// # Errors
/// When the engine fails.
pub fn translate(translator: &Translator, pairs: &[Pair], search: &Search, done: impl Fn() + Sync) -> Result<Vec<String>> {
    let refused = AtomicUsize::new(0);
    let one = |pair: &Pair| {
        let text = match translator.translate(&pair.source, search) {
            Ok(all) => all.into_iter().next().map(|t| t.text).unwrap_or_default(),
            Err(shared::Error::Text(_)) => {
                refused.fetch_add(1, Ordering::Relaxed);
                String::new()
            }
            Err(e) => return Err(e.into()),
        };
        done();
        Ok(text)
    };
    let translations = pairs.par_iter().map(one).collect();
    match refused.into_inner() {
        0 => {}
        count => warn!("{count} of {} sentences are too long for the network and count as not translated", pairs.len()),
    }
    translations
}

/// Compares translations with the references.
pub fn scores(pairs: &[Pair], translations: &[String]) -> Scores {
    let both = || translations.iter().map(String::as_str).zip(pairs.iter().map(|p| p.target.as_str()));
    let exact = both().filter(|(a, b)| a == b).count();
    Scores {
        sentences: pairs.len(),
        bleu: bleu::corpus(both()),
        chrf: chrf::corpus(both()),
        exact_match: exact as f64 / pairs.len().max(1) as f64,
    }
}
