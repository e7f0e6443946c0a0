//! What the page and the worker for sentences say to each other. No buffer goes with it.

use serde::{Deserialize, Serialize};

use shared::catalogue::Model;

use super::{Choice, Engine, Gpu};

/// From the page to the worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ToWorker {
    /// Translate a text. What is being translated is stopped.
    Translate {
        /// Its number.
        job: u32,
        /// With what.
        model: Box<Model>,
        /// On what.
        engine: Choice,
        /// The text.
        text: String,
    },
    /// Which of these languages is it?
    Detect {
        /// Its number.
        job: u32,
        /// A text.
        text: String,
        /// By their codes.
        languages: Vec<String>,
    },
    /// Stop translating.
    Stop,
}

/// From the worker to the page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FromWorker {
    /// The worker listens; this is the GPU that it found, if any.
    Ready {
        /// The adapter.
        gpu: Option<Gpu>,
    },
    /// So much of the weights is here.
    Weights {
        /// Of [`ToWorker::Translate`].
        job: u32,
        /// Bytes.
        received: u64,
        /// Bytes.
        total: u64,
    },
    /// The network is loaded, the sentences will follow.
    Started {
        /// Of [`ToWorker::Translate`].
        job: u32,
        /// What the text is made of; together the pieces are the text.
        pieces: Vec<Piece>,
    },
    /// As much of a sentence as there is, to read along. The end may still change.
    Partial {
        /// Of [`ToWorker::Translate`].
        job: u32,
        /// Which piece.
        piece: usize,
        /// The translation so far.
        text: String,
    },
    /// A sentence is translated.
    Sentence {
        /// Of [`ToWorker::Translate`].
        job: u32,
        /// Which piece.
        piece: usize,
        /// The translations, the best first.
        alternatives: Vec<Alternative>,
    },
    /// A sentence cannot be translated; the others can.
    Skipped {
        /// Of [`ToWorker::Translate`].
        job: u32,
        /// Which piece.
        piece: usize,
        /// Why.
        message: String,
    },
    /// The text is translated.
    Done {
        /// Of [`ToWorker::Translate`].
        job: u32,
        /// What it took, without fetching weights; sentences that were translated before take none.
        seconds: f64,
        /// Words that were written in that time.
        words: usize,
        /// What it ran on.
        engine: Engine,
    },
    /// Stopped as asked.
    Stopped {
        /// Of [`ToWorker::Translate`].
        job: u32,
    },
    /// The language of a text, where it is clear.
    Detected {
        /// Of [`ToWorker::Detect`].
        job: u32,
        /// Its code.
        language: String,
    },
    /// It did not work.
    Failed {
        /// Of [`ToWorker::Translate`].
        job: u32,
        /// Why, in a sentence for the person.
        message: String,
    },
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// As it is written.
    pub text: String,
    /// Whether it is to be translated, and not white space.
    pub sentence: bool,
}

/// One translation of a sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// As text.
    pub text: String,
    /// Words of the source; the last one stands for its end.
    pub source: Vec<String>,
    /// Words of the translation.
    pub target: Vec<String>,
    /// For every word of the translation, how much it looked at every word of the source: parts of 1.
    pub weights: Vec<Vec<f32>>,
    /// For every word of the translation, how sure the network was.
    pub confidence: Vec<f32>,
}

impl FromWorker {
    /// The number of what this answers.
    pub fn job(&self) -> Option<u32> {
        match self {
            Self::Ready { .. } => None,
            Self::Weights { job, .. }
            | Self::Started { job, .. }
            | Self::Partial { job, .. }
            | Self::Sentence { job, .. }
            | Self::Skipped { job, .. }
            | Self::Done { job, .. }
            | Self::Stopped { job }
            | Self::Detected { job, .. }
            | Self::Failed { job, .. } => Some(*job),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_way() {
        let piece = Piece { text: "Ein Mann.".into(), sentence: true };
        let message = FromWorker::Started { job: 7, pieces: vec![piece] };
        let json = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<FromWorker>(&json).unwrap(), message);
        assert_eq!(message.job(), Some(7));
    }
}
