//! A picture in the style of others: any size, any mixture, the same on both engines.
#![cfg(not(target_arch = "wasm32"))]

use std::sync::Arc;

use candle_core::Device;
use pollster::block_on;
use shared::Scope;
use shared::checkpoint::{Checkpoint, Precision, Style};
use shared::engine::candle::{Constants, values};
use shared::engine::webgpu::Context;
use shared::models::{AdaIn, AdaInConfig, Config, ImageConfig, TransformNetConfig};
use shared::picture::Picture;
use shared::pipeline::adopt;
use shared::pipeline::restyle::{Look, restyle};
use shared::session::{Engine, Session};
use tests::gpu;
use tests::random::{self, Kind};

const STYLES: usize = 3;

fn checkpoint() -> Checkpoint {
    let config = ImageConfig::TransformNet(TransformNetConfig { channels: 6, blocks: 1, styles: STYLES, bounded: true });
    let mut checkpoint = random::checkpoint(config, 11);
    // Results around the middle of 0..1: what is clamped would hide differences.
    checkpoint.tensors.get_mut("tail.weight").unwrap().values.iter_mut().for_each(|w| *w *= 0.1);
    checkpoint.tensors.get_mut("tail.bias").unwrap().values.iter_mut().for_each(|b| *b += 0.5);
    checkpoint
}

/// A network whose styles are pictures.
fn adain(styles: usize) -> Checkpoint {
    random::checkpoint(ImageConfig::AdaIn(AdaInConfig { channels: 6, features: 10, blocks: 1, styles }), 12)
}

fn style(name: &str) -> Style {
    Style { name: name.to_owned(), title: name.to_owned() }
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
    for session in [on_cpu(&checkpoint()), on_cpu(&adain(STYLES))] {
        for (width, height) in SIZES {
            let picture = random::picture(width, height, Kind { deep: false, alpha: true }, 5);
            let result = block_on(restyle(&session, &picture, &look(&[0.2, 0.5, 0.3]))).unwrap();
            assert_eq!((result.width(), result.height()), (picture.width(), picture.height()));
            let alpha = |p: &Picture| p.planes(p.bounds(), 3, 1);
            assert_eq!(alpha(&result), alpha(&picture));
            assert_eq!(block_on(restyle(&session, &picture, &look(&[0.2, 0.5, 0.3]))).unwrap(), result, "twice the same");
        }
    }
}

#[test]
fn webgpu_restyles_like_candle_and_follows_the_mixture() {
    let Some(context) = gpu::context() else { return };
    let compare = |checkpoint: &Checkpoint, context: Arc<Context>, allowed: f32| {
        let cpu = on_cpu(checkpoint);
        let gpu = Session::new(checkpoint, Engine::WebGpu(context)).unwrap();
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
    for checkpoint in [checkpoint(), adain(STYLES)] {
        compare(&checkpoint, context.clone(), 1e-3);
        if let Some(half) = gpu::half_context() {
            compare(&checkpoint, half, 2e-2);
        }
    }
}

#[test]
fn in_its_own_style_a_picture_keeps_its_features() {
    let network = adain(0);
    let session = on_cpu(&network);
    // At a multiple of 4: what is filled up is not the picture's own.
    let picture = photo(24, 16);
    let dark: Vec<f32> = planes(&photo(20, 28)).iter().map(|v| 0.2 * v).collect();
    let other = Picture::from_planes(20, 28, &dark).unwrap();
    let with = |network: &Checkpoint, name: &str, picture: &Picture| block_on(adopt(network, &session, style(name), picture));
    let one = with(&network, "own", &picture).unwrap();
    let both = with(&one, "other", &other).unwrap();
    let (one, both) = (on_cpu(&one), on_cpu(&both));
    let own = block_on(restyle(&one, &picture, &look(&[1.0]))).unwrap();
    let drawn = decoded(&network, &picture);
    let off = planes(&own).iter().zip(&drawn).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off < 1e-3, "{off}");
    assert_eq!(block_on(restyle(&both, &picture, &look(&[1.0, 0.0]))).unwrap(), own, "a style more changes no other");
    assert!(furthest(&block_on(restyle(&both, &picture, &look(&[0.0, 1.0]))).unwrap(), &own) > 1e-3);
}

/// What the decoder makes of what the encoder sees.
fn decoded(network: &Checkpoint, picture: &Picture) -> Vec<f32> {
    let ImageConfig::AdaIn(config) = *network.image().unwrap() else { panic!("another network") };
    let source = Constants { tensors: &network.tensors, device: &Device::Cpu };
    let model = AdaIn::new(&config, &Scope::root(&source)).unwrap();
    let dims = (1, 3, picture.height(), picture.width());
    let x = candle_core::Tensor::from_vec(planes(picture), dims, &Device::Cpu).unwrap();
    values(&model.decode(&model.encode(&x).unwrap()).unwrap()).unwrap()
}

#[test]
fn a_style_is_taken_once_and_by_a_network_that_takes_any() {
    let said = |network: &Checkpoint, name: &str| {
        block_on(adopt(network, &on_cpu(network), style(name), &photo(16, 16))).unwrap_err().to_string()
    };
    assert!(said(&adain(STYLES), "style1").contains("style1"));
    assert!(said(&checkpoint(), "mine").contains("learnt"));
    let mut broken = adain(0);
    broken.tensors.remove("encoder.2.weight");
    assert!(Session::new(&broken, Engine::Candle(Device::Cpu)).is_err_and(|e| e.to_string().contains("encoder.2.weight")));
    // A network without a style cannot restyle, and says so.
    let error = block_on(restyle(&on_cpu(&adain(0)), &photo(16, 16), &look(&[]))).unwrap_err().to_string();
    assert!(error.contains("style"), "{error}");
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
fn a_bound_cuts_what_is_far_from_the_mean_and_nothing_else() {
    let off = |scale: f32| {
        let results = [true, false].map(|bounded| {
            let mut checkpoint = checkpoint();
            if let Config::Image(ImageConfig::TransformNet(config)) = &mut checkpoint.metadata.config {
                config.bounded = bounded;
            }
            for (name, tensor) in &mut checkpoint.tensors {
                if name.ends_with("norm.scale") {
                    tensor.values.iter_mut().for_each(|v| *v *= scale);
                }
            }
            block_on(restyle(&on_cpu(&checkpoint), &photo(24, 24), &look(&[1.0, 0.0, 0.0]))).unwrap()
        });
        furthest(&results[0], &results[1])
    };
    assert!(off(0.1) < 1e-5, "{}", off(0.1));
    assert!(off(20.0) > 1e-2, "{}", off(20.0));
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
