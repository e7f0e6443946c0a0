use anyhow::Result;
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde::Serialize;
use shared::session::Engine;

use super::{Effort, Times};

/// What the device can do at best, measured.
#[derive(Debug, Clone, Serialize)]
pub struct Ceilings {
    /// Gigabytes read and written a second by a copy.
    pub copy_gb_s: f64,
    /// Billions of f32 operations a second of a large product.
    pub product_gflop_s: f64,
    /// What that product was.
    pub product: String,
}

/// Bytes of a copy: more than what caches hold.
const COPY: usize = 256 << 20;

impl Ceilings {
    /// Measures them. The shortest run counts: a ceiling is what nobody disturbed.
    ///
    /// # Errors
    /// The engine's own.
    pub fn measure(engine: &Engine, effort: Effort) -> Result<Self> {
        match engine {
            Engine::Candle(device) => {
                let copy = if device.is_cpu() { copy_cpu(effort)? } else { copy_device(device, effort)? };
                // A GPU needs more to be busy.
                let side = if device.is_cpu() { 2048 } else { 8192 };
                let [a, b] = [Tensor::rand(-1f32, 1.0, (side, side), device)?, Tensor::rand(-1f32, 1.0, (side, side), device)?];
                let product = effort.time(|| {
                    a.matmul(&b)?;
                    Ok(device.synchronize()?)
                })?;
                Ok(Self {
                    copy_gb_s: 2.0 * COPY as f64 / copy.least() / 1e9,
                    product_gflop_s: 2.0 * (side as f64).powi(3) / product.least() / 1e9,
                    product: format!("{side} x {side} x {side}, candle"),
                })
            }
            #[cfg(feature = "webgpu")]
            Engine::WebGpu(context) => super::gpu::ceilings(context, effort),
        }
    }
}

/// From memory to memory that is there already: new pages cost more than the copy.
fn copy_cpu(effort: Effort) -> Result<Times> {
    const CHUNK: usize = 1 << 20;
    let from = vec![1f32; COPY / 4];
    let mut to = vec![2f32; COPY / 4];
    effort.time(|| {
        to.par_chunks_mut(CHUNK).zip(from.par_chunks(CHUNK)).for_each(|(to, from)| to.copy_from_slice(from));
        std::hint::black_box(&mut to);
        Ok(())
    })
}

fn copy_device(device: &Device, effort: Effort) -> Result<Times> {
    let from = Tensor::rand(0f32, 1.0, COPY / 4, device)?;
    effort.time(|| {
        from.copy()?;
        Ok(device.synchronize()?)
    })
}
