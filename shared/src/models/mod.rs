//! The models. Each reads like its paper and is generic over [`crate::Tensor`].

mod ada_in;
mod config;
mod image;
mod language;
mod perceptual;
mod plain;
mod recurrent;
mod rlfn;
mod seq2seq;
mod sr_resnet;
mod transform_net;
mod transformer;
mod translation;

pub use ada_in::{AdaIn, AdaInConfig};
pub use config::Config;
pub use image::{ImageConfig, ImageNetwork};
pub use language::{LanguageConfig, LanguageModel};
pub use perceptual::{Perceptual, PerceptualKind, prepared};
pub use plain::{Plain, PlainConfig};
pub use recurrent::{Cell, CellKind, Gru, Hidden, Lstm, Masks};
pub use rlfn::{Rlfn, RlfnConfig};
pub use seq2seq::{DecoderMasks, RecurrentState, RecurrentStep, Sentences, Seq2Seq, Seq2SeqConfig};
pub use sr_resnet::{SrResnet, SrResnetConfig};
pub use transform_net::{TransformNet, TransformNetConfig};
pub use transformer::{State, Step, Transformer, TransformerConfig};
pub use translation::{TranslationConfig, TranslationNetwork};
