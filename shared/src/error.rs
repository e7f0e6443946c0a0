//! The one error type of the crate.

/// What can go wrong in a model, an engine, a checkpoint or a picture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation was given tensors that do not fit together.
    #[error("{op}: {detail}")]
    Shape {
        /// The operation, by its name in [`crate::Tensor`].
        op: &'static str,
        /// What was expected and what came.
        detail: String,
    },
    /// A checkpoint that is broken, or that does not fit the model.
    #[error("checkpoint: {0}")]
    Checkpoint(String),
    /// A list of models that is broken or names what it may not.
    #[error("{0}")]
    Catalogue(String),
    /// A picture that cannot be read, written or processed.
    #[error("picture: {0}")]
    Picture(String),
    /// The GPU, its driver or the browser's WebGPU refused.
    #[error("WebGPU: {0}")]
    Gpu(String),
    /// The GPU has not the memory for it; a smaller tile may fit.
    #[error("WebGPU: {0}")]
    Memory(String),
    /// A tokenizer that cannot be read, or a text that cannot be translated.
    #[error("{0}")]
    Text(String),
    /// A model that cannot be written as ONNX.
    #[error("ONNX: {0}")]
    Onnx(String),
    /// The person asked to stop.
    #[error("stopped")]
    Stopped,
    /// candle refused.
    #[error("candle: {0}")]
    Candle(#[from] candle_core::Error),
}

/// Result with the crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A shape error of `op`.
    pub fn shape(op: &'static str, detail: impl Into<String>) -> Self {
        Self::Shape { op, detail: detail.into() }
    }
}
