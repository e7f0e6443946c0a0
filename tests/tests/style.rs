//! A picture in the style of others: any size, any mixture, the same on both engines.
#![cfg(not(target_arch = "wasm32"))]

use std::sync::Arc;

use candle_core::Device;
use pollster::block_on;
use shared::checkpoint::{Checkpoint, Precision};
use shared::engine::webgpu::Context;
use shared::models::{ImageConfig, TransformNetConfig};
use shared::picture::Picture;
use shared::pipeline::restyle::{Look, restyle};
use shared::session::{Engine, Session};
use tests::gpu;
use tests::random::{self, Kind};

const STYLES: usize = 3;

fn checkpoint() -> Checkpoint {
    let config = ImageConfig::TransformNet(TransformNetConfig { channels: 6, blocks: 1, styles: STYLES });
    let mut checkpoint = random::checkpoint(config, 11);
    // Results around the middle of 0..1: what is clamped would hide differences.
    checkpoint.tensors.get_mut("tail.weight").unwrap().values.iter_mut().for_each(|w| *w *= 0.1);
    checkpoint.tensors.get_mut("tail.bias").unwrap().values.iter_mut().for_each(|b| *b += 0.5);
    checkpoint
}

fn on_cpu(checkpoint: &Checkpoint) -> Session {
    Session::new(checkpoint, Engine::Candle(Device::Cpu)).unwrap()
}

fn photo(width: u32, height: u32) -> Picture {
    random::picture(width, height, Kind { deep: true, alpha: false }, 5)
}

fn look(mixture: &[f32]) -> Look {
    Look { mixture: mixture.into(), strength: 1.0, keep_colours: false }
}

fn planes(picture: &Picture) -> Vec<f32> {
    picture.planes(picture.bounds(), 0, 3)
}

fn furthest(a: &Picture, b: &Picture) -> f32 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    planes(a).iter().zip(planes(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

const SIZES: [(u32, u32); 6] = [(1, 1), (7, 5), (3, 401), (16, 16), (33, 18), (64, 40)];

#[test]
fn any_size_is_restyled_whole_and_alpha_stays() {
    let session = on_cpu(&checkpoint());
    for (width, height) in SIZES {
        let picture = random::picture(width, height, Kind { deep: false, alpha: true }, 5);
        let result = block_on(restyle(&session, &picture, &look(&[0.2, 0.5, 0.3]))).unwrap();
        assert_eq!((result.width(), result.height()), (picture.width(), picture.height()));
        let alpha = |p: &Picture| p.planes(p.bounds(), 3, 1);
        assert_eq!(alpha(&result), alpha(&picture));
        assert_eq!(block_on(restyle(&session, &picture, &look(&[0.2, 0.5, 0.3]))).unwrap(), result, "twice the same");
    }
}

#[test]
fn webgpu_restyles_like_candle_and_follows_the_mixture() {
    let Some(context) = gpu::context() else { return };
    let checkpoint = checkpoint();
    let cpu = on_cpu(&checkpoint);
    let compare = |context: Arc<Context>, allowed: f32| {
        let gpu = Session::new(&checkpoint, Engine::WebGpu(context)).unwrap();
        for (width, height) in SIZES {
            let picture = photo(width, height);
            // The second mixture is for a plan that is there already.
            for mixture in [[1.0, 0.0, 0.0], [0.0, 0.75, 0.25]] {
                let [a, b] = [&cpu, &gpu].map(|session| block_on(restyle(session, &picture, &look(&mixture))).unwrap());
                let off = furthest(&a, &b);
                assert!(off <= allowed, "{width}x{height}, {mixture:?}: {off}");
            }
        }
    };
    compare(context, 1e-3);
    if let Some(half) = gpu::half_context() {
        compare(half, 2e-2);
    }
}

#[test]
fn styles_and_strengths_differ_and_what_lies_between_lies_between() {
    let checkpoint = checkpoint();
    let session = on_cpu(&checkpoint);
    let picture = photo(24, 24);
    let at = |parts: &[(&str, f32)], strength| {
        let parts: Vec<_> = parts.iter().map(|&(name, part)| (name.to_owned(), part)).collect();
        block_on(restyle(&session, &picture, &Look::new(&checkpoint.metadata.styles, &parts, strength).unwrap())).unwrap()
    };
    let (one, other) = (at(&[("style1", 1.0)], 1.0), at(&[("style2", 1.0)], 1.0));
    assert!(furthest(&one, &other) > 0.01);
    assert_eq!(at(&[("style1", 1.0)], 0.0), picture);
    assert!(furthest(&at(&[("style1", 1.0)], 0.5), &one) < furthest(&picture, &one));
    let nearly = at(&[("style1", 0.999), ("style2", 0.001)], 1.0);
    assert!(furthest(&one, &nearly) < furthest(&one, &other) / 10.0);
}

#[test]
fn a_mixture_must_be_of_the_networks_styles() {
    let session = on_cpu(&checkpoint());
    for mixture in [&[][..], &[1.0], &[0.25; 4]] {
        let error = block_on(restyle(&session, &photo(16, 16), &look(mixture))).unwrap_err().to_string();
        assert!(error.contains("3 styles"), "{error}");
    }
    let plain = on_cpu(&random::tiny());
    assert!(block_on(restyle(&plain, &photo(16, 16), &look(&[1.0]))).is_err());
}

#[test]
fn names_must_be_as_many_as_styles() {
    let mut checkpoint = checkpoint();
    checkpoint.metadata.styles.pop();
    let error = Checkpoint::from_bytes(&checkpoint.to_bytes(Precision::F32).unwrap()).unwrap_err().to_string();
    assert!(error.contains("3 styles") && error.contains('2'), "{error}");
}
