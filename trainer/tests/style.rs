//! Style transfer from the command line, judged by a network with random weights.
#![allow(clippy::unwrap_used)] // In a test, a panic is how it fails.

mod command;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::{DType, Device};
use command::{best, fail, folder, stderr, succeed, trainer};
use rand::RngExt;
use shared::checkpoint::{Checkpoint, Dense, Metadata, Precision};
use shared::engine::candle::values;
use shared::imresize::{Side, scaled};
use shared::models::{ImageConfig, TransformNetConfig};
use shared::picture::{Format, Picture};
use shared::pipeline::restyle::{Look, restyle};
use shared::session::{Engine, Session};
use trainer::data::dead_leaves;
use trainer::seed;
use trainer::style::gatys::{Mover, Optimisation, Start};
use trainer::style::judge::{Judge, Objective, number};
use trainer::style::pictures::tensor;

/// Two pictures, and a network that judges, of the layers of VGG-19's front.
fn prepare(name: &str) -> std::path::PathBuf {
    let folder = folder(name);
    for (picture, name) in dead_leaves::pictures(2, 48, 1).into_iter().zip(["photo", "painting"]) {
        fs::write(folder.join(format!("{name}.png")), picture.encode(Format::Png).unwrap()).unwrap();
    }
    let layers = [(0, 3, 3, 1), (2, 3, 64, 3), (5, 64, 64, 3), (9, 64, 128, 3), (12, 128, 128, 3), (16, 128, 256, 3)];
    let mut rng = seed::rng(0, "judge", 0);
    let mut tensors = BTreeMap::new();
    for (number, inputs, outputs, kernel) in layers {
        let dims = vec![outputs, inputs, kernel, kernel];
        let bound = (6.0 / (inputs * kernel * kernel) as f32).sqrt();
        let values = (0..dims.iter().product()).map(|_| rng.random_range(-bound..bound)).collect();
        tensors.insert(format!("{number}.weight"), Dense { dims, values });
        tensors.insert(format!("{number}.bias"), Dense { dims: vec![outputs], values: vec![0.0; outputs] });
    }
    // Any safetensors file will do; ours has metadata beside.
    let metadata =
        Metadata::new(ImageConfig::TransformNet(TransformNetConfig { channels: 1, blocks: 1, styles: 0, bounded: false }));
    let judge = Checkpoint { metadata, tensors }.to_bytes(Precision::F16).unwrap();
    fs::write(folder.join("judge.safetensors"), judge).unwrap();
    folder
}

const SMALL: [&str; 12] =
    ["--judge", "judge.safetensors", "--channels", "4", "--blocks", "1", "--batch", "1", "--size", "32", "--ema", "0"];

fn read(path: &Path) -> Picture {
    Picture::decode(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn gatys_brings_a_picture_closer_and_keeps_colours_where_it_shall() {
    let folder = prepare("gatys");
    let goal = ["--judge", "judge.safetensors", "--content", "photo.png", "--style", "painting.png:2", "--style", "photo.png:1"];
    for (name, more) in [
        ("lbfgs", &["--keep-colours"][..]),
        ("adam", &["--optimizer", "adam", "--gram", "diagonal", "--start", "median-noise"]),
        ("sgd", &["--optimizer", "sgd", "--gram", "stats", "--start", "noise", "--smoothness", "0.1"]),
    ] {
        let rest = ["--sizes", "32,48", "--steps", "4", "--pictures", "2", "--name", name];
        succeed(&folder, &[&["train", "gatys"][..], &goal, &rest, more].concat());
        let run = folder.join("runs").join(name);
        let losses: Vec<f64> = csv_column(&run.join("metrics.csv"), "loss");
        assert_eq!(losses.len(), 8);
        assert!(losses[3] < losses[0] && losses[7] < losses[4], "{name}: {losses:?}");
        assert_eq!(read(&run.join("result.png")).width(), 48);
        assert_eq!(read(&run.join("sheet.png")).width(), 2 * 48 + 4);
    }
    let said = fail(&folder, &[&["train", "gatys"][..], &goal, &["--layers", "relu7_7"]].concat());
    assert!(said.contains("relu7_7") && said.contains("relu3_1"), "{said}");
    let said =
        fail(&folder, &["train", "gatys", "--judge", "none.safetensors", "--content", "photo.png", "--style", "photo.png"]);
    assert!(said.contains("none.safetensors") && said.contains("trainer data perceptual"), "{said}");
}

/// `--half` is for CUDA, but f16 is the same numbers on the CPU.
#[test]
fn in_half_precision_gatys_goes_the_same_way() {
    let folder = prepare("half");
    let device = Device::Cpu;
    let open = |name: &str| tensor(&read(&folder.join(name)), &device).unwrap();
    let (photo, painting) = (open("photo.png"), open("painting.png"));
    let steps = |dtype| {
        let judge = Judge::open_as(&folder.join("judge.safetensors"), Objective::default(), &device, dtype).unwrap();
        let style = judge.style(&painting).unwrap();
        let start = Start::Noise.pixels(&photo, 1).unwrap();
        let mut optimisation = Optimisation::new(&judge, &photo, style, &start, Mover::Sgd, Mover::Sgd.usual_rate()).unwrap();
        let losses: Vec<f64> = (0..4).map(|_| optimisation.step().unwrap().loss).collect();
        (losses, values(&optimisation.picture().unwrap()).unwrap())
    };
    let ((losses, pixels), (half_losses, half_pixels)) = (steps(DType::F32), steps(DType::F16));
    for (half, whole) in half_losses.iter().zip(&losses) {
        assert!((half - whole).abs() < 0.01 * whole, "{half_losses:?} instead of {losses:?}");
    }
    assert!(half_losses[3] < half_losses[0], "{half_losses:?}");
    let off = pixels.iter().zip(&half_pixels).map(|(a, b)| (a - b).abs()).sum::<f32>() / pixels.len() as f32;
    assert!(off < 0.01, "{off}");
}

/// A CPU with AMX multiplies in bf16; another one says what is missing.
#[test]
fn half_precision_on_a_cpu_wants_matrix_units() {
    let folder = prepare("units");
    let gatys = ["--content", "photo.png", "--style", "photo.png", "--size", "32", "--steps", "2", "--half"];
    let style = ["--data", "photo.png", "--style", "painting.png", "--steps", "2", "--every", "2", "--precision", "bf16"];
    for args in [[&["train", "gatys"][..], &SMALL[..2], &gatys].concat(), [&["train", "style"][..], &SMALL, &style].concat()] {
        let output = trainer(&folder).args(&args).output().unwrap();
        let said = stderr(&output);
        assert!(output.status.success() || said.contains("CPUs with AMX"), "trainer {args:?}: {said}");
    }
    let said = fail(&folder, &[&["train", "style"][..], &SMALL, &style[..8], &["--precision", "f16"]].concat());
    assert!(said.contains("f16 is for CUDA"), "{said}");
}

/// What is asked to be stable makes less of a camera's noise.
#[test]
fn a_network_learns_not_to_flicker() {
    let folder = prepare("flicker");
    let photo = read(&folder.join("photo.png"));
    let mut rng = seed::rng(2, "noise", 0);
    let planes = photo.planes(photo.bounds(), 0, 3);
    let shaken: Vec<f32> = planes.iter().map(|value| value + rng.random_range(-0.05..0.05)).collect();
    let shaken = Picture::from_planes(photo.width(), photo.height(), &shaken).unwrap();
    let [unasked, asked] = ["0", "100"].map(|stability| {
        let name = format!("stability-{stability}");
        let run = ["--data", "photo.png", "--style", "painting.png", "--steps", "40", "--every", "40", "--name", &name];
        succeed(&folder, &[&["train", "style", "--stability", stability][..], &SMALL, &run].concat());
        let network = Checkpoint::read(&best(&folder, &name)).unwrap();
        let session = Session::new(&network, Engine::Candle(Device::Cpu)).unwrap();
        let look = Look::new(&network.metadata.styles, &[("painting".to_owned(), 1.0)], 1.0).unwrap();
        let [a, b] = [&photo, &shaken].map(|picture| pollster::block_on(restyle(&session, picture, &look)).unwrap());
        let [a, b] = [a, b].map(|picture| picture.planes(picture.bounds(), 0, 3));
        a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f32>()
    });
    assert!(asked < 0.7 * unasked, "{asked} where it was asked, {unasked} where not");
}

/// A picture of black and white is at both ends of what can be shown, and neither the loss nor the line search looks beyond them.
#[test]
fn the_loss_of_gatys_is_that_of_the_picture_that_is_shown() {
    let folder = prepare("shown");
    let open = |name: &str| tensor(&read(&folder.join(name)), &Device::Cpu).unwrap();
    let (photo, painting) = (open("photo.png"), open("painting.png"));
    let judge = Judge::open(&folder.join("judge.safetensors"), Objective::default(), &Device::Cpu).unwrap();
    let style = judge.style(&painting).unwrap();
    let start = photo.affine(20.0, -10.0).unwrap().clamp(0.0, 1.0).unwrap();
    let mut optimisation = Optimisation::new(&judge, &photo, style.clone(), &start, Mover::Lbfgs, 1.0).unwrap();
    let evaluations = (0..30).map(|_| optimisation.step().unwrap().evaluations).last().unwrap();
    assert!(evaluations <= 45, "{evaluations} evaluations for 30 steps");
    let shown = optimisation.picture().unwrap();
    let loss = number(&judge.losses(&shown, &judge.content(&photo).unwrap(), &style).unwrap().total).unwrap();
    let said = optimisation.step().unwrap().loss;
    assert!((loss - said).abs() < 1e-5 * loss, "{said} instead of {loss}");
}

#[test]
fn the_ways_of_gatys_are_compared_on_one_page() {
    let folder = prepare("ladder-gatys");
    let goal = ["--judge", "judge.safetensors", "--content", "photo.png", "--style", "painting.png", "--size", "32"];
    succeed(&folder, &[&["ladder", "gatys", "--steps", "2"][..], &goal].concat());
    let page = fs::read_to_string(folder.join("runs/ladder-gatys/report.html")).unwrap();
    assert_eq!(page.matches("data:image/png").count(), 6);
    assert!(page.contains("| SGD | 6 | 6 |"), "{page}");
}

#[test]
fn a_network_of_styles_learns_grows_and_restyles() {
    let folder = prepare("style");
    let train = |more: &[&str]| succeed(&folder, &[&["train", "style", "--data", "photo.png"][..], &SMALL, more].concat());
    train(&["--style", "first=painting.png", "--steps", "30", "--every", "30", "--name", "one"]);
    let one = best(&folder, "one");
    train(&["--style", "second=photo.png", "--add-to", &one.to_string_lossy(), "--steps", "6", "--every", "6", "--name", "two"]);
    let (before, after) = (Checkpoint::read(&one).unwrap(), Checkpoint::read(&best(&folder, "two")).unwrap());
    let names: Vec<&str> = after.metadata.styles.iter().map(|style| style.name.as_str()).collect();
    assert_eq!(names, ["first", "second"]);
    let mut learnt = false;
    for (name, tensor) in &after.tensors {
        if !name.contains(".norm.") {
            assert_eq!(tensor, &before.tensors[name], "{name} is not the new style's");
            continue;
        }
        for (old, new) in before.tensors[name].values.iter().zip(tensor.values.chunks_exact(2)) {
            assert_eq!(*old, new[0], "{name}: the other style stays");
            learnt |= new[1] != *old;
        }
    }
    assert!(learnt, "the new style has learnt nothing");

    let two = best(&folder, "two");
    let weights = two.to_string_lossy();
    let listed = succeed(&folder, &["run", "style", "--weights", &weights, "--list"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("second"));
    let run = |style: &str, more: &[&str]| {
        let out = format!("{}.png", style.replace([':', ','], "-"));
        let rest = ["run", "style", "--weights", &*weights, "--style", style, "photo.png", "-o", &out];
        succeed(&folder, &[&rest[..], more].concat());
        read(&folder.join(out))
    };
    let (first, blend) =
        (run("first", &[]), run("first:0.6,second:0.4", &["--strength", "0.8", "--size", "30", "--keep-colours"]));
    assert_eq!((first.width(), blend.width()), (48, 30));
    let said = fail(&folder, &["run", "style", "--weights", &weights, "--style", "monet", "photo.png", "-o", "x.png"]);
    assert!(said.contains("monet") && said.contains("second"), "{said}");

    let sheet =
        ["run", "style", "--weights", &*weights, "--sheet", "--size", "24", "photo.png", "painting.png", "-o", "sheet.png"];
    succeed(&folder, &sheet);
    let sheet = read(&folder.join("sheet.png"));
    let small = scaled(&read(&folder.join("photo.png")), Side::Longer(24)).unwrap();
    assert_eq!([sheet.width(), sheet.height()], [3 * 24 + 2 * 4, 2 * small.height() + 4]);
    assert_eq!(sheet.crop(small.bounds()), small, "a row begins with the picture as it is");
    let said =
        fail(&folder, &["run", "style", "--weights", &weights, "--style", "first", "photo.png", "painting.png", "-o", "x.png"]);
    assert!(said.contains("--sheet"), "{said}");

    let exported = succeed(&folder, &["export", &weights, "--style", "second", "--onnx", "second.onnx"]);
    assert!(stderr(&exported).contains("opset 17"));
    assert!(fail(&folder, &["export", &weights, "--onnx", "none.onnx"]).contains("--style"));

    let measured = ["--judge", "judge.safetensors", "--data", "photo.png", "--style", "first=painting.png", "--style-size", "32"];
    let scores = succeed(&folder, &[&["eval", "style", "--json", "--weights", &*weights][..], &measured].concat());
    assert!(String::from_utf8_lossy(&scores.stdout).contains(r#"[{"name":"first","content":"#));
    let title = ["--title", "first=The First, nobody, 2026", "--models", "models", "--picture", "sheet.png=Every style"];
    succeed(&folder, &[&["publish", "style", "--weights", &*weights][..], &measured, &title].concat());
    let card = fs::read_to_string(folder.join("models/style.md")).unwrap();
    assert!(card.contains("`first`: The First, nobody, 2026") && card.contains("| `first` |"), "{card}");
    assert!(card.contains("![Every style](style-sheet.png)") && folder.join("models/style-sheet.png").exists(), "{card}");
}

#[test]
fn any_picture_is_a_style() {
    let folder = prepare("adain");
    let goal = ["train", "adain", "--data", "photo.png", "--style", "painting.png", "--steps", "8", "--every", "8"];
    succeed(&folder, &[&goal[..], &SMALL, &["--name", "any"]].concat());
    let weights = best(&folder, "any");
    let weights = weights.to_string_lossy();
    let run = |more: &[&str], out: &str| {
        let rest = ["run", "style", "--weights", &*weights, "photo.png", "-o", out, "--style-size", "32"];
        succeed(&folder, &[&rest[..], more].concat());
        read(&folder.join(out))
    };
    let taken = run(&["--take", "painting.png"], "taken.png");
    assert_eq!((taken.width(), taken.height()), (48, 48));
    let blend = run(&["--take", "a=painting.png", "--take", "b=photo.png", "--style", "a:0.3,b:0.7"], "blend.png");
    assert!(blend != taken);
    let said = fail(&folder, &["run", "style", "--weights", &weights, "--style", "a", "photo.png", "-o", "x.png"]);
    assert!(said.contains("--take"), "{said}");

    let measured = ["--judge", "judge.safetensors", "--data", "photo.png", "--style", "a=painting.png", "--style-size", "32"];
    let rest = ["--unseen", "b=photo.png", "--models", "models"];
    succeed(&folder, &[&["publish", "style", "--weights", &*weights][..], &measured, &rest].concat());
    let card = fs::read_to_string(folder.join("models/own-style.md")).unwrap();
    assert!(card.contains("| `a` |") && card.contains("| `b`, not seen"), "{card}");
    let stored = Checkpoint::read(&folder.join("models/own-style.safetensors")).unwrap();
    assert_eq!(stored.metadata.styles.iter().map(|style| style.name.as_str()).collect::<Vec<_>>(), ["a"]);

    let compared =
        ["--judge", "judge.safetensors", "--data", "photo.png", "--style", "a=painting.png", "--size", "32", "--steps", "2"];
    succeed(&folder, &[&["ladder", "style", "--style-size", "32", "--weights", &*weights][..], &compared].concat());
    let sheet = read(&folder.join("runs/ladder-style/sheet.png"));
    assert_eq!((sheet.width(), sheet.height()), (68, 68), "the style, the photo, and the result");
    let page = fs::read_to_string(folder.join("runs/ladder-style/report.html")).unwrap();
    assert!(page.contains("| `a` |") && page.matches("data:image/png").count() == 2, "{page}");

    let said = fail(&folder, &[&goal[..], &SMALL, &["--content-layer", "relu1_1", "--name", "fine"]].concat());
    assert!(said.contains("relu1_1") && said.contains("quarter"), "{said}");
}

fn csv_column(path: &Path, name: &str) -> Vec<f64> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let column = lines.next().unwrap().iter().position(|head| *head == name).unwrap();
    lines.map(|line| line[column].parse().unwrap()).collect()
}
