//! Random networks and pictures, the same for the same seed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Cursor;

use candle_core::{Device, Tensor};
use image::{DynamicImage, ImageBuffer, ImageFormat, Rgba};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::checkpoint::{Checkpoint, Dense, Metadata, Style};
use shared::models::{ImageConfig, ImageNetwork, PlainConfig, RlfnConfig, SrResnetConfig};
use shared::picture::Picture;
use shared::{Init, Result, Scope, Source};

/// Hands out random parameters and remembers them.
struct Random {
    rng: RefCell<ChaCha8Rng>,
    tensors: RefCell<BTreeMap<String, Dense>>,
}

impl Source<Tensor> for Random {
    fn get(&self, name: &str, dims: &[usize], _: Init) -> Result<Tensor> {
        let count = dims.iter().product();
        let fan_in: usize = dims.iter().skip(1).product();
        // Uniform with a variance that keeps that of the input. No parameter is zero, biases neither, so that none can be
        // forgotten without a difference.
        let bound = if dims.len() > 1 { (3.0 / fan_in as f32).sqrt() } else { 0.1 };
        let mut rng = self.rng.borrow_mut();
        let values: Vec<f32> = (0..count).map(|_| rng.random_range(0.05..1.0f32) * bound).collect();
        let values: Vec<f32> = values.into_iter().map(|v| if rng.random() { v } else { -v }).collect();
        let tensor = Tensor::from_slice(&values, dims, &Device::Cpu)?;
        self.tensors.borrow_mut().insert(name.to_owned(), Dense { dims: dims.to_vec(), values });
        Ok(tensor)
    }
}

/// An untrained network of this configuration.
pub fn checkpoint(config: ImageConfig, seed: u64) -> Checkpoint {
    let source = Random { rng: ChaCha8Rng::seed_from_u64(seed).into(), tensors: RefCell::default() };
    ImageNetwork::<Tensor>::new(&config, &Scope::root(&source)).expect("a random network");
    let style = |i| Style { name: format!("style{i}"), title: format!("Style {i}") };
    let metadata = Metadata { styles: (0..config.styles()).map(style).collect(), ..Metadata::new(config) };
    Checkpoint { metadata, tensors: source.tensors.into_inner() }
}

/// A small one of every network that enlarges, at every scale.
pub fn configs() -> Vec<ImageConfig> {
    let all = |scale| {
        let (channels, blocks) = (6, 1);
        [
            ImageConfig::Rlfn(RlfnConfig { scale, channels, blocks }),
            ImageConfig::SrResnet(SrResnetConfig { scale, channels, blocks }),
            ImageConfig::Plain(PlainConfig { scale, channels, blocks }),
        ]
    };
    (2..=4).flat_map(all).collect()
}

/// The smallest network: for tests of what surrounds it.
pub fn tiny() -> Checkpoint {
    checkpoint(ImageConfig::Rlfn(RlfnConfig { scale: 2, channels: 2, blocks: 1 }), 1)
}

/// What a picture has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// 16 bits a sample instead of 8.
    pub deep: bool,
    /// Transparency.
    pub alpha: bool,
}

/// Noise in 0.2..0.8 over a gradient: every pixel matters, and few results leave 0..1.
pub fn picture(width: u32, height: u32, kind: Kind, seed: u64) -> Picture {
    Picture::decode(&png(width, height, kind, seed)).expect("a picture made here")
}

/// The PNG of [`picture`].
pub fn png(width: u32, height: u32, kind: Kind, seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let pixels = ImageBuffer::from_fn(width, height, |x, y| {
        let gradient = (x + y) as f32 / (width + height) as f32;
        let mut sample = || ((0.2 + 0.3 * gradient + rng.random_range(0.0..0.3f32)) * 65535.0) as u16;
        Rgba([sample(), sample(), sample(), if kind.alpha { sample() } else { u16::MAX }])
    });
    let deep = DynamicImage::ImageRgba16(pixels);
    let image = match (kind.deep, kind.alpha) {
        (true, true) => deep,
        (true, false) => deep.into_rgb16().into(),
        (false, true) => deep.into_rgba8().into(),
        (false, false) => deep.into_rgb8().into(),
    };
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Png).expect("PNG holds it");
    file.into_inner()
}
