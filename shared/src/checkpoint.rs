//! Checkpoints: weights with what is needed to build the network and to know where it comes from.
//!
//! A checkpoint is a safetensors file. Its metadata holds, as JSON under `atelier`, a [`Metadata`]: the configuration of the
//! model, what it was trained on and what was measured. Any safetensors reader can open it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::models::{Config, ImageConfig, TranslationConfig};
use crate::{Error, Result};

/// The key of the metadata in the file.
pub(crate) const METADATA: &str = "atelier";

/// How weights are stored. Whatever it is, they are read as f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 2 bytes a weight: for the page.
    F16,
    /// 4 bytes a weight: for training.
    F32,
}

/// What the words of a network for sentences are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// The language that it reads, as an ISO 639-1 code, or another name.
    pub source: String,
    /// The language that it writes.
    pub target: String,
    /// The content of `tokenizer.json`. See `text::Tokenizer`.
    pub tokenizer: String,
}

/// What a style of a network is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Style {
    /// For command lines: `starry_night`.
    pub name: String,
    /// For people: `The Starry Night, Vincent van Gogh, 1889`.
    pub title: String,
}

/// What a checkpoint says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The network and its size.
    pub config: Config,
    /// Of a network for sentences: what its words are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// Of a network of many styles: what they are called, in the order of its mixture.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub styles: Vec<Style>,
    /// Where the weights come from: data, steps, program. One line a fact.
    #[serde(default)]
    pub provenance: BTreeMap<String, String>,
    /// What was measured, e.g. `set5_psnr`.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
}

impl Metadata {
    /// Of a network of which nothing else is known.
    pub fn new(config: impl Into<Config>) -> Self {
        Self { config: config.into(), text: None, styles: Vec::new(), provenance: BTreeMap::new(), metrics: BTreeMap::new() }
    }

    fn validate(&self) -> Result<()> {
        self.config.validate()?;
        let styles = if let Config::Image(config) = &self.config { config.styles() } else { 0 };
        if styles != self.styles.len() {
            return Err(Error::Checkpoint(format!("{styles} styles, and the names of {}", self.styles.len())));
        }
        Ok(())
    }

    /// As files hold it.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when JSON cannot hold it.
    pub(crate) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::Checkpoint(e.to_string()))
    }
}

/// A dense f32 tensor in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// Dimensions, outermost first.
    pub dims: Vec<usize>,
    /// Row-major values; as many as the product of `dims`.
    pub values: Vec<f32>,
}

/// Tensors by name.
pub type Tensors = BTreeMap<String, Dense>;

/// The tensors of any safetensors file.
///
/// # Errors
/// [`Error::Checkpoint`] for anything that is not a safetensors file with f16 or f32 tensors, or that holds values that are not
/// finite.
pub fn tensors(bytes: &[u8]) -> Result<Tensors> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| broken(&e))?;
    file.iter().map(|(name, view)| Ok((name.to_owned(), dense(name, &view)?))).collect()
}

/// The values of the tensor `name`.
///
/// # Errors
/// [`Error::Checkpoint`] when it is missing or has other dimensions than `dims`.
pub fn values(tensors: &Tensors, name: &str, dims: &[usize]) -> Result<Vec<f32>> {
    match tensors.get(name) {
        Some(tensor) if tensor.dims == dims => Ok(tensor.values.clone()),
        Some(tensor) => {
            Err(Error::Checkpoint(format!("`{name}` has the dimensions {:?}, the model wants {dims:?}", tensor.dims)))
        }
        None => Err(Error::Checkpoint(format!("`{name}` is missing"))),
    }
}

/// Named tensors and their [`Metadata`].
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// What the file says about itself.
    pub metadata: Metadata,
    /// The tensors by name.
    pub tensors: Tensors,
}

impl Checkpoint {
    /// Reads a file's content.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for anything that is not a safetensors file with f16 or f32 tensors and Atelier's metadata, or that
    /// holds values that are not finite.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| broken(&e))?;
        let text = header
            .metadata()
            .as_ref()
            .and_then(|m| m.get(METADATA))
            .ok_or_else(|| Error::Checkpoint(format!("no `{METADATA}` metadata: not written by Atelier")))?;
        let metadata: Metadata =
            serde_json::from_str(text).map_err(|e| Error::Checkpoint(format!("cannot read its metadata: {e}")))?;
        metadata.validate()?;
        Ok(Self { metadata, tensors: tensors(bytes)? })
    }

    /// The network from picture to picture that a file describes, from as much of it as has arrived; `None` where that is too little or no checkpoint.
    /// Nothing is checked, so this only serves to prepare for the file.
    pub fn peek(bytes: &[u8]) -> Option<ImageConfig> {
        let (size, rest) = bytes.split_first_chunk()?;
        let header = rest.get(..usize::try_from(u64::from_le_bytes(*size)).ok()?)?;
        let header: serde_json::Value = serde_json::from_slice(header).ok()?;
        let metadata: Metadata = serde_json::from_str(header.get("__metadata__")?.get(METADATA)?.as_str()?).ok()?;
        match metadata.config {
            Config::Image(config) => Some(config),
            Config::Translation(_) | Config::Language(_) => None,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As [`Checkpoint::from_bytes`]; the message names the file.
    pub fn read(path: &std::path::Path) -> Result<Self> {
        let named = |e: String| Error::Checkpoint(format!("{}: {e}", path.display()));
        let bytes = std::fs::read(path).map_err(|e| named(e.to_string()))?;
        Self::from_bytes(&bytes).map_err(|e| match e {
            Error::Checkpoint(e) => named(e),
            other => other,
        })
    }

    /// The file's content, the same bytes for the same checkpoint.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when a tensor's values do not fit its dimensions, or f16 cannot hold a value.
    pub fn to_bytes(&self, precision: Precision) -> Result<Vec<u8>> {
        let failed = |e: &dyn std::fmt::Display| Error::Checkpoint(e.to_string());
        let mut stored = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in &self.tensors {
            let bytes: Cow<[u8]> = match precision {
                Precision::F32 => Cow::Borrowed(bytemuck::cast_slice(&tensor.values)),
                Precision::F16 => {
                    let halves: Vec<f16> = tensor.values.iter().map(|&v| f16::from_f32(v)).collect();
                    if let Some(i) = halves.iter().position(|h| !h.is_finite()) {
                        return Err(Error::Checkpoint(format!("{name}: {} does not fit in f16", tensor.values[i])));
                    }
                    Cow::Owned(halves.iter().flat_map(|h| h.to_le_bytes()).collect())
                }
            };
            stored.push((name, &tensor.dims, bytes));
        }
        let dtype = match precision {
            Precision::F16 => Dtype::F16,
            Precision::F32 => Dtype::F32,
        };
        let views = stored
            .iter()
            .map(|(name, dims, bytes)| {
                Ok((name.as_str(), TensorView::new(dtype, (*dims).clone(), bytes).map_err(|e| failed(&e))?))
            })
            .collect::<Result<Vec<_>>>()?;
        let text = self.metadata.to_json()?;
        safetensors::serialize(views, Some(HashMap::from([(METADATA.to_owned(), text)]))).map_err(|e| failed(&e))
    }

    /// The network and its size, of one from picture to picture.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when it is of another kind.
    pub fn image(&self) -> Result<&ImageConfig> {
        match &self.metadata.config {
            Config::Image(config) => Ok(config),
            Config::Translation(_) | Config::Language(_) => {
                Err(Error::Checkpoint("a network for sentences, not for pictures".into()))
            }
        }
    }

    /// The network and its size, of one from sentence to sentence.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when it is of another kind.
    pub fn translation(&self) -> Result<&TranslationConfig> {
        match &self.metadata.config {
            Config::Translation(config) => Ok(config),
            Config::Image(_) => Err(Error::Checkpoint("a network for pictures, not for sentences".into())),
            Config::Language(_) => Err(Error::Checkpoint("a language model, which does not translate".into())),
        }
    }

    /// The values of one tensor.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when it is missing or has other dimensions than `dims`.
    pub fn tensor(&self, name: &str, dims: &[usize]) -> Result<Vec<f32>> {
        values(&self.tensors, name, dims)
    }
}

fn broken(why: &dyn std::fmt::Display) -> Error {
    Error::Checkpoint(format!("not a safetensors file: {why}"))
}

fn dense(name: &str, view: &TensorView) -> Result<Dense> {
    let data = view.data();
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => data.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        other => return Err(Error::Checkpoint(format!("`{name}` is {other:?}; only F16 and F32 are read"))),
    };
    if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
        return Err(Error::Checkpoint(format!("`{name}` holds {bad}")));
    }
    Ok(Dense { dims: view.shape().to_vec(), values })
}
