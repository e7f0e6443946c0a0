//! Words in parts: byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909) of bytes (Radford et al. 2019, GPT-2), so that no
//! text is unknown and decoding gives back what was encoded.

use std::ops::Range;
use std::str::FromStr;

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{TokenizerBuilder, TokenizerImpl};

use crate::{Error, Result};

/// The number of the tokenizer's first part; those below have a meaning of their own ([`super::PADDING`] and others). They are not
/// the tokenizer's, so no text can contain them.
pub const FIRST: u32 = 3;

/// Most parts: a table of them is a parameter of a network.
const LARGEST: usize = 1 << 20;

/// A trained tokenizer.
pub struct Tokenizer {
    inner: TokenizerImpl<BPE, NFC, ByteLevel, ByteLevel, ByteLevel>,
    json: String,
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error::Text(format!("tokenizer: {e}"))
}

impl Tokenizer {
    /// Learns at most `vocabulary` parts from texts, those with a meaning of their own included.
    ///
    /// # Errors
    /// [`Error::Text`] when that is fewer than there are bytes.
    pub fn train<'a>(texts: impl Iterator<Item = &'a str> + Send, vocabulary: usize) -> Result<Self> {
        let most = vocabulary.checked_sub(FIRST as usize).filter(|&most| (256..=LARGEST).contains(&most));
        let most = most.ok_or_else(|| failed(format!("a vocabulary of {vocabulary} must be {} to {LARGEST}", 256 + FIRST)))?;
        let bytes = ByteLevel::default();
        let alphabet = ByteLevel::alphabet().into_iter().collect();
        let mut trainer = BpeTrainer::builder().vocab_size(most).min_frequency(2).show_progress(false);
        trainer = trainer.initial_alphabet(alphabet);
        let mut inner = TokenizerBuilder::new()
            .with_model(BPE::default())
            .with_normalizer(Some(NFC))
            .with_pre_tokenizer(Some(bytes))
            .with_post_processor(Some(bytes))
            .with_decoder(Some(bytes))
            .build()
            .map_err(failed)?;
        inner.train(&mut trainer.build(), texts).map_err(failed)?;
        let json = inner.to_string(false).map_err(failed)?;
        Ok(Self { inner, json })
    }

    /// Reads the content of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Text`] when it is not one of these, or lacks a byte.
    pub fn parse(json: &str) -> Result<Self> {
        let inner: TokenizerImpl<BPE, NFC, ByteLevel, ByteLevel, ByteLevel> =
            TokenizerImpl::from_str(json).map_err(|e| failed(format!("cannot be read: {e}")))?;
        let tokenizer = Self { inner, json: json.to_owned() };
        let size = tokenizer.inner.get_vocab_size(true);
        if size > LARGEST || !tokenizer.inner.get_added_vocabulary().get_vocab().is_empty() {
            return Err(failed(format!("has {size} parts, or some that stand outside of its model")));
        }
        if let Some(byte) = ByteLevel::alphabet().into_iter().find(|c| tokenizer.inner.token_to_id(&c.to_string()).is_none()) {
            return Err(failed(format!("lacks the byte {byte:?}")));
        }
        if let Some((part, id)) = tokenizer.inner.get_vocab(false).iter().find(|(_, id)| **id as usize >= size) {
            return Err(failed(format!("numbers {part:?} {id} of {size}")));
        }
        Ok(tokenizer)
    }

    /// The content of `tokenizer.json`.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Rows that a table of words needs.
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab_size(true) + FIRST as usize
    }

    /// The parts of a text.
    ///
    /// # Errors
    /// [`Error::Text`] when the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(text, false).map_err(failed)?;
        Ok(encoding.get_ids().iter().map(|id| id + FIRST).collect())
    }

    /// The text of parts. Those with a meaning of their own, and unknown ones, are left out; bytes that are no UTF-8 become
    /// replacement characters.
    ///
    /// # Errors
    /// [`Error::Text`] when the tokenizer fails.
    pub fn decode(&self, parts: &[u32]) -> Result<String> {
        let text = self.raw(parts)?;
        // The space before the first word, which `encode` adds.
        Ok(text.strip_prefix(' ').unwrap_or(&text).to_owned())
    }

    fn raw(&self, parts: &[u32]) -> Result<String> {
        let ids: Vec<u32> = parts.iter().filter_map(|part| part.checked_sub(FIRST)).collect();
        self.inner.decode(&ids, false).map_err(failed)
    }

    /// Which parts are a word, and the word: for people, who look at words.
    ///
    /// # Errors
    /// [`Error::Text`] when the tokenizer fails.
    pub fn words(&self, parts: &[u32]) -> Result<Vec<(Range<usize>, String)>> {
        // With a space, written as U+0120, or with a mark.
        let begins = |part: u32| {
            let token = part.checked_sub(FIRST).and_then(|id| self.inner.id_to_token(id)).unwrap_or_default();
            token.chars().next().is_none_or(|first| first == '\u{120}' || first.is_ascii_punctuation())
        };
        let mut starts: Vec<usize> = Vec::new();
        for (i, &part) in parts.iter().enumerate() {
            if i == 0 || begins(part) {
                starts.push(i);
            }
        }
        let ends = starts.iter().skip(1).copied().chain([parts.len()]);
        starts.iter().zip(ends).map(|(&start, end)| Ok((start..end, self.decode(&parts[start..end])?))).collect()
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokenizer of {} parts", self.vocabulary())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
        let texts = ["Ein Mann geht über die Straße.", "A man walks across the street.", "Der Mann und die Frau gehen."];
        Tokenizer::train(texts.iter().copied().cycle().take(30), 320).unwrap()
    });

    #[test]
    fn frequent_words_become_one_part() {
        let parts = TOKENIZER.encode("Ein Mann").unwrap();
        assert!(parts.len() <= 3, "{parts:?}");
        assert!(parts.iter().all(|&p| p >= FIRST && (p as usize) < TOKENIZER.vocabulary()));
        assert!((260..=320).contains(&TOKENIZER.vocabulary()));
    }

    #[test]
    fn words_cover_the_parts() {
        let parts = TOKENIZER.encode("Der Mann, die Straße.").unwrap();
        let words = TOKENIZER.words(&parts).unwrap();
        let texts: Vec<&str> = words.iter().map(|(_, word)| word.as_str()).collect();
        assert_eq!(texts, ["Der", "Mann", ",", "die", "Straße", "."]);
        assert!(words.windows(2).all(|w| w[0].0.end == w[1].0.start) && words[0].0.start == 0);
    }

    #[test]
    fn the_file_gives_the_same_tokenizer() {
        let again = Tokenizer::parse(TOKENIZER.json()).unwrap();
        let text = "Ein Mann geht, 你好 🎈 \u{202e}abc\u{0} <pad> </s>";
        assert_eq!(again.encode(text).unwrap(), TOKENIZER.encode(text).unwrap());
        for (json, word) in
            [("", "cannot be read"), ("{}", "cannot be read"), (&TOKENIZER.json().replace("\"!\":", "\"!!\":"), "")]
        {
            let error = Tokenizer::parse(json).unwrap_err().to_string();
            assert!(error.contains("tokenizer") && error.contains(word), "{error}");
        }
        assert!(Tokenizer::train(["a"].into_iter(), 100).is_err());
    }

    proptest! {
        #[test]
        fn nothing_is_unknown_and_nothing_is_lost(text in "\\PC*|[ -~]{0,40}|.{0,20}") {
            let text: String = text.trim().chars().collect();
            let normal = TOKENIZER.decode(&TOKENIZER.encode(&text).unwrap()).unwrap();
            // NFC is idempotent, so what is normal comes back as it is.
            let again = TOKENIZER.decode(&TOKENIZER.encode(&normal).unwrap()).unwrap();
            prop_assert_eq!(&normal, &again);
            if text.is_ascii() {
                prop_assert_eq!(normal, text);
            }
        }

        #[test]
        fn any_numbers_decode(parts in prop::collection::vec(any::<u32>(), 0..20)) {
            TOKENIZER.decode(&parts).unwrap();
            TOKENIZER.words(&parts).unwrap();
        }
    }
}
