//! What the page and the worker for pictures say to each other. The buffer beside a message holds the bytes of a file, or RGBA
//! pixels of 8 bits.

use serde::{Deserialize, Serialize};

use shared::catalogue::Model;
use shared::checkpoint::Style;

use super::{Choice, Engine, Gpu};

/// How a picture is to be redrawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    /// Styles by name, and how much of each.
    pub parts: Vec<(String, f32)>,
    /// How much of the result, 0 to 1.
    pub strength: f32,
    /// Whether every pixel keeps its hue.
    pub keep_colours: bool,
    /// Longest side; 0: as it is.
    pub side: usize,
    /// Width and height of a frame in the buffer; nothing: the picture that is open.
    pub frame: Option<[usize; 2]>,
}

/// From the page to the worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ToWorker {
    /// Decode the file in the buffer and keep its picture.
    Open {
        /// Its number.
        job: u32,
    },
    /// Keep the picture whose RGBA is in the buffer.
    OpenPixels {
        /// Its number.
        job: u32,
        /// In pixels.
        width: usize,
        /// In pixels.
        height: usize,
    },
    /// Enlarge the picture that was opened last.
    Enlarge {
        /// Its number.
        job: u32,
        /// With what.
        model: Box<Model>,
        /// On what.
        engine: Choice,
        /// Workers that may compute at the same time, where it is the CPU.
        workers: usize,
    },
    /// Load a network of many styles and say what they are called.
    Styles {
        /// Its number.
        job: u32,
        /// Which.
        model: Box<Model>,
        /// On what.
        engine: Choice,
    },
    /// Have a network that takes any style take that of the picture whose file is in the buffer.
    Adopt {
        /// Its number.
        job: u32,
        /// Which.
        model: Box<Model>,
        /// What the style is called from now on.
        style: Style,
    },
    /// Redraw the picture that was opened last, or the RGBA of a frame in the buffer.
    Restyle {
        /// Its number.
        job: u32,
        /// With what.
        model: Box<Model>,
        /// On what.
        engine: Choice,
        /// How.
        wish: Wish,
    },
    /// Stop enlarging, after the tile at hand.
    Stop,
    /// Encode the last result.
    Encode {
        /// Its number.
        job: u32,
        /// As what.
        format: FileFormat,
    },
    /// Send again what this sheet shows: the browser lost it.
    Redraw {
        /// Its number.
        job: u32,
        /// Which.
        sheet: Sheet,
    },
    /// Forget the pictures.
    Forget,
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
    /// The picture is open; its RGBA is in the buffer.
    Opened {
        /// Of [`ToWorker::Open`] or [`ToWorker::OpenPixels`].
        job: u32,
        /// In pixels.
        width: usize,
        /// In pixels.
        height: usize,
        /// Whether something in it is transparent.
        alpha: bool,
    },
    /// So much of the weights is here.
    Weights {
        /// Of [`ToWorker::Enlarge`].
        job: u32,
        /// Bytes.
        received: u64,
        /// Bytes.
        total: u64,
    },
    /// The network is loaded, the tiles will follow.
    Started {
        /// Of [`ToWorker::Enlarge`].
        job: u32,
        /// What it runs on.
        engine: Engine,
        /// How many tiles there will be.
        tiles: usize,
        /// Whether it starts again on the GPU, because that was lost and found.
        again: bool,
    },
    /// A part of the result; its RGBA is in the buffer.
    Tile {
        /// Of [`ToWorker::Enlarge`].
        job: u32,
        /// Left edge in the result.
        x: usize,
        /// Top edge in the result.
        y: usize,
        /// In pixels.
        width: usize,
        /// In pixels.
        height: usize,
        /// Tiles done, this one included.
        done: usize,
    },
    /// A part of what a sheet shows; its RGBA is in the buffer.
    Redrawn {
        /// Of [`ToWorker::Redraw`].
        job: u32,
        /// Which.
        sheet: Sheet,
        /// Left edge.
        x: usize,
        /// Top edge.
        y: usize,
        /// In pixels.
        width: usize,
        /// In pixels.
        height: usize,
    },
    /// The network is loaded.
    Styles {
        /// Of [`ToWorker::Styles`].
        job: u32,
        /// What it runs on.
        engine: Engine,
        /// What its styles are called.
        styles: Vec<Style>,
    },
    /// The style is taken.
    Adopted {
        /// Of [`ToWorker::Adopt`].
        job: u32,
    },
    /// The picture is redrawn; its RGBA is in the buffer.
    Restyled {
        /// Of [`ToWorker::Restyle`].
        job: u32,
        /// What it ran on.
        engine: Engine,
        /// In pixels.
        width: usize,
        /// In pixels.
        height: usize,
        /// What it took, without fetching weights.
        seconds: f64,
    },
    /// The picture is enlarged.
    Done {
        /// Of [`ToWorker::Enlarge`].
        job: u32,
        /// What it took, without fetching weights.
        seconds: f64,
    },
    /// Stopped as asked.
    Stopped {
        /// Of [`ToWorker::Enlarge`].
        job: u32,
    },
    /// The file is in the buffer.
    Encoded {
        /// Of [`ToWorker::Encode`].
        job: u32,
    },
    /// It did not work.
    Failed {
        /// Of whatever was asked.
        job: u32,
        /// Why, in a sentence for the person.
        message: String,
    },
}

impl FromWorker {
    /// The number of what this answers.
    pub fn job(&self) -> Option<u32> {
        match self {
            Self::Ready { .. } => None,
            Self::Opened { job, .. }
            | Self::Weights { job, .. }
            | Self::Started { job, .. }
            | Self::Tile { job, .. }
            | Self::Redrawn { job, .. }
            | Self::Styles { job, .. }
            | Self::Adopted { job }
            | Self::Restyled { job, .. }
            | Self::Done { job, .. }
            | Self::Stopped { job }
            | Self::Encoded { job }
            | Self::Failed { job, .. } => Some(*job),
        }
    }
}

/// From the worker to one that computes tiles for it; something is in the buffer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ToHand {
    /// A checkpoint: load its network.
    Load,
    /// Planar RGB: send it through the network.
    Forward {
        /// In pixels.
        height: usize,
        /// In pixels.
        width: usize,
    },
}

/// The answer to a [`ToHand`], and the first word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FromHand {
    /// The result, if any, is in the buffer.
    Done,
    /// It did not work.
    Failed {
        /// Why.
        message: String,
    },
}

/// One of the two pictures that are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sheet {
    /// As it was opened.
    Picture,
    /// Enlarged, as far as it is.
    Result,
}

/// How a picture is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// Lossless.
    Png,
    /// Small; no transparency.
    Jpeg,
    /// Small.
    WebP,
}

impl FileFormat {
    /// The media type.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
        }
    }

    /// The ending of file names.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::WebP => "webp",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_way() {
        let engine = Engine::WebGpu(Gpu { name: "Card".into(), software: false });
        let message = FromWorker::Started { job: 7, engine, tiles: 12, again: true };
        let json = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<FromWorker>(&json).unwrap(), message);
        assert_eq!(message.job(), Some(7));
        let message = ToWorker::Encode { job: 1, format: FileFormat::WebP };
        let json = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<ToWorker>(&json).unwrap(), message);
    }
}
