use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use shared::pipeline::search::{Sampling, Search};
use shared::pipeline::translate::Translator;
use shared::text::Piece;

use crate::commands::eval::{Searching, open};
use crate::runs::write_atomically;
use crate::translate::heat;

const EXAMPLES: &str = "Examples:
  trainer run translate --weights web/models/translate-de-en.safetensors \"Ein Mann geht über die Straße.\"
  trainer run translate --weights web/models/dates.safetensors \"le 3 mai 2021\"
  trainer run translate --weights web/models/translate-de-en.safetensors --file brief.txt > letter.txt
  Line by line, from a pipe or typed:
    trainer run translate --weights web/models/translate-de-en.safetensors
  Five translations, and which word came from which:
    trainer run translate --weights web/models/translate-de-en.safetensors --best 5 --attention heat.png \"Guten Tag!\"";

/// Translates a text; the translation alone goes to stdout. Sentences are translated one by one, paragraphs stay.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Translate {
    /// The weights, a safetensors file written by `train` or `publish`.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// The text. None: lines are read from stdin.
    #[arg(conflicts_with = "file")]
    text: Option<String>,
    /// A file to translate.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    searching: Searching,
    /// So many translations of a sentence, one a line, likely ones first.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    best: u16,
    /// Draw words by chance instead: below 1 likely ones more often, above 1 unlikely ones.
    #[arg(long, value_name = "TEMPERATURE")]
    sample: Option<f32>,
    /// The seed of --sample.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draw which word came from which, of the first sentence; a PNG and an SVG of this name are written.
    #[arg(long, value_name = "FILE")]
    attention: Option<PathBuf>,
}

/// Likeliest words that --sample draws from.
const TOP: usize = 50;

impl Translate {
    pub fn run(self) -> Result<()> {
        let translator = open(&self.weights)?;
        let search = self.search()?;
        if let Some(path) = &self.attention {
            crate::commands::writable(path)?;
        }
        let text = match (&self.text, &self.file) {
            (Some(text), _) => text.clone(),
            (None, Some(file)) => std::fs::read_to_string(file).with_context(|| file.display().to_string())?,
            (None, None) => return self.lines(&translator, &search),
        };
        if text.trim().is_empty() {
            bail!("there is nothing to translate");
        }
        if let Some(path) = &self.attention {
            self.draw(&translator, &search, &text, path)?;
        }
        self.write(&translator, &search, &text)
    }

    fn search(&self) -> Result<Search> {
        let search = self.searching.search();
        let Some(temperature) = self.sample else {
            return Ok(Search { beam: search.beam.max(self.best.into()), ..search });
        };
        if !(temperature > 0.0 && temperature <= 100.0) {
            bail!("--sample {temperature} must lie between 0 and 100");
        }
        Ok(Search { beam: 1, sampling: Some(Sampling { temperature, top: TOP, seed: self.seed }), ..search })
    }

    /// Line by line, each as soon as it is there.
    fn lines(&self, translator: &Translator, search: &Search) -> Result<()> {
        let (source, target) = (&translator.text().source, &translator.text().target);
        if std::io::stdin().is_terminal() {
            tracing::info!("{source} to {target}: type a line; Ctrl-D ends");
        }
        for line in std::io::stdin().lock().lines() {
            self.write(translator, search, &line.context("stdin")?)?;
        }
        Ok(())
    }

    fn write(&self, translator: &Translator, search: &Search, text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        for piece in translator.pieces(text)? {
            match piece {
                Piece::Between(space) => out.write_all(space.as_bytes())?,
                Piece::Sentence(sentence) => {
                    let all = translator.translate(sentence, search).with_context(|| format!("{sentence:?}"))?;
                    let texts: Vec<&str> = all.iter().take(self.best.into()).map(|t| t.text.as_str()).collect();
                    out.write_all(texts.join("\n").as_bytes())?;
                }
            }
            // Who reads along sees sentence by sentence.
            out.flush()?;
        }
        Ok(writeln!(out)?)
    }

    fn draw(&self, translator: &Translator, search: &Search, text: &str, path: &std::path::Path) -> Result<()> {
        let first = |piece| if let Piece::Sentence(sentence) = piece { Some(sentence) } else { None };
        let sentence = translator.pieces(text)?.into_iter().find_map(first);
        let sentence = sentence.context("there is no sentence in the text")?;
        let best = translator.translate(sentence, search)?.into_iter().next().context("no translation")?;
        let (svg, png) = heat::draw(translator, sentence, &best)?;
        write_atomically(&path.with_extension("svg"), svg.as_bytes())?;
        write_atomically(&path.with_extension("png"), &png)?;
        tracing::info!("{} and .svg: which word came from which", path.with_extension("png").display());
        Ok(())
    }
}
