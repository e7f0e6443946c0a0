//! Evaluation by the protocol of the papers: the large picture cropped to a multiple of the scale, shrunk by `imresize` to 8 bits,
//! enlarged, and compared on luma with a border as wide as the scale left out.

use anyhow::{Result, bail};
use serde::Serialize;
use shared::imresize::resized;
use shared::picture::{Picture, Region};
use shared::pipeline::Enlargement;
use shared::session::Session;

use crate::metrics;

/// Side of the windows that the network sees, in pixels, halo included. On one thread of a CPU x2-fast took, in microseconds for a
/// pixel of 2048x2048, 1.84 with tiles of 64, 1.36 with 96, 1.17 with 128, 1.21 with 192, 1.22 with 256, 2.23 with 384, 2.17 with
/// 512 (`trainer bench --scale --tile`): below, the halo costs, above, layers leave the cache. A GPU wants the largest of these. One
/// that has no memory for it refuses before it computes, and the tile is halved.
pub const TILE: usize = 256;

/// PSNR in dB and SSIM of one picture, or their means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Scores {
    /// The network's PSNR.
    pub psnr: f64,
    /// The network's SSIM.
    pub ssim: f64,
    /// PSNR of bicubic enlargement.
    pub bicubic_psnr: f64,
    /// SSIM of bicubic enlargement.
    pub bicubic_ssim: f64,
}

impl Scores {
    /// The mean of all; zero of none.
    pub fn mean(all: &[Self]) -> Self {
        let count = all.len().max(1) as f64;
        let mean = |value: fn(&Self) -> f64| all.iter().map(value).sum::<f64>() / count;
        Self {
            psnr: mean(|s| s.psnr),
            ssim: mean(|s| s.ssim),
            bicubic_psnr: mean(|s| s.bicubic_psnr),
            bicubic_ssim: mean(|s| s.bicubic_ssim),
        }
    }
}

/// A picture and what was made of it.
pub struct Trial {
    /// The original, cropped to a multiple of the scale.
    pub large: Picture,
    /// Enlarged by `imresize`.
    pub bicubic: Picture,
    /// Enlarged by the network.
    pub network: Picture,
    /// How close both came.
    pub scores: Scores,
}

/// Shrinks `picture` and enlarges it again.
///
/// # Errors
/// When the picture is too small to compare, or the engine fails.
pub fn trial(session: &Session, picture: &Picture) -> Result<Trial> {
    let scale = session.config().scale();
    let (width, height) = (picture.width() / scale, picture.height() / scale);
    if width == 0 || height == 0 {
        bail!("{} x {} pixels cannot be shrunk by {scale}", picture.width(), picture.height());
    }
    let large = picture.crop(Region { x: 0, y: 0, width: width * scale, height: height * scale });
    let small = resized(&large, width, height)?;
    let bicubic = resized(&small, width * scale, height * scale)?;
    let network = enlarge(session, &small, TILE, |_, _| Ok(()))?;

    let size = [height * scale, width * scale];
    let rgb = |p: &Picture| p.planes(p.bounds(), 0, 3);
    let original = rgb(&large);
    let compare = |p: &Picture| metrics::compare(&rgb(p), &original, size, scale);
    let (Some((psnr, ssim)), Some((bicubic_psnr, bicubic_ssim))) = (compare(&network), compare(&bicubic)) else {
        bail!("{} x {} pixels are too few to compare", picture.width(), picture.height());
    };
    Ok(Trial { large, bicubic, network, scores: Scores { psnr, ssim, bicubic_psnr, bicubic_ssim } })
}

/// Enlarges a picture, telling `progress` after every tile how many of how many are done; its error stops.
///
/// # Errors
/// The engine's own, or that of `progress`.
pub fn enlarge(
    session: &Session,
    picture: &Picture,
    tile: usize,
    mut progress: impl FnMut(usize, usize) -> Result<()>,
) -> Result<Picture> {
    let mut enlargement = Enlargement::new(session, picture, tile)?;
    while pollster::block_on(enlargement.step())?.is_some() {
        progress(enlargement.done(), enlargement.tiles())?;
    }
    Ok(enlargement.into_result())
}
