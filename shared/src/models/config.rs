//! Any network, as named in a checkpoint.

use std::ops::RangeInclusive;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::{ImageConfig, LanguageConfig, TranslationConfig};
use crate::{Error, Result};

/// Which network, how large. Which kind it is follows from the name under `model`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Config {
    /// From picture to picture.
    Image(ImageConfig),
    /// From sentence to sentence.
    Translation(TranslationConfig),
    /// From words to the next word.
    Language(LanguageConfig),
}

impl Config {
    /// Refuses sizes that no sane network has, so that a hostile checkpoint cannot ask for all memory.
    ///
    /// # Errors
    /// [`crate::Error::Checkpoint`] naming the value.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Image(c) => c.validate(),
            Self::Translation(c) => c.validate(),
            Self::Language(c) => c.validate(),
        }
    }
}

impl From<ImageConfig> for Config {
    fn from(config: ImageConfig) -> Self {
        Self::Image(config)
    }
}

/// Refuses a size that no sane network has.
///
/// # Errors
/// [`Error::Checkpoint`] naming the value.
pub(super) fn within(name: &str, value: usize, range: RangeInclusive<usize>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Error::Checkpoint(format!("{name} is {value}, must be {} to {}", range.start(), range.end())))
}

impl From<TranslationConfig> for Config {
    fn from(config: TranslationConfig) -> Self {
        Self::Translation(config)
    }
}

impl From<LanguageConfig> for Config {
    fn from(config: LanguageConfig) -> Self {
        Self::Language(config)
    }
}

/// By hand, because serde's untagged enums tell nobody what is wrong.
impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let read = match value.get("model").and_then(serde_json::Value::as_str) {
            Some(LanguageConfig::NAME) => serde_json::from_value(value).map(Self::Language),
            Some("transformer" | "seq2seq") => serde_json::from_value(value).map(Self::Translation),
            _ => serde_json::from_value(value).map(Self::Image),
        };
        read.map_err(D::Error::custom)
    }
}
