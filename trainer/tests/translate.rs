//! Translation from the command line, with a corpus that takes seconds to learn.
#![allow(clippy::unwrap_used)] // In a test, a panic is how it fails.

mod command;

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use command::{best, fail, folder, stderr, succeed, trainer};
use shared::checkpoint::Checkpoint;

const SMALL: [&str; 14] = [
    "--features",
    "32",
    "--hidden",
    "32",
    "--encoder",
    "1",
    "--decoder",
    "1",
    "--vocabulary",
    "320",
    "--batch",
    "600",
    "--every",
    "20",
];

/// The same for recurrent networks.
const RECURRENT: [&str; 12] =
    ["--features", "32", "--encoder", "1", "--decoder", "1", "--vocabulary", "320", "--batch", "300", "--every", "20"];

/// Numbers in two languages, and a part to test.
fn corpus(folder: &Path) {
    let data = folder.join("numbers");
    fs::create_dir_all(&data).unwrap();
    let (german, english) = (["eins", "zwei", "drei", "sechs"], ["one", "two", "three", "six"]);
    let mut parts =
        [("train", String::new(), String::new()), ("val", String::new(), String::new()), ("test", String::new(), String::new())];
    for i in 0..256 {
        // Four words, because BLEU counts runs of four.
        let digits = [i % 4, i / 4 % 4, i / 16 % 4, i / 64];
        let line = |words: [&str; 4]| digits.map(|d| words[d]).join(" ");
        let (_, source, target) = &mut parts[if i % 9 == 4 { 1 + i % 2 } else { 0 }];
        writeln!(source, "{}", line(german)).unwrap();
        writeln!(target, "{}", line(english)).unwrap();
    }
    for (part, source, target) in parts {
        fs::write(data.join(format!("{part}.de")), source).unwrap();
        fs::write(data.join(format!("{part}.en")), target).unwrap();
    }
}

/// A folder with the corpus and a run on it, `runs/translate-de-en`.
static TRAINED: LazyLock<std::path::PathBuf> = LazyLock::new(|| {
    let folder = folder("translate");
    corpus(&folder);
    let train = ["train", "translate", "--src", "de", "--tgt", "en", "--data", "numbers", "--steps", "300", "--lr", "5e-3"];
    succeed(&folder, &[&train[..], &SMALL, &["--ema", "0.98", "--dropout", "0", "--smoothing", "0"]].concat());
    folder
});

fn weights() -> String {
    best(&TRAINED, "translate-de-en").display().to_string()
}

#[test]
fn what_was_learnt_is_translated_and_measured() {
    let weights = weights();
    let output = succeed(&TRAINED, &["run", "translate", "--weights", &weights, "drei eins sechs eins"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "three one six one\n");

    let output = succeed(&TRAINED, &["eval", "translate", "--weights", &weights, "--data", "numbers", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let test = &report["sets"]["test"];
    // Sentences that were not learnt.
    assert!(test["exact_match"].as_f64().unwrap() > 0.8 && test["chrf"].as_f64().unwrap() > 80.0, "{report}");
    assert!(report["bleu_signature"].as_str().unwrap().contains("tok:13a"));
    assert!(TRAINED.join("runs/translate-de-en/tokenizer.json").exists());
    let sample = fs::read_to_string(TRAINED.join("runs/translate-de-en/samples/0000300.txt")).unwrap();
    assert!(sample.contains("\n  = ") && sample.contains("\n  > "), "{sample}");
}

#[test]
fn texts_keep_their_form() {
    let weights = weights();
    let run = |input: &str| {
        let mut child = trainer(&TRAINED)
            .args(["run", "translate", "--weights", &weights, "--beam", "2"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = run("eins zwei drei eins\n\nsechs sechs eins drei\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one two three one\n\nsix six one three\n", "{}", stderr(&output));
    let strange = run("\u{1F388} \u{202e}\u{5d0} \u{7} <pad> \0\n");
    assert!(strange.status.success(), "{}", stderr(&strange));

    fs::write(TRAINED.join("long.txt"), "eins zwei drei zwei. ".repeat(600)).unwrap();
    let output = succeed(&TRAINED, &["run", "translate", "--weights", &weights, "--file", "long.txt", "--beam", "1"]);
    assert!(String::from_utf8_lossy(&output.stdout).split_whitespace().count() >= 600);
}

#[test]
fn alternatives_and_a_picture() {
    let weights = weights();
    let args = ["run", "translate", "--weights", &weights, "--best", "3", "--attention", "heat.png", "zwei zwei sechs drei"];
    let lines = String::from_utf8(succeed(&TRAINED, &args).stdout).unwrap();
    assert_eq!(lines.lines().count(), 3, "{lines}");
    assert_eq!(lines.lines().next(), Some("two two six three"));
    let svg = fs::read_to_string(TRAINED.join("heat.svg")).unwrap();
    assert!(svg.contains("zwei") && svg.contains("six"), "{svg}");
    assert!(fs::read(TRAINED.join("heat.png")).unwrap().starts_with(b"\x89PNG"));
    let drawn = |seed: &str| {
        let sample = ["run", "translate", "--weights", &weights, "--sample", "5", "--seed", seed, "zwei zwei sechs drei"];
        succeed(&TRAINED, &sample).stdout
    };
    assert_eq!(drawn("1"), drawn("1"));
    assert!((2..9).any(|seed| drawn(&seed.to_string()) != drawn("1")));
}

#[cfg(unix)]
#[test]
fn a_resumed_run_ends_as_one_that_never_stopped() {
    let folder = folder("translate-resumed");
    corpus(&folder);
    let train = ["train", "translate", "--src", "de", "--tgt", "en", "--data", "numbers", "--steps"];
    resumes(&folder, "transformer", &[&train[..], &["120"], &SMALL].concat());
    // Words of its own, some right ones, and dropout: all by chance.
    let recurrent = ["60", "--network", "seq2seq", "--attention", "--bidirectional", "--teacher-forcing", "1..0"];
    resumes(&folder, "seq2seq", &[&train[..], &recurrent, &RECURRENT].concat());
}

/// Trains once at a stretch and once with a stop after the first validation.
#[cfg(unix)]
fn resumes(folder: &Path, name: &str, train: &[&str]) {
    let (whole, stopped) = (format!("{name}-whole"), format!("{name}-stopped"));
    let args = |name| [train, &["--name", name]].concat();
    succeed(folder, &args(&whole));
    let child = trainer(folder).args(args(&stopped)).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    while !folder.join("runs").join(&stopped).join("metrics.csv").exists() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && stderr(&output).contains("stopped and saved at step"), "{}", stderr(&output));
    succeed(folder, &[&args(&stopped)[..], &["--resume"]].concat());
    let tensors =
        |run: &str| Checkpoint::read(&folder.join("runs").join(run).join("checkpoints/last.safetensors")).unwrap().tensors;
    assert_eq!(tensors(&stopped), tensors(&whole));
}

#[test]
fn a_recurrent_network_learns_a_batch_by_heart() {
    let folder = folder("translate-seq2seq");
    corpus(&folder);
    let language = ["train", "language", "--data", "numbers", "--lang", "de,en", "--steps", "60", "--name", "language"];
    let small = ["--cell", "lstm", "--features", "32", "--depth", "1", "--vocabulary", "320", "--batch", "300", "--every", "60"];
    succeed(&folder, &[&language[..], &small].concat());
    let language = best(&folder, "language").display().to_string();
    let train = ["train", "translate", "--src", "de", "--tgt", "en", "--data", "numbers", "--steps", "200", "--overfit"];
    let how = ["--network", "seq2seq", "--cell", "lstm", "--attention", "--teacher-forcing", "1..0.5", "--lr", "1e-2"];
    let exact = ["--smoothing", "0", "--ema", "0", "--dropout", "0"];
    let from = ["--encoder-from", &language, "--decoder-from", &language, "--name", "heart"];
    let output = succeed(&folder, &[&train[..], &how, &exact, &from, &RECURRENT].concat());
    // The table and the cell, and for the decoder what makes ratings.
    let said = stderr(&output);
    assert!(said.contains("13 of the 15 tensors") && said.contains("15 of the 15 tensors"), "{said}");
    let csv = fs::read_to_string(folder.join("runs/heart/metrics.csv")).unwrap();
    let column = csv.lines().next().unwrap().split(',').position(|name| name == "train_loss").unwrap();
    let loss: f64 = csv.lines().last().unwrap().split(',').nth(column).unwrap().parse().unwrap();
    assert!(loss < 0.05, "{csv}");
}

#[test]
fn a_ladder_compares_what_every_part_adds() {
    let folder = folder("translate-ladder");
    corpus(&folder);
    let ladder = ["ladder", "translate", "--src", "de", "--tgt", "en", "--data", "numbers", "--steps", "2", "--every", "2"];
    let small =
        ["--features", "16", "--hidden", "16", "--encoder", "1", "--decoder", "1", "--vocabulary", "320", "--batch", "600"];
    let args = [&ladder[..], &small].concat();
    let table = String::from_utf8(succeed(&folder, &args).stdout).unwrap();
    assert_eq!(table.lines().count(), 2 + 7, "{table}");
    assert!(table.contains("| Transformer |") && !table.contains("NaN"), "{table}");
    let root = folder.join("runs/ladder-de-en");
    assert_eq!(fs::read_to_string(root.join("table.md")).unwrap(), table);
    assert!(fs::read_to_string(root.join("curves.svg")).unwrap().contains("from-language"));
    // Again: nothing is trained.
    let metrics = |rung: &str| fs::metadata(root.join(rung).join("metrics.csv")).unwrap().modified().unwrap();
    let before = metrics("plain");
    fs::remove_dir_all(root.join("transformer")).unwrap();
    succeed(&folder, &args);
    assert!(before == metrics("plain") && root.join("transformer/metrics.csv").exists());
    let said = fail(&folder, &[&args[..], &["--lr", "1e-2"]].concat());
    assert!(said.contains("other settings"), "{said}");
    let said = fail(&folder, &[&ladder[..ladder.len() - 4], &small].concat());
    assert!(said.contains("--steps is missing"), "{said}");
}

#[test]
fn dates_need_no_data() {
    let folder = folder("dates");
    let train = ["train", "dates", "--steps", "4", "--features", "16", "--hidden", "16", "--encoder", "1", "--decoder", "1"];
    succeed(&folder, &[&train[..], &["--every", "4", "--batch", "400"]].concat());
    let weights = best(&folder, "dates").display().to_string();
    let output = succeed(&folder, &["eval", "dates", "--weights", &weights, "--count", "20", "--seed", "1", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!((0.0..1.0).contains(&report["exact_match"].as_f64().unwrap()), "{report}");
    let said = fail(&folder, &["eval", "superres", "--weights", &weights, "--data", "."]);
    assert!(said.contains("not for pictures"), "{said}");
}

#[test]
fn weights_to_start_from_bring_their_words() {
    let folder = folder("translate-from");
    corpus(&folder);
    // Other data would give other words.
    fs::write(folder.join("more.tsv"), "Guten Tag\tGood day\n".repeat(3) + &"Morgen\tMorning\n".repeat(60)).unwrap();
    let weights = weights();
    let train = ["train", "translate", "--src", "de", "--tgt", "en", "--data", "numbers", "--data", "more.tsv", "--steps", "1"];
    succeed(&folder, &[&train[..], &SMALL, &["--from", &weights, "--name", "on"]].concat());
    let tokenizer = |root: &Path, run: &str| fs::read(root.join("runs").join(run).join("tokenizer.json")).unwrap();
    assert_eq!(tokenizer(&folder, "on"), tokenizer(&TRAINED, "translate-de-en"));
}

#[test]
fn lr_find_suggests_for_sentences() {
    let folder = folder("translate-lr-find");
    corpus(&folder);
    let find = ["lr-find", "translate", "--src", "de", "--tgt", "en", "--data", "numbers", "--steps", "60"];
    let output = succeed(&folder, &[&find[..], &SMALL].concat());
    let rate: f64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert!((1e-5..1.0).contains(&rate), "{rate}");
    assert!(folder.join("lr-find.svg").exists());
}

#[test]
fn what_is_wrong_is_named() {
    let (folder, weights) = (&*TRAINED, weights());
    let train = ["train", "translate", "--src", "de", "--tgt", "en", "--data"];
    for (args, said) in [
        ([&train[..], &["nowhere", "--name", "x"]].concat(), "nowhere"),
        (["train", "translate", "--src", "de", "--tgt", "de", "--data", "numbers"].into(), "both de"),
        ([&train[..], &["numbers", "--vocabulary", "100", "--name", "x"]].concat(), "vocabulary is 100"),
        ([&train[..], &["numbers", "--heads", "3", "--name", "x"]].concat(), "among 3 heads"),
        ([&train[..], &["numbers", "--teacher-forcing", "1..0"]].concat(), "--teacher-forcing is for --network seq2seq"),
        ([&train[..], &["numbers", "--attention"]].concat(), "--attention is for --network seq2seq"),
        ([&train[..], &["numbers", "--network", "seq2seq", "--heads", "2"]].concat(), "--heads is for --network transformer"),
        ([&train[..], &["numbers", "--network", "seq2seq", "--teacher-forcing", "2..0", "--name", "x"]].concat(), "is 2"),
        ([&train[..], &["numbers", "--network", "seq2seq", "--features", "30", "--name", "x"]].concat(), "multiple of 4"),
        (
            [&train[..], &["numbers", "--network", "seq2seq", "--encoder-from", &weights, "--name", "no-model"]].concat(),
            "no language model",
        ),
        (["train", "translate", "--src", "de", "--tgt", "it", "--data", "numbers", "--name", "x"].into(), "de and it"),
        (["run", "translate", "--weights", &weights, "  "].into(), "nothing to translate"),
        (["run", "translate", "--weights", &weights, "--sample", "0", "eins"].into(), "--sample 0"),
        (["eval", "dates", "--weights", &weights, "--count", "0"].into(), "--count is 0"),
        (["run", "translate", "--weights", "numbers/train.de", "eins"].into(), "train.de"),
    ] {
        let error = fail(folder, &args);
        assert!(error.contains(said), "{args:?}: {error}");
    }
}
