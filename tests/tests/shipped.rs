//! What is shipped in `web/models` is whole, fits its model and is what the list says.
#![cfg(not(target_arch = "wasm32"))]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::Device;
use pollster::block_on;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use sha2::{Digest, Sha256};
use shared::checkpoint::Checkpoint;
use shared::engine::webgpu::{Context, Precision};
use shared::picture::Picture;
use shared::pipeline::restyle::{Look, restyle};
use shared::pipeline::search::Search;
use shared::pipeline::translate::Translator;
use shared::session::{Engine, Session};
use tests::gpu::half_context;
use tests::parity;

/// A page on a slow line waits for them: for pictures, and for sentences.
const LARGEST: [usize; 2] = [2_000_000, 12_000_000];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../web/models")
}

/// The entries of the list, each with the bytes of its file.
fn models() -> Vec<(Value, Vec<u8>)> {
    let list: Value = serde_json::from_slice(&fs::read(folder().join("models.json")).expect("models.json")).expect("JSON");
    let models = list["models"].as_array().expect("models").iter();
    models.map(|model| (model.clone(), fs::read(folder().join(text(model, "file"))).expect("the weights"))).collect()
}

fn text<'a>(model: &'a Value, key: &str) -> &'a str {
    model[key].as_str().unwrap_or_else(|| panic!("{key} of {model}"))
}

#[test]
fn the_files_are_those_of_the_list() {
    let models = models();
    for (model, bytes) in &models {
        assert_eq!(model["bytes"], bytes.len(), "{model}");
        let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text(model, "sha256"), hex, "{}: run `trainer publish`, do not copy", text(model, "name"));
        assert!(
            bytes.len() <= LARGEST[usize::from(text(model, "task") != "superres")],
            "{} has {} bytes",
            text(model, "name"),
            bytes.len()
        );
    }
    let mut listed: BTreeSet<String> =
        models.iter().flat_map(|(m, _)| [text(m, "file"), text(m, "card")]).map(String::from).collect();
    // The pictures that the cards show.
    for (model, _) in &models {
        let card = fs::read_to_string(folder().join(text(model, "card"))).unwrap();
        let pictures = card.lines().filter_map(|line| line.strip_prefix("![")?.strip_suffix(')')?.split_once("]("));
        listed.extend(pictures.map(|(_, file)| file.to_owned()));
    }
    let there = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let there: BTreeSet<String> = there.filter(|name| name != "models.json").collect();
    assert_eq!(there, listed, "files in web/models, and files in models.json and on cards");
}

#[test]
fn there_is_a_fast_and_a_good_one_for_every_scale() {
    let models = models();
    let offered: BTreeSet<(u64, &str)> = models
        .iter()
        .filter(|(m, _)| text(m, "task") == "superres")
        .map(|(m, _)| (m["scale"].as_u64().expect("scale"), text(m, "quality")))
        .collect();
    for wanted in [(2, "fast"), (2, "quality"), (4, "fast"), (4, "quality")] {
        assert!(offered.contains(&wanted), "{wanted:?} is not in {offered:?}");
    }
    let pictures = models.iter().filter(|(m, _)| text(m, "task") == "superres").count();
    assert_eq!(offered.len(), pictures, "two models for the same purpose");
}

#[test]
fn dates_become_iso() {
    for (model, bytes) in models() {
        if text(&model, "task") != "dates" {
            continue;
        }
        let translator = Translator::new(&Checkpoint::from_bytes(&bytes).unwrap(), &Device::Cpu).unwrap();
        let read = |date: &str| translator.translate(date, &Search { beam: 1, ..Search::default() }).unwrap()[0].text.clone();
        for (date, iso) in [
            ("Monday, May 3rd, 2021", "2021-05-03"),
            ("le 14 juillet 1989", "1989-07-14"),
            ("Montag, den 24. Dezember 2001", "2001-12-24"),
            ("31.12.99", "1999-12-31"),
            ("17 de agosto de 1955", "1955-08-17"),
            ("2 FEBBRAIO 2040", "2040-02-02"),
        ] {
            assert_eq!(read(date), iso, "{date}");
        }
        let pairs = trainer::translate::dates::pairs(2, 200, true);
        let right = pairs.iter().filter(|pair| read(&pair.source) == pair.target).count();
        assert!(right >= 198, "{right} of 200 dates are right");
    }
}

#[test]
fn every_model_loads_and_fits() {
    for (model, bytes) in models() {
        let name = text(&model, "name");
        let stored = SafeTensors::deserialize(&bytes).expect(name);
        assert!(stored.iter().all(|(_, tensor)| tensor.dtype() == Dtype::F16), "{name} is not f16 throughout");

        let checkpoint = Checkpoint::from_bytes(&bytes).expect(name);
        let parameters: usize = checkpoint.tensors.values().map(|tensor| tensor.values.len()).sum();
        assert_eq!(model["parameters"], parameters, "{name}");
        let metrics: BTreeMap<String, f64> = serde_json::from_value(model["metrics"].clone()).expect(name);
        assert_eq!(metrics, checkpoint.metadata.metrics, "{name}: the list and the file tell different measurements");

        if ["style", "own-style"].contains(&text(&model, "task")) {
            redraws_in_every_style(&checkpoint);
            continue;
        }
        if text(&model, "task") != "superres" {
            Translator::new(&checkpoint, &Device::Cpu).expect(name);
            continue;
        }
        assert_eq!(model["scale"], checkpoint.image().unwrap().scale(), "{name}");

        // It is trained: a grey plane stays one, which a network of random weights does not do.
        let session = Session::new(&checkpoint, Engine::Candle(Device::Cpu)).expect(name);
        let side = 4 * session.config().receptive_field().expect(name);
        let output = block_on(session.forward(&vec![0.5; 3 * side * side], side, side)).expect(name);
        let width = side * session.config().scale();
        assert_eq!(output.len(), 3 * width * width, "{name}");
        // Away from the border, which the network sees as black.
        let inner = |i: &usize| {
            (width / 4..3 * width / 4).contains(&(i % width)) && (width / 4..3 * width / 4).contains(&(i / width % width))
        };
        let worst = (0..output.len()).filter(inner).map(|i| (output[i] - 0.5).abs()).fold(0.0, f32::max);
        assert!(worst < 0.03, "{name}: a grey plane is off by {worst}");
    }
}

/// It is trained: every style is another one, and what was light in the picture is lighter than what was dark.
fn redraws_in_every_style(checkpoint: &Checkpoint) {
    let session = Session::new(checkpoint, Engine::Candle(Device::Cpu)).unwrap();
    let styles = &checkpoint.metadata.styles;
    assert!(styles.len() >= 7, "{} styles", styles.len());
    let picture = trainer::data::dead_leaves::pictures(1, 128, 4).remove(0);
    let light = |picture: &Picture| -> Vec<f32> {
        let planes = picture.planes(picture.bounds(), 0, 3);
        let plane = planes.len() / 3;
        let light: Vec<f32> = (0..plane).map(|i| planes[i] + planes[plane + i] + planes[2 * plane + i]).collect();
        let mean = light.iter().sum::<f32>() / plane as f32;
        light.into_iter().map(|v| v - mean).collect()
    };
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let before = light(&picture);
    let mut results: Vec<Vec<f32>> = Vec::new();
    for style in styles {
        let name = &style.name;
        assert!(style.title.contains(", "), "{name} does not say who painted it: {}", style.title);
        let look = Look::new(styles, &[(name.clone(), 1.0)], 1.0).unwrap();
        let result = block_on(restyle(&session, &picture, &look)).unwrap();
        let after = light(&result);
        let alike = dot(&before, &after) / (dot(&before, &before) * dot(&after, &after)).sqrt();
        assert!(alike > 0.3, "{name}: light goes with the picture's by {alike} only");
        let result = result.planes(result.bounds(), 0, 3);
        for other in &results {
            let off = other.iter().zip(&result).map(|(a, b)| (a - b).abs()).sum::<f32>() / result.len() as f32;
            assert!(off > 0.02, "{name} is like another, {off}");
        }
        results.push(result);
    }
}

/// A camera's noise on a still scene must not flicker: what changes in the result is about as much as what changes in the picture.
#[test]
fn noise_is_not_made_flicker() {
    let picture = trainer::data::dead_leaves::pictures(1, 160, 6).remove(0);
    let planes = picture.planes(picture.bounds(), 0, 3);
    // Two levels of 255, as of a camera in a room.
    let noisy: Vec<f32> = planes.iter().zip(parity::values(9, planes.len())).map(|(v, noise)| v + noise * 0.014).collect();
    let noisy = Picture::from_planes(picture.width(), picture.height(), &noisy).unwrap();
    let rms = |a: &Picture, b: &Picture| {
        let [a, b] = [a, b].map(|picture| picture.planes(picture.bounds(), 0, 3));
        (a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / a.len() as f32).sqrt()
    };
    let put_in = rms(&picture, &noisy);
    for (model, bytes) in models().into_iter().filter(|(model, _)| ["style", "own-style"].contains(&text(model, "task"))) {
        let checkpoint = Checkpoint::from_bytes(&bytes).unwrap();
        let session = Session::new(&checkpoint, Engine::Candle(Device::Cpu)).unwrap();
        for style in &checkpoint.metadata.styles {
            let look = Look::new(&checkpoint.metadata.styles, &[(style.name.clone(), 1.0)], 1.0).unwrap();
            let [a, b] = [&picture, &noisy].map(|picture| block_on(restyle(&session, picture, &look)).unwrap());
            let ratio = rms(&a, &b) / put_in;
            println!("{}, {}: {ratio:.2} of the noise", text(&model, "name"), style.name);
            assert!(ratio < 1.5, "{}, {}: {ratio} times the noise", text(&model, "name"), style.name);
        }
    }
}

#[test]
fn f16_changes_no_picture_visibly() {
    let Some(half) = half_context() else { return };
    let single = half.with_precision(Precision::F32).unwrap();
    let (height, width) = (48, 40);
    // A slope with a dark and a bright square, and grain: smooth parts, edges and corners.
    let grain = parity::values(5, 3 * height * width);
    let input: Vec<f32> = (0..3 * height * width)
        .map(|i| {
            let (x, y) = (i % width, i / width % height);
            let square = if x > 8 && x < 20 && y > 10 && y < 30 { 0.9 } else { 0.0 };
            (0.05 + 0.7 * x as f32 / width as f32 - square + 0.02 * grain[i]).rem_euclid(1.0)
        })
        .collect();
    for (model, bytes) in models().into_iter().filter(|(model, _)| text(model, "task") == "superres") {
        let name = text(&model, "name");
        let checkpoint = Checkpoint::from_bytes(&bytes).expect(name);
        let run = |context: &Arc<Context>| {
            let session = Session::new(&checkpoint, Engine::WebGpu(context.clone())).expect(name);
            block_on(session.forward(&input, height, width)).expect(name)
        };
        let (got, wanted) = (run(&half), run(&single));
        let off: Vec<f32> = got.iter().zip(&wanted).map(|(a, b)| 255.0 * (a - b).abs()).collect();
        let worst = off.iter().copied().fold(0.0, f32::max);
        let mean = (off.iter().map(|d| d * d).sum::<f32>() / off.len() as f32).sqrt();
        println!("{name}: off by {mean:.3} of 255 on average, {worst:.3} at most");
        assert!(worst < 0.5, "{name}: {worst} of 255");
    }
}

#[test]
fn every_card_names_the_data_and_the_figures() {
    for (model, bytes) in models() {
        let name = text(&model, "name");
        let card = fs::read_to_string(folder().join(text(&model, "card"))).expect(name);
        let checkpoint = Checkpoint::from_bytes(&bytes).expect(name);
        let data =
            checkpoint.metadata.provenance.get("data").unwrap_or_else(|| panic!("{name} does not say what it learnt from"));
        assert!(card.contains(name) && card.contains(data.as_str()), "{name}: the card does not name the data, {data}");
        let (metric, scale, digits) = match text(&model, "task") {
            "superres" => ("set5_psnr", 1.0, 2),
            "dates" => ("exact_match", 100.0, 2),
            "style" | "own-style" => ("style_loss", 1.0, 4),
            _ => ("test_2016_flickr_bleu", 1.0, 2),
        };
        let value = checkpoint.metadata.metrics.get(metric).unwrap_or_else(|| panic!("{name} has no {metric}"));
        assert!(card.contains(&format!("{:.digits$}", scale * value)), "{name}: {metric} {value} is not in the card");
    }
}
