//! Sentences from one language to another.

use candle_core::{Device, Tensor as Candle};

use super::language::CandleLanguage;
use super::search::{Decoding, Hypothesis, Search};
use crate::checkpoint::{Checkpoint, Text};
use crate::engine::candle;
use crate::models::{TranslationConfig, TranslationNetwork};
use crate::text::{DATES, Piece, START, Tokenizer, Unit, pieces};
use crate::{Error, Result, Scope};

/// Added to the ratings of what may not be looked at. Not less: f16 ends at 65,504.
pub const HIDDEN: f32 = -1e4;

/// A network for sentences, loaded and ready to run.
pub struct Translator {
    model: TranslationNetwork<Candle>,
    config: TranslationConfig,
    tokenizer: Tokenizer,
    text: Text,
    device: Device,
}

/// A sentence in the other language.
#[derive(Debug, Clone, PartialEq)]
pub struct Translation {
    /// As text.
    pub text: String,
    /// The numbers that it came from.
    pub hypothesis: Hypothesis,
}

/// Which word of a translation looked at which word of its source.
#[derive(Debug, Clone, PartialEq)]
pub struct Alignment {
    /// Words of the source; the last one is its end.
    pub source: Vec<String>,
    /// Words of the translation.
    pub target: Vec<String>,
    /// For every word of the translation, for every word of the source: parts of 1.
    pub weights: Vec<Vec<f32>>,
    /// How sure the network was of every word of the translation: the product of its parts' probabilities.
    pub confidence: Vec<f32>,
}

/// What stands for the end of a sentence.
const END_MARK: &str = "⏎";

impl Translator {
    /// Loads the network of `checkpoint` onto a device of candle.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when it is no network for sentences or its weights do not fit, [`Error::Text`] when its tokenizer is
    /// broken.
    pub fn new(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let config = *checkpoint.translation()?;
        let text = checkpoint.metadata.text.clone();
        let text = text.ok_or_else(|| Error::Checkpoint("it has no tokenizer".into()))?;
        let tokenizer = Tokenizer::parse(&text.tokenizer)?;
        if tokenizer.vocabulary() > config.vocabulary() {
            let (words, rows) = (tokenizer.vocabulary(), config.vocabulary());
            return Err(Error::Checkpoint(format!("its tokenizer knows {words} words, its table has {rows}")));
        }
        let source = candle::Constants { tensors: &checkpoint.tensors, device };
        let model = TranslationNetwork::new(&config, &Scope::root(&source))?;
        Ok(Self { model, config, tokenizer, text, device: device.clone() })
    }

    /// The languages.
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// What makes words numbers.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Words that a sentence may have.
    pub fn longest(&self) -> usize {
        self.config.length() - 1
    }

    /// `text` in sentences that are short enough, and what stands between them. Together the pieces are the text.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn pieces<'t>(&self, text: &'t str) -> Result<Vec<Piece<'t>>> {
        let mut all = Vec::new();
        let unit = if self.text.source == DATES { Unit::Line } else { Unit::Sentence };
        // A part of a word has a character and more, except in rare scripts.
        self.cut(text, unit, 2 * self.longest(), &mut all)?;
        Ok(all)
    }

    fn cut<'t>(&self, text: &'t str, unit: Unit, most: usize, all: &mut Vec<Piece<'t>>) -> Result<()> {
        for piece in pieces(text, unit, most) {
            match piece {
                Piece::Sentence(sentence) if most > 1 && self.tokenizer.encode(sentence)?.len() > self.longest() => {
                    self.cut(sentence, unit, most / 2, all)?;
                }
                piece => all.push(piece),
            }
        }
        Ok(())
    }

    /// A sentence as numbers, and a search that ends.
    ///
    /// # Errors
    /// [`Error::Text`] when there is nothing to translate or the sentence is too long.
    pub fn words(&self, sentence: &str, search: &Search) -> Result<(Vec<u32>, Search)> {
        let words = self.tokenizer.encode(sentence.trim())?;
        if words.is_empty() || sentence.trim().is_empty() {
            return Err(Error::Text("there is nothing to translate".into()));
        }
        if words.len() > self.longest() {
            let (is, most) = (words.len(), self.longest());
            return Err(Error::Text(format!("a sentence of {is} parts of words; this network reads at most {most}")));
        }
        // Translations are seldom twice as long; a loop of words must end.
        let most = search.most.min(2 * words.len() + 10).min(self.longest());
        Ok((words, Search { most, ..*search }))
    }

    /// Begins to translate a sentence.
    ///
    /// # Errors
    /// As [`Translator::words`], or the engine's own.
    pub fn begin(&self, sentence: &str, search: &Search) -> Result<Decoding<CandleLanguage<'_>>> {
        let (words, search) = self.words(sentence, search)?;
        self.begin_words(&words, &search)
    }

    /// The same with words as numbers.
    ///
    /// # Errors
    /// The engine's.
    pub fn begin_words(&self, words: &[u32], search: &Search) -> Result<Decoding<CandleLanguage<'_>>> {
        let language = CandleLanguage::new(&self.model, words, search.most, &self.device)?;
        Ok(Decoding::new(language, START, *search))
    }

    /// Translates a sentence; the best translation first.
    ///
    /// # Errors
    /// As [`Translator::begin`].
    pub fn translate(&self, sentence: &str, search: &Search) -> Result<Vec<Translation>> {
        let mut decoding = self.begin(sentence, search)?;
        while decoding.step()? {}
        decoding.into_result().into_iter().map(|h| self.read(h)).collect()
    }

    /// Which words of `translation` came from which of `sentence`. Parts of words are joined: over those of the source weights are
    /// summed up, over those of the translation their mean is taken.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn alignment(&self, sentence: &str, translation: &Translation) -> Result<Alignment> {
        let parts = self.tokenizer.encode(sentence.trim())?;
        let mut sources = self.tokenizer.words(&parts)?;
        sources.push((parts.len()..parts.len() + 1, END_MARK.to_owned()));
        let Hypothesis { words, probabilities, attention, .. } = &translation.hypothesis;
        let targets = self.tokenizer.words(words)?;
        let row = |range: &std::ops::Range<usize>| -> Vec<f32> {
            let rows = attention.get(range.clone()).unwrap_or_default();
            let sum = |columns: &std::ops::Range<usize>| -> f32 {
                rows.iter().flat_map(|row| row.get(columns.clone()).unwrap_or_default()).sum()
            };
            sources.iter().map(|(columns, _)| sum(columns) / rows.len().max(1) as f32).collect()
        };
        let confidence = |range: &std::ops::Range<usize>| probabilities.get(range.clone()).unwrap_or_default().iter().product();
        Ok(Alignment {
            weights: targets.iter().map(|(range, _)| row(range)).collect(),
            confidence: targets.iter().map(|(range, _)| confidence(range)).collect(),
            source: sources.iter().map(|(_, word)| word.clone()).collect(),
            target: targets.into_iter().map(|(_, word)| word).collect(),
        })
    }

    /// A hypothesis as text.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn read(&self, hypothesis: Hypothesis) -> Result<Translation> {
        Ok(Translation { text: self.tokenizer.decode(&hypothesis.words)?, hypothesis })
    }
}
