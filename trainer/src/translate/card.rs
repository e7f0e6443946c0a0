//! What a model card says of a network for sentences.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use shared::catalogue::Model;
use shared::checkpoint::Checkpoint;
use shared::models::{CellKind, TranslationConfig};
use shared::pipeline::search::Search;

use super::evaluate::Scores;
use super::{bleu, chrf, dates};

/// The model card, in Markdown.
///
/// # Errors
/// When the network is not one for sentences.
pub fn card(model: &Model, checkpoint: &Checkpoint, scores: &BTreeMap<String, Scores>) -> Result<String> {
    let Model { name, parameters, bytes, file, .. } = model;
    let network = checkpoint.translation()?;
    let text = checkpoint.metadata.text.as_ref();
    let (source, target) = text.map_or(("", ""), |t| (t.source.as_str(), t.target.as_str()));
    let for_dates = target == dates::TARGET;
    let what = match for_dates {
        true => {
            "Reads dates in many forms, in English, German, French, Spanish and Italian, and writes them as ISO 8601.".to_owned()
        }
        false => format!("Translates sentences from `{source}` to `{target}` (ISO 639-1 codes)."),
    };
    let mut card = format!(
        "# {name}\n\n{what}\n\n\
         ## Network\n\n\
         - {}\n\
         - Words in parts: byte-pair encoding of bytes, {} parts, stored in the file\n\
         - {parameters} parameters, stored as f16 in {bytes} bytes\n\
         - Sentences of at most {} parts\n\n\
         ## Training\n\n",
        kind(network),
        network.vocabulary(),
        network.length() - 1,
    );
    // Writing to a String cannot fail.
    for (fact, value) in &checkpoint.metadata.provenance {
        let _ = writeln!(card, "- {fact}: {value}");
    }
    card.push_str("\nLoss: cross-entropy of the next part, given the right ones before it. The stored weights are their exponential moving average.\n\n## Measured\n\n");
    if for_dates {
        for s in scores.values() {
            let _ = writeln!(
                card,
                "{:.2} % of {} dates, of days that no training saw, are right letter by letter (greedy, from the f16 weights).",
                100.0 * s.exact_match,
                s.sentences
            );
        }
        let _ = write!(
            card,
            "\n```\ncargo run --release -p trainer -- eval dates --weights web/models/{file} --count 10000 --seed 1 --json\n```\n\n\
             ## Limits\n\n\
             Years from 1900 to 2099; two digits mean 1970 to 2069. Between slashes the day comes first. What is no date becomes some \
             date: it cannot say that there is none.\n",
        );
        return Ok(card);
    }
    let Search { beam, coverage, .. } = Search::default();
    let _ = writeln!(
        card,
        "Cased and detokenised, one reference, beam of {beam}, coverage {coverage}, from the f16 weights. BLEU: `{}`. chrF: `{}`.\n\n\
         | Test set | Sentences | BLEU | chrF |\n|---|---|---|---|",
        bleu::SIGNATURE,
        chrf::SIGNATURE
    );
    for (set, s) in scores {
        let _ = writeln!(card, "| {set} | {} | {:.2} | {:.2} |", s.sentences, s.bleu, s.chrf);
    }
    let _ = write!(
        card,
        "\n```\ncargo run --release -p trainer -- eval translate --weights web/models/{file} --data DIR --json\n```\n\n\
         ## Limits\n\n\
         It learnt from captions of pictures and from short everyday sentences. Names, numbers, long sentences and technical or \
         legal language come out wrong, sometimes fluently. Sentences are translated one by one, so what a pronoun stands for may be \
         lost. Do not rely on it where a mistake matters.\n",
    );
    Ok(card)
}

/// Which network it is, and its size, in a line.
fn kind(network: &TranslationConfig) -> String {
    match network {
        TranslationConfig::Transformer(c) => format!(
            "Transformer (Vaswani et al. 2017, arXiv:1706.03762), pre-norm, tied embeddings: {} layers of encoder, {} of decoder, \
             {} features, {} heads, {} in the feed-forward parts",
            c.encoder, c.decoder, c.features, c.heads, c.hidden
        ),
        TranslationConfig::Seq2Seq(c) => format!(
            "Recurrent (Cho et al. 2014, arXiv:1406.1078), of {}, tied embeddings: {} layers of encoder{}, {} of decoder{}, {} \
             features",
            match c.cell {
                CellKind::Gru => "gated recurrent units",
                CellKind::Lstm => "long short-term memory",
            },
            c.encoder,
            if c.bidirectional { ", which reads from both ends" } else { "" },
            c.decoder,
            if c.attention { " with additive attention (Bahdanau et al. 2015, arXiv:1409.0473)" } else { "" },
            c.features
        ),
    }
}
