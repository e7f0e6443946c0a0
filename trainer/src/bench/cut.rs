use serde::Serialize;
#[cfg(feature = "webgpu")]
use shared::engine::webgpu::{Context, Trial};

/// How a layer of a network on WebGPU is best cut into threads, as measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cut {
    /// The layer.
    pub layer: String,
    /// The fastest way that was found.
    pub fastest: String,
    /// Milliseconds in that way.
    pub fastest_ms: f64,
    /// Milliseconds in the way that is taken without a measurement, unless the device refuses that.
    pub default_ms: Option<f64>,
    /// The ways that were tried.
    pub tried: usize,
    /// Those that the device refused.
    pub refused: usize,
}

#[cfg(feature = "webgpu")]
impl Cut {
    /// One for every layer that was tried on `context`.
    pub fn of(trials: &[Trial], context: &Context) -> Vec<Self> {
        let tuning = context.tuning();
        let of_a_layer = trials.chunk_by(|a, b| a.layer == b.layer);
        let cuts = of_a_layer.filter_map(|trials| {
            let layer = trials.first()?.layer;
            let fastest = tuning.of(&layer)?;
            let ms = |geometry| trials.iter().find(|t| t.geometry == geometry)?.seconds.map(|seconds| seconds * 1e3);
            Some(Self {
                layer: layer.to_string(),
                fastest: fastest.to_string(),
                fastest_ms: ms(fastest)?,
                default_ms: ms(context.geometry()),
                tried: trials.len(),
                refused: trials.iter().filter(|t| t.seconds.is_none()).count(),
            })
        });
        cuts.collect()
    }
}
