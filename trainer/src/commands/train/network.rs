//! Which network for sentences, and how large.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};
use shared::models::CellKind;

use crate::translate::network::{Network, Recurrent, Size};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Attention only.
    #[default]
    Transformer,
    /// Recurrent.
    Seq2seq,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum CellName {
    Gru,
    Lstm,
}

impl From<CellName> for CellKind {
    fn from(name: CellName) -> Self {
        match name {
            CellName::Gru => Self::Gru,
            CellName::Lstm => Self::Lstm,
        }
    }
}

/// What the network is made of.
#[derive(Debug, Clone, Default, Args)]
pub struct Choice {
    /// Attention only, or recurrent.
    #[arg(long, value_enum, default_value = "transformer")]
    pub network: Kind,
    /// What a recurrent network is made of [default: gru].
    #[arg(long, value_enum)]
    pub cell: Option<CellName>,
    /// The encoder of a recurrent network reads from both ends.
    #[arg(long)]
    pub bidirectional: bool,
    /// The decoder of a recurrent network looks at the words of the source.
    #[arg(long)]
    pub attention: bool,
    /// How likely the decoder of a recurrent network gets the right word before instead of its own, from the beginning of the run
    /// to its end; 1 is always [default: never].
    #[arg(long, value_name = "FROM..TO", value_parser = range)]
    pub teacher_forcing: Option<[f64; 2]>,
    /// A language model, of `train language`, that the encoder of a recurrent network starts from.
    #[arg(long, value_name = "FILE")]
    pub encoder_from: Option<PathBuf>,
    /// The same for the decoder.
    #[arg(long, value_name = "FILE")]
    pub decoder_from: Option<PathBuf>,
}

fn range(text: &str) -> Result<[f64; 2], String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) => Ok([from, to]),
        _ => Err("must be FROM..TO, such as 1..0.5".to_owned()),
    }
}

/// The network's size and what keeps it from learning by heart; without a value, what suits the task.
#[derive(Debug, Clone, Args)]
pub struct Sizes {
    /// Parts of words in the table [default: 8000; 400 for dates].
    #[arg(long)]
    pub vocabulary: Option<u32>,
    /// Features of a word [default: 256; 64].
    #[arg(long)]
    pub features: Option<usize>,
    /// Heads of an attention of a Transformer [default: 4].
    #[arg(long)]
    pub heads: Option<usize>,
    /// Features in the middle of a feed-forward part of a Transformer [default: 512; 128].
    #[arg(long)]
    pub hidden: Option<usize>,
    /// Layers of the encoder [default: 4; 2 for dates and where it is recurrent].
    #[arg(long)]
    pub encoder: Option<usize>,
    /// Layers of the decoder [default: 2].
    #[arg(long)]
    pub decoder: Option<usize>,
    /// Words a batch, both languages and padding counted.
    #[arg(long, default_value_t = 4096)]
    pub batch: u32,
    /// Part of the features that is dropped [default: 0.1; 0].
    #[arg(long)]
    pub dropout: Option<f64>,
    /// Label smoothing: part of the loss that wants all words equally likely [default: 0.1; 0].
    #[arg(long)]
    pub smoothing: Option<f64>,
}

/// Layers of a recurrent encoder and decoder where nothing is given.
const LAYERS: usize = 2;

impl Sizes {
    /// The network that `choice` means; `usual` is the size where none is given.
    ///
    /// # Errors
    /// When it names what only the other network has.
    pub fn network(&self, choice: Choice, usual: Size) -> Result<Network> {
        let features = self.features.unwrap_or(usual.features);
        if choice.network == Kind::Transformer {
            let given = [
                ("--cell", choice.cell.is_some()),
                ("--bidirectional", choice.bidirectional),
                ("--attention", choice.attention),
                ("--encoder-from", choice.encoder_from.is_some()),
                ("--decoder-from", choice.decoder_from.is_some()),
            ];
            ensure!(
                choice.teacher_forcing.is_none(),
                "--teacher-forcing is for --network seq2seq: a Transformer always gets the right words"
            );
            if let Some((name, _)) = given.iter().find(|(_, given)| *given) {
                bail!("{name} is for --network seq2seq");
            }
            return Ok(Network::Transformer(Size {
                features,
                heads: self.heads.unwrap_or(usual.heads),
                hidden: self.hidden.unwrap_or(usual.hidden),
                encoder: self.encoder.unwrap_or(usual.encoder),
                decoder: self.decoder.unwrap_or(usual.decoder),
                length: usual.length,
            }));
        }
        for (name, given) in [("--heads", self.heads.is_some()), ("--hidden", self.hidden.is_some())] {
            ensure!(!given, "{name} is for --network transformer");
        }
        Ok(Network::Seq2Seq(Recurrent {
            cell: choice.cell.map(CellKind::from).unwrap_or_default(),
            features,
            encoder: self.encoder.unwrap_or(LAYERS),
            decoder: self.decoder.unwrap_or(LAYERS),
            bidirectional: choice.bidirectional,
            attention: choice.attention,
            length: usual.length,
            teacher_forcing: choice.teacher_forcing,
            encoder_from: choice.encoder_from,
            decoder_from: choice.decoder_from,
        }))
    }
}
