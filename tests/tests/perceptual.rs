//! The networks that judge against an implementation of others: `tests/python/perceptual.py`, which is numpy alone.
#![cfg(not(target_arch = "wasm32"))]

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use shared::checkpoint::{self, Dense, Tensors};
use shared::models::{Perceptual, PerceptualKind, prepared};
use shared::{Init, Result, Scope, Source};
use trainer::style::lpips::Lpips;

/// Sines of the index.
fn wave(count: usize, frequency: f64, scale: f64) -> impl Iterator<Item = f32> {
    (0..count).map(move |i| ((i as f64 * frequency + 0.3).sin() * scale) as f32)
}

/// Parameters that the other side can make too; the preparation of the picture is the network's own.
struct Waves(Tensors);

impl Source<Tensor> for Waves {
    fn get(&self, name: &str, dims: &[usize], _: Init) -> Result<Tensor> {
        let count = dims.iter().product();
        let fan_in: usize = dims.iter().skip(1).product();
        let values = match (checkpoint::values(&self.0, name, dims), dims.len()) {
            (Ok(values), _) => values,
            (Err(_), 1) => wave(count, 1.3, 0.1).collect(),
            (Err(_), _) => wave(count, 0.7, (4.0 / fan_in as f64).sqrt()).collect(),
        };
        Ok(Tensor::from_vec(values, dims, &Device::Cpu)?)
    }
}

type Golden = (&'static str, [usize; 3], [f64; 3]);

/// Of every layer its dimensions, mean, deviation, and the value in the middle channel, half down, a third across.
fn golden() -> Vec<(PerceptualKind, &'static [Golden])> {
    vec![
        (
            PerceptualKind::SqueezeNet,
            &[
                ("relu0", [64, 18, 22], [1.771820e+00, 2.305788e+00, 0.000000e+00]),
                ("fire3", [128, 9, 11], [8.329783e-01, 1.210682e+00, 0.000000e+00]),
                ("fire4", [128, 9, 11], [2.086577e-01, 5.267998e-01, 0.000000e+00]),
                ("fire6", [256, 4, 5], [4.194607e-01, 9.312717e-01, 0.000000e+00]),
                ("fire7", [256, 4, 5], [4.165436e-01, 8.165486e-01, 0.000000e+00]),
                ("fire9", [384, 2, 2], [4.679481e-01, 8.197384e-01, 5.334043e-01]),
                ("fire10", [384, 2, 2], [4.197979e-01, 7.310954e-01, 1.485239e+00]),
                ("fire11", [512, 2, 2], [3.750329e-01, 6.871537e-01, 6.249435e-01]),
                ("fire12", [512, 2, 2], [1.877584e-01, 3.351202e-01, 9.022695e-01]),
            ],
        ),
        (
            PerceptualKind::Vgg16,
            &[
                ("relu1_1", [64, 37, 45], [1.754075e+00, 2.271323e+00, 2.369029e+00]),
                ("relu1_2", [64, 37, 45], [5.188262e+00, 7.232401e+00, 0.000000e+00]),
                ("relu2_1", [128, 19, 23], [2.071013e+01, 2.982260e+01, 2.022827e+01]),
                ("relu2_2", [128, 19, 23], [5.085607e+01, 1.042017e+02, 1.116571e+01]),
                ("relu3_1", [256, 10, 12], [5.461226e+02, 9.935284e+02, 0.000000e+00]),
                ("relu3_2", [256, 10, 12], [1.758778e+03, 3.377618e+03, 6.844241e+01]),
                ("relu3_3", [256, 10, 12], [5.777411e+03, 1.034209e+04, 0.000000e+00]),
            ],
        ),
        (
            PerceptualKind::Vgg19,
            &[
                ("relu1_1", [64, 37, 45], [1.754075e+00, 2.271323e+00, 2.369029e+00]),
                ("relu1_2", [64, 37, 45], [5.188262e+00, 7.232401e+00, 0.000000e+00]),
                ("relu2_1", [128, 19, 23], [2.071013e+01, 2.982260e+01, 2.022827e+01]),
                ("relu2_2", [128, 19, 23], [5.085607e+01, 1.042017e+02, 1.116571e+01]),
                ("relu3_1", [256, 10, 12], [5.461226e+02, 9.935284e+02, 0.000000e+00]),
                ("relu3_2", [256, 10, 12], [1.758778e+03, 3.377618e+03, 6.844241e+01]),
                ("relu3_3", [256, 10, 12], [5.777411e+03, 1.034209e+04, 0.000000e+00]),
                ("relu3_4", [256, 10, 12], [2.268952e+04, 3.535390e+04, 0.000000e+00]),
            ],
        ),
        (
            PerceptualKind::Vgg19Front,
            &[
                ("relu1_1", [64, 37, 45], [3.333216e-02, 4.131021e-02, 0.000000e+00]),
                ("relu1_2", [64, 37, 45], [6.885041e-02, 9.510733e-02, 0.000000e+00]),
                ("relu2_1", [128, 19, 23], [1.011953e-01, 1.638761e-01, 2.019866e-01]),
                ("relu2_2", [128, 19, 23], [2.815840e-01, 5.570303e-01, 2.491313e-01]),
                ("relu3_1", [256, 10, 12], [2.357418e+00, 4.879028e+00, 0.000000e+00]),
            ],
        ),
    ]
}

#[test]
fn features_are_those_of_numpy() {
    let picture: Vec<f32> = wave(3 * 37 * 45, 0.11, 0.5).map(|v| v + 0.5).collect();
    let picture = Tensor::from_vec(picture, (1, 3, 37, 45), &Device::Cpu).unwrap();
    for (kind, layers) in golden() {
        let waves = Waves(prepared(kind, BTreeMap::new()));
        let names: Vec<&str> = layers.iter().map(|(name, ..)| *name).collect();
        let network = Perceptual::new(kind, &names, &Scope::root(&waves)).unwrap();
        let features = network.features(&picture, &names).unwrap();
        assert_eq!(features.len(), layers.len());
        for ((name, feature), (wanted, [c, h, w], [mean, deviation, middle])) in features.iter().zip(layers) {
            assert_eq!((name, feature.dims()), (wanted, &[1, *c, *h, *w][..]));
            let values: Vec<f64> = feature.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f64::from).collect();
            let found_mean = values.iter().sum::<f64>() / values.len() as f64;
            let found = (values.iter().map(|v| (v - found_mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
            let at = values[(c / 2 * h + h / 2) * w + w / 3];
            for (found, wanted) in [(found_mean, mean), (found, deviation), (at, middle)] {
                assert!((found - wanted).abs() <= 1e-3 * deviation, "{kind:?} {name}: {found} instead of {wanted}");
            }
        }
    }
}

#[test]
fn lpips_is_that_of_numpy_and_of_nothing_nothing() {
    let waves = Waves(prepared(PerceptualKind::SqueezeNet, BTreeMap::new()));
    let lpips = Lpips::new(&Scope::root(&waves), &Scope::root(&waves)).unwrap();
    let picture = |frequency, scale| {
        let values = wave(3 * 37 * 45, frequency, scale).map(|v| v + 0.5).collect();
        Tensor::from_vec(values, (1, 3, 37, 45), &Device::Cpu).unwrap()
    };
    let [a, b] = [picture(0.11, 0.5), picture(0.05, 0.4)];
    let found = lpips.distance(&a, &b).unwrap();
    assert!((found - 1.883_864e-2).abs() < 2e-5, "{found}");
    assert_eq!(lpips.distance(&a, &a).unwrap(), 0.0);
}

#[test]
fn a_network_is_known_by_its_tensors_and_a_layer_that_is_not_there_is_named() {
    let tensors = |names: &[(&str, &[usize])]| -> Tensors {
        names.iter().map(|(name, dims)| ((*name).to_owned(), Dense { dims: dims.to_vec(), values: vec![] })).collect()
    };
    let first: (&str, &[usize]) = ("features.0.weight", &[64, 3, 3, 3]);
    let vgg19 = tensors(&[first, ("features.16.weight", &[256, 256, 3, 3])]);
    assert_eq!(PerceptualKind::of(&vgg19).unwrap(), PerceptualKind::Vgg19);
    assert_eq!(PerceptualKind::of(&tensors(&[first, ("features.17.weight", &[512, 256, 3, 3])])).unwrap(), PerceptualKind::Vgg16);
    let squeeze = tensors(&[first, ("features.3.squeeze.weight", &[16, 64, 1, 1])]);
    assert_eq!(PerceptualKind::of(&squeeze).unwrap(), PerceptualKind::SqueezeNet);
    assert!(PerceptualKind::of(&tensors(&[("head.weight", &[3, 3])])).unwrap_err().to_string().contains("VGG-19"));

    let waves = Waves(prepared(PerceptualKind::Vgg19Front, BTreeMap::new()));
    let error =
        Perceptual::new(PerceptualKind::Vgg19Front, &["relu9_9"], &Scope::root(&waves)).map(drop).unwrap_err().to_string();
    assert!(error.contains("relu9_9") && error.contains("relu3_1"), "{error}");
}
