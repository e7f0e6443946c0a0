//! The program `trainer` as a person uses it.
#![allow(clippy::unwrap_used)] // In a test, a panic is how it fails.

mod command;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use command::{best, fail, folder, stderr, succeed, trainer};
use shared::checkpoint::{Checkpoint, Dense, Precision};
use shared::picture::{Format, Picture};

/// A small network, trained for seconds.
const SMALL: [&str; 10] = ["--channels", "4", "--blocks", "1", "--batch", "2", "--sizes", "8", "--every", "10"];

fn picture(width: usize, height: usize) -> Picture {
    let pixel = |i: usize| {
        let (x, y) = (i % width, i / width);
        [(x * 37 + y * 11) as u8, (x * y) as u8, (128.0 + 100.0 * (x as f32 / 5.0).sin()) as u8, 255]
    };
    Picture::from_rgba8(width, height, (0..width * height).flat_map(pixel).collect()).unwrap()
}

/// A folder of pictures, one of them broken.
fn pictures(folder: &Path) -> PathBuf {
    let data = folder.join("pictures");
    fs::create_dir_all(data.join("deeper")).unwrap();
    for (name, side) in [("a.png", 40), ("b.png", 48), ("deeper/c.png", 56)] {
        fs::write(data.join(name), picture(side, side - 3).encode(Format::Png).unwrap()).unwrap();
    }
    fs::write(data.join("broken.jpg"), b"\xff\xd8\xff\xe0 and no more").unwrap();
    data
}

/// A folder with a finished run of 20 steps on made-up pictures, `runs/made-up`.
static TRAINED: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = folder("trained");
    let train = [["train", "superres", "--steps", "20", "--name", "made-up"].as_slice(), &SMALL].concat();
    succeed(&folder, &train);
    folder
});

#[test]
fn training_needs_no_data() {
    let run = TRAINED.join("runs/made-up");
    let checkpoint = Checkpoint::read(&best(&TRAINED, "made-up")).unwrap();
    assert!(checkpoint.metadata.provenance["data"].contains("made up"));
    assert_eq!(checkpoint.metadata.provenance["steps"], "20");
    let log = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let steps: Vec<&str> = log.lines().map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(steps, ["step", "10", "20"], "{log}");
    for file in ["config.toml", "machine.toml", "curves.svg", "curves.png", "report.html"] {
        assert!(fs::metadata(run.join(file)).unwrap().len() > 50, "{file}");
    }
    for sample in ["samples/0000010.png", "samples/0000020.png"] {
        assert!(Picture::decode(&fs::read(run.join(sample)).unwrap()).is_ok());
    }
    let said = fail(&TRAINED, &["train", "superres", "--steps", "20", "--name", "made-up"]);
    assert!(said.contains("made-up") && said.contains("--resume"), "{said}");
}

/// The tensors of a run's file.
fn tensors(folder: &Path, run: &str, file: &str) -> Vec<(String, Dense)> {
    Checkpoint::read(&folder.join("runs").join(run).join("checkpoints").join(file)).unwrap().tensors.into_iter().collect()
}

/// Everything of `metrics.csv` but the time.
fn metrics(folder: &Path, run: &str) -> Vec<Vec<String>> {
    let log = fs::read_to_string(folder.join("runs").join(run).join("metrics.csv")).unwrap();
    let fields = |line: &str| line.split(',').enumerate().filter(|(i, _)| *i != 2).map(|(_, f)| f.to_owned()).collect();
    log.lines().map(fields).collect()
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_a_resumed_run_ends_as_one_that_never_stopped() {
    let folder = folder("resumed");
    pictures(&folder);
    let args = |name| {
        let mut args = vec!["train", "superres", "--data", "pictures", "--steps", "400", "--seed", "5", "--name", name];
        args.extend(SMALL);
        args
    };
    succeed(&folder, &args("whole"));

    let child = trainer(&folder).args(args("stopped")).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    // The first line of the log says that steps are being made.
    let log = folder.join("runs/stopped/metrics.csv");
    while !log.exists() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let output = child.wait_with_output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success() && said.contains("stopped and saved at step"), "{said}");
    let step: u64 =
        Checkpoint::read(&folder.join("runs/stopped/checkpoints/last.safetensors")).unwrap().metadata.provenance["step"]
            .parse()
            .unwrap();
    assert!((10..400).contains(&step), "stopped at step {step}");
    assert!(best(&folder, "stopped").exists());

    // What was not asked for at the beginning is refused, not mixed in.
    let other = [args("stopped").as_slice(), &["--lr", "0.01", "--resume"]].concat();
    let refused = fail(&folder, &other);
    assert!(refused.contains("runs/stopped") && refused.contains("rate: 0.002 before, 0.01 now"), "{refused}");

    succeed(&folder, &[args("stopped").as_slice(), &["--resume"]].concat());
    for file in ["last.safetensors", "best.safetensors"] {
        assert_eq!(tensors(&folder, "stopped", file), tensors(&folder, "whole", file), "{file}");
    }
    assert_eq!(metrics(&folder, "stopped"), metrics(&folder, "whole"));
}

/// Killed at any moment, twenty times, a run ends as one that was left alone.
#[test]
fn a_killed_run_ends_as_one_that_was_not() {
    let folder = folder("killed");
    pictures(&folder);
    let args = |name| {
        let run =
            ["train", "superres", "--data", "pictures", "--steps", "120", "--seed", "3", "--accumulate", "2", "--name", name];
        [run.as_slice(), &SMALL].concat()
    };
    let whole = std::time::Instant::now();
    succeed(&folder, &args("whole"));
    let whole = whole.elapsed();

    for kill in 1..=20u32 {
        let begun = folder.join("runs/killed/config.toml").exists();
        let resume: &[&str] = if begun { &["--resume"] } else { &[] };
        let mut child = trainer(&folder).args(args("killed")).args(resume).stderr(Stdio::null()).spawn().unwrap();
        // From while it starts until near its end.
        std::thread::sleep(whole * (kill * 7 % 20) / 20);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let resume: &[&str] = if folder.join("runs/killed/config.toml").exists() { &["--resume"] } else { &[] };
    succeed(&folder, &[args("killed").as_slice(), resume].concat());
    for file in ["last.safetensors", "best.safetensors"] {
        assert_eq!(tensors(&folder, "killed", file), tensors(&folder, "whole", file), "{file}");
    }
    assert_eq!(metrics(&folder, "killed"), metrics(&folder, "whole"));
}

#[test]
fn a_run_repeats_from_its_configuration() {
    let config = TRAINED.join("runs/made-up/config.toml");
    succeed(&TRAINED, &["train", "--config", config.to_str().unwrap(), "--name", "again"]);
    assert_eq!(tensors(&TRAINED, "again", "best.safetensors"), tensors(&TRAINED, "made-up", "best.safetensors"));

    let text = fs::read_to_string(&config).unwrap();
    for (line, wrong, said) in [("batch = 2", "batch = 0", "batch is 0"), ("seed = 0", "sead = 0", "sead")] {
        fs::write(TRAINED.join("wrong.toml"), text.replace(line, wrong)).unwrap();
        let error = fail(&TRAINED, &["train", "--config", "wrong.toml"]);
        assert!(error.contains("wrong.toml") && error.contains(said), "{error}");
    }
}

#[test]
fn lr_find_suggests_and_plots() {
    let folder = folder("lr-find");
    let network = ["--channels", "4", "--blocks", "1", "--batch", "4", "--sizes", "8", "--plot", "lr.png"];
    let output = succeed(&folder, &[["lr-find", "superres"].as_slice(), &network].concat());
    let rate: f64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert!((1e-6..1.0).contains(&rate), "{rate}");
    assert!(Picture::decode(&fs::read(folder.join("lr.png")).unwrap()).is_ok());
    assert!(fs::read_to_string(folder.join("lr.svg")).unwrap().contains("<svg"));
}

#[test]
fn run_enlarges_a_picture() {
    let folder = folder("run");
    let weights = best(&TRAINED, "made-up");
    fs::write(folder.join("in.png"), picture(30, 21).encode(Format::Png).unwrap()).unwrap();
    let run = ["run", "superres", "--weights", weights.to_str().unwrap(), "in.png", "-o"];
    for (name, tile) in [("out.png", "256"), ("out.webp", "256"), ("tiled.png", "16"), ("out.jpg", "256")] {
        succeed(&folder, &[run.as_slice(), &[name, "--tile", tile]].concat());
    }
    let read = |name: &str| Picture::decode(&fs::read(folder.join(name)).unwrap()).unwrap();
    let result = read("out.png");
    assert_eq!((result.width(), result.height()), (60, 42));
    assert_eq!(result.to_rgba8(), read("out.webp").to_rgba8(), "both are lossless");
    let jpeg = read("out.jpg");
    assert_eq!((jpeg.width(), jpeg.height()), (60, 42));
    let differ = |(a, b): (&u8, &u8)| a.abs_diff(*b) > 1;
    assert!(!result.to_rgba8().iter().zip(&read("tiled.png").to_rgba8()).any(differ), "tiles show");
}

#[test]
fn eval_measures_and_names_what_it_skips() {
    let folder = folder("eval");
    pictures(&folder);
    let weights = best(&TRAINED, "made-up");
    let eval = ["eval", "superres", "--weights", weights.to_str().unwrap(), "--data", "pictures", "--scale", "2"];
    let output = succeed(&folder, &[eval.as_slice(), &["--json"]].concat());
    let said = stderr(&output);
    assert!(said.contains("broken.jpg"), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for score in ["psnr", "bicubic_psnr"] {
        let mean = report[score].as_f64().unwrap();
        let all: Vec<f64> = report["pictures"].as_array().unwrap().iter().map(|p| p[score].as_f64().unwrap()).collect();
        assert_eq!(all.len(), 3);
        assert!((all.iter().sum::<f64>() / 3.0 - mean).abs() < 1e-9 && (5.0..60.0).contains(&mean), "{score}: {report}");
    }
    assert!((0.0..=1.0).contains(&report["ssim"].as_f64().unwrap()), "{report}");
    let table = succeed(&folder, &eval);
    assert!(String::from_utf8_lossy(&table.stdout).contains("mean"));
}

#[test]
fn publish_writes_weights_card_and_list() {
    let folder = folder("publish");
    pictures(&folder);
    let weights = best(&TRAINED, "made-up");
    let publish = |size, data| {
        let network = ["publish", "superres", "--weights", weights.to_str().unwrap(), "--size", size, "--test", data];
        [network.as_slice(), &["--trained-on", "leaves that nobody has seen", "--models", "models"]].concat()
    };
    succeed(&folder, &publish("fast", "Three=pictures"));
    succeed(&folder, &publish("quality", "Three=pictures"));
    // Again: the entry is replaced, not added.
    succeed(&folder, &publish("fast", "Three=pictures"));

    let models = folder.join("models");
    let list: serde_json::Value = serde_json::from_slice(&fs::read(models.join("models.json")).unwrap()).unwrap();
    let names: Vec<&str> = list["models"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["superres-x2-fast", "superres-x2-quality"]);
    let entry = &list["models"][0];
    let file = models.join(entry["file"].as_str().unwrap());
    assert_eq!(entry["bytes"], fs::metadata(&file).unwrap().len());
    assert_eq!(entry["scale"], 2);

    // What the list says is what `eval` measures.
    let eval = ["eval", "superres", "--weights", file.to_str().unwrap(), "--data", "pictures", "--json"];
    let report: serde_json::Value = serde_json::from_slice(&succeed(&folder, &eval).stdout).unwrap();
    for (listed, measured) in [("three_psnr", "psnr"), ("three_ssim", "ssim"), ("three_bicubic_psnr", "bicubic_psnr")] {
        let (listed, measured) = (entry["metrics"][listed].as_f64().unwrap(), report[measured].as_f64().unwrap());
        assert!((listed - measured).abs() < 1e-4, "{listed} in the list, {measured} measured");
    }
    let card = fs::read_to_string(models.join(entry["card"].as_str().unwrap())).unwrap();
    for part in ["leaves that nobody has seen", "Three", &format!("{:.2}", report["psnr"].as_f64().unwrap())] {
        assert!(card.contains(part), "`{part}` is not in {card}");
    }

    // A list that is broken is named and kept.
    fs::write(models.join("models.json"), "{").unwrap();
    let said = fail(&folder, &publish("fast", "Three=pictures"));
    assert!(said.contains("models.json"), "{said}");
    assert_eq!(fs::read(models.join("models.json")).unwrap(), b"{");
}

#[test]
fn errors_name_the_file_or_the_value() {
    let folder = folder("errors");
    let data = pictures(&folder);
    let weights = best(&TRAINED, "made-up");
    let weights = weights.to_str().unwrap();
    let file = fs::read(weights).unwrap();
    fs::write(folder.join("half.safetensors"), &file[..file.len() / 2]).unwrap();
    let mut nan = Checkpoint::from_bytes(&file).unwrap();
    nan.tensors.values_mut().next().unwrap().values[0] = f32::NAN;
    fs::write(folder.join("nan.safetensors"), nan.to_bytes(Precision::F32).unwrap()).unwrap();
    fs::create_dir(folder.join("empty")).unwrap();
    fs::write(folder.join("text.png"), "no picture").unwrap();

    let run = |weights: &'static str, input: &'static str, output: &'static str| -> Vec<&str> {
        vec!["run", "superres", "--weights", weights, input, "-o", output]
    };
    let broken = data.join("broken.jpg");
    fs::create_dir(folder.join("taken")).unwrap();
    fs::write(folder.join("taken/runs"), "a file where the runs should go").unwrap();
    let said = fail(&folder.join("taken"), &["train", "superres", "--data", data.to_str().unwrap(), "--steps", "1"]);
    assert!(said.contains("cannot make runs/superres-x2-fast"), "{said}");
    let cases: [(Vec<&str>, &[&str]); 15] = [
        (run("none.safetensors", "a.png", "o.png"), &["none.safetensors"]),
        (run("half.safetensors", "a.png", "o.png"), &["half.safetensors", "safetensors"]),
        (run("nan.safetensors", "a.png", "o.png"), &["nan.safetensors", "NaN"]),
        (run("text.png", "a.png", "o.png"), &["text.png", "safetensors"]),
        (vec!["run", "superres", "--weights", weights, "none.png", "-o", "o.png"], &["none.png"]),
        (vec!["run", "superres", "--weights", weights, "text.png", "-o", "o.png"], &["text.png", "cannot read it"]),
        (vec!["run", "superres", "--weights", weights, broken.to_str().unwrap(), "-o", "o.png"], &["broken.jpg"]),
        (vec!["run", "superres", "--weights", weights, "pictures/a.png", "-o", "o.doc"], &["o.doc", "png, jpg or webp"]),
        (vec!["run", "superres", "--weights", weights, "pictures/a.png", "-o", "no/o.png"], &["no: the folder"]),
        (vec!["eval", "superres", "--weights", weights, "--data", "empty"], &["empty: no pictures"]),
        (vec!["eval", "superres", "--weights", weights, "--data", "pictures", "--scale", "3"], &["made-up", "by 2, not by 3"]),
        (vec!["train", "superres", "--data", "nowhere", "--steps", "1"], &["nowhere"]),
        (vec!["train", "superres", "--resume", "--name", "none"], &["runs/none: no run"]),
        (vec!["train", "superres", "--lr", "50"], &["rate is 50"]),
        #[cfg(not(feature = "cuda"))]
        (vec!["train", "superres", "--device", "cuda:0"], &["no CUDA", "xtask cuda"]),
    ];
    for (args, expected) in cases {
        let said = fail(&folder, &args);
        for part in expected {
            assert!(said.contains(part), "trainer {args:?}: `{part}` is not in {said}");
        }
    }
    assert!(!folder.join("o.png").exists(), "a failed run leaves no file");
}

#[test]
fn export_writes_onnx_beside_the_weights_or_where_it_is_told() {
    let folder = folder("export");
    fs::copy(best(&TRAINED, "made-up"), folder.join("small.safetensors")).unwrap();
    let said = stderr(&succeed(&folder, &["export", "small.safetensors", "--onnx"]));
    assert!(said.contains("small.onnx: opset 17, ") && said.contains(" nodes, "), "{said}");
    let parameters: usize =
        Checkpoint::read(&folder.join("small.safetensors")).unwrap().tensors.values().map(|t| t.values.len()).sum();
    assert!(said.replace(',', "").contains(&format!(" {parameters} parameters")), "{said}");
    succeed(&folder, &["export", "small.safetensors", "--onnx", "other.onnx"]);
    let file = fs::read(folder.join("small.onnx")).unwrap();
    assert!(file.len() > 4 * parameters);
    assert_eq!(file, fs::read(folder.join("other.onnx")).unwrap());

    fs::write(folder.join("text.safetensors"), "no weights").unwrap();
    let cases: [(&[&str], &str); 5] = [
        (&["export", "small.safetensors", "--onnx", "small.safetensors"], "small.safetensors: its ending must be onnx"),
        (&["export", "small.safetensors", "--onnx", "no/o.onnx"], "no: the folder does not exist"),
        (&["export", "none.safetensors", "--onnx"], "none.safetensors"),
        (&["export", "text.safetensors", "--onnx"], "text.safetensors"),
        (&["export", "small.safetensors"], "--onnx"),
    ];
    for (args, expected) in cases {
        let said = fail(&folder, args);
        assert!(said.contains(expected), "trainer {args:?}: `{expected}` is not in {said}");
    }
    assert!(!folder.join("text.onnx").exists() && !folder.join("none.onnx").exists());
}

#[test]
fn random_weights_follow_the_seed_and_leave_nothing_constant() {
    let folder = folder("init");
    let config = r#"{"model":"rlfn","scale":2,"channels":4,"blocks":1}"#;
    let init = |seed: &str, file: &str| {
        succeed(&folder, &["init", config, "--seed", seed, "--output", file]);
        fs::read(folder.join(file)).unwrap()
    };
    let first = init("1", "a.safetensors");
    assert_eq!(first, init("1", "b.safetensors"));
    assert_ne!(first, init("2", "c.safetensors"));
    let checkpoint = Checkpoint::from_bytes(&first).unwrap();
    for (name, Dense { values, .. }) in &checkpoint.tensors {
        assert!(values.iter().any(|value| value != &values[0]), "{name} is constant");
    }
    let said = fail(&folder, &["init", r#"{"model":"huge"}"#, "--output", "d.safetensors"]);
    assert!(said.contains("huge"), "{said}");
    let said = fail(&folder, &["init", config, "--output", "nowhere/d.safetensors"]);
    assert!(said.contains("nowhere"), "{said}");
}

#[test]
fn bench_measures_and_refuses_what_cannot_run() {
    let folder = folder("bench");
    let config = r#"{"model":"plain","scale":2,"channels":4,"blocks":1}"#;
    let small = ["bench", "--only", "layers,networks", "--config", config, "--size", "16", "--warm", "0", "--runs", "2"];
    let table = String::from_utf8(succeed(&folder, &[small.as_slice(), &["--threads", "1"]].concat()).stdout).unwrap();
    for part in ["1 thread\n", "GFLOP/s", "conv 3x3, 64 to 64 ", "1x64x16x16", "plain "] {
        assert!(table.contains(part), "`{part}` is not in {table}");
    }
    let json = succeed(&folder, &[small.as_slice(), &["--json"]].concat()).stdout;
    let report: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let network = report["rows"].as_array().unwrap().last().unwrap();
    assert_eq!(network["operations"], 2.0 * 9.0 * f64::from(3 * 4 + 4 * 4 + 4 * 12) * 256.0);
    assert!(network["median_ms"].as_f64().unwrap() >= network["least_ms"].as_f64().unwrap());

    let scale = ["bench", "--scale", "--config", config, "--size", "24,48", "--tile", "16", "--out", "charts"];
    let table = String::from_utf8(succeed(&folder, &scale).stdout).unwrap();
    assert!(table.contains("| 48x48") && table.contains(" of 16"), "{table}");
    let files = ["scale.md", "scale.json", "scale.svg", "scale.png"];
    assert!(files.iter().all(|file| fs::metadata(folder.join("charts").join(file)).unwrap().len() > 50));

    let style = r#"{"model":"transform-net","channels":4,"blocks":1}"#;
    let cases: [(&[&str], &str); 7] = [
        (&["bench", "--config", style, "--size", "18"], "18 x 18 pixels are not multiples of 4"),
        (&["bench", "--scale", "--config", style, "--size", "16,32"], "sees the whole picture"),
        (&["bench", "--config", config, "--size", "0"], "0 is not in 1..=16384"),
        (&["bench", "--config", "{}"], "{} is no network's configuration"),
        (&["bench", "--weights", "none.safetensors"], "none.safetensors"),
        (&["bench", "--only", "networks"], "web/models has no networks"),
        (&["bench", "--scale", "--tile", "8"], "must be 16 to 4096"),
    ];
    for (args, expected) in cases {
        let said = fail(&folder, args);
        assert!(said.contains(expected), "trainer {args:?}: `{expected}` is not in {said}");
    }
}
