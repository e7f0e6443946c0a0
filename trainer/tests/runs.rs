//! What is made of a run's folder.
#![allow(clippy::unwrap_used)] // In a test, a panic is how it fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use shared::picture::{Format, Picture};
use trainer::runs::{Record, plot, table, write_reports};

const HEAD: &str = "epoch,step,seconds,rate,train_loss,valid_loss,psnr,bicubic_psnr,ssim\n";

/// An empty folder below the build's.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("runs").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A finished run of 40 validations in the folder `name`.
fn run(root: &Path, name: &str, channels: usize) -> PathBuf {
    let run = root.join(name);
    fs::create_dir_all(run.join("samples")).unwrap();
    let config = format!("steps = 4000\n\n[network]\nmodel = \"superres\"\nchannels = {channels}\n");
    fs::write(run.join("config.toml"), config).unwrap();
    let machine = "device = \"cpu\"\nos = \"<b>&</b>\"\nstarted = \"2026-01-02T03:04:05Z\"\nstatus = \"finished\"\n";
    fs::write(run.join("machine.toml"), machine).unwrap();
    let row = |i: i32| {
        let part = f64::from(i) / 40.0;
        let psnr = 30.0 + 7.0 * (part * 5.0).sin();
        // Measured only every second time.
        let ssim = if i % 2 == 0 { format!("{:.4}", 0.9 + part / 20.0) } else { String::new() };
        format!(
            "{i},{},{:.1},{:e},{:.6},{:.6},{psnr:.4},33.68,{ssim}\n",
            i * 100,
            part * 90.0,
            1e-3 * part,
            0.1 / part,
            0.12 / part
        )
    };
    fs::write(run.join("metrics.csv"), HEAD.to_owned() + &(1..=40).map(row).collect::<String>()).unwrap();
    let picture = Picture::from_rgba8(6, 2, (0..48).map(|i| i * 5).collect()).unwrap().encode(Format::Png).unwrap();
    for step in [100, 2000, 4000] {
        fs::write(run.join(format!("samples/{step:07}.png")), &picture).unwrap();
    }
    fs::write(run.join("samples/.half-written"), b"").unwrap();
    run
}

/// Parses as XML, as SVG must and the report happens to.
fn text(path: PathBuf) -> String {
    let text = fs::read_to_string(&path).unwrap();
    let page = text.trim_start_matches("<!doctype html>");
    assert!(roxmltree::Document::parse(page).is_ok(), "{}: {:?}", path.display(), roxmltree::Document::parse(page).err());
    text
}

#[test]
fn a_run_leaves_curves_and_a_report_that_needs_no_other_file() {
    let run = run(&folder("whole"), "x2", 24);
    write_reports(&run).unwrap();
    let svg = text(run.join("curves.svg"));
    for word in ["\nloss\n", "\npsnr\n", "\nbicubic\n", "\nssim\n", "\nlearning rate\n", "currentColor"] {
        assert!(svg.contains(word), "no {word} in the curves");
    }
    let png = Picture::decode(&fs::read(run.join("curves.png")).unwrap()).unwrap();
    let coloured = |x: usize| {
        let pixel = png.planes(shared::picture::Region { x, y: 0, width: 1, height: png.height() }, 0, 3);
        pixel.iter().any(|v| *v < 0.9)
    };
    assert!((0..png.width()).filter(|x| coloured(*x)).count() > png.width() / 2, "the picture is empty");

    let html = text(run.join("report.html"));
    for word in
        ["36.99", "at step 1300", "bicubic 33.68", "1 min 30 s", "network.channels", "runs/whole/x2/config.toml --name again"]
    {
        assert!(html.contains(word), "no {word} in the report");
    }
    assert_eq!(html.matches("data:image/png;base64,").count(), 3);
    assert!(html.contains("&lt;b&gt;&amp;&lt;/b&gt;") && !html.contains("<script") && !html.contains("src=\"http"));
}

#[test]
fn hostile_names_and_values_are_text() {
    let root = folder("hostile");
    let run = run(&root, "<script>alert('1')<&\"\u{1b}[31m", 24);
    let metrics = fs::read_to_string(run.join("metrics.csv")).unwrap().replace("ssim", "<i onload=\"x\">&\u{7}");
    fs::write(run.join("metrics.csv"), metrics).unwrap();
    fs::write(run.join("samples/0000001.txt"), "<img src=x>\u{0} ]]>").unwrap();
    fs::remove_file(run.join("samples/0000100.png")).unwrap();
    write_reports(&run).unwrap();
    let html = text(run.join("report.html"));
    assert!(!html.contains("<script") && !html.contains("<i onload") && !html.contains("<img src=x"));
    assert!(text(run.join("curves.svg")).contains("&lt;i onload="));
    let list = table::list(&table::all(&root).unwrap());
    assert!(!list.contains('\u{1b}') && list.contains("psnr 36.99"), "{list}");
}

#[test]
fn a_run_that_was_cut_short_or_has_just_begun_is_shown_as_far_as_it_goes() {
    let root = folder("cut");
    let run = run(&root, "cut", 24);
    let whole = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let mut rows = Vec::new();
    for kept in [whole.len(), whole.len() - 4, HEAD.len() + 3, HEAD.len(), HEAD.len() - 9, 0] {
        fs::write(run.join("metrics.csv"), &whole[..kept]).unwrap();
        write_reports(&run).unwrap();
        text(run.join("report.html"));
        text(run.join("curves.svg"));
        rows.push(Record::read(&run).unwrap().rows.len());
    }
    assert_eq!(rows, [40, 39, 0, 0, 0, 0]);
    let odd = format!("{HEAD}1,100,1,1e-3,NaN,inf,,,\n2,200,broken,1e-3,0.5,0.25,30,,,,\n3,300,1.5,1e-3,0.5,0.25,30,33,0.9\n");
    fs::write(run.join("metrics.csv"), odd).unwrap();
    write_reports(&run).unwrap();
    let record = Record::read(&run).unwrap();
    assert_eq!((record.rows.len(), record.series("valid_loss")), (2, vec![(300.0, 0.25)]));

    let empty = root.join("empty");
    fs::create_dir(&empty).unwrap();
    write_reports(&empty).unwrap();
    assert!(text(empty.join("report.html")).contains("Not validated yet"));
    assert!(write_reports(&root.join("missing")).unwrap_err().to_string().contains("missing"));
    fs::write(empty.join("config.toml"), "a = ").unwrap();
    assert!(format!("{:#}", write_reports(&empty).unwrap_err()).contains("config.toml"));
}

#[test]
fn the_best_value_is_the_highest_or_the_lowest_as_the_metric_wants() {
    let run = folder("best");
    let csv = "step,valid_loss,psnr,perplexity\n1,3,30,9\n2,1,32,7\n3,2,32,8\n";
    fs::write(run.join("metrics.csv"), csv).unwrap();
    let record = Record::read(&run).unwrap();
    assert_eq!(record.metrics().collect::<Vec<_>>(), ["psnr", "perplexity"]);
    let best = ["valid_loss", "psnr", "perplexity"].map(|column| record.best(column).unwrap());
    assert_eq!(best, [(2.0, 1.0), (2.0, 32.0), (2.0, 7.0)]);
}

/// CRC-32C bit by bit, as RFC 3720 defines it.
fn crc32c(data: &[u8]) -> u32 {
    let bit = |crc: u32, _| crc >> 1 ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
    !data.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}

/// The frames of a TFRecord file, their checksums verified.
fn frames(mut file: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let check = |data: &[u8], sum: &[u8]| {
        let masked = crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(masked.to_le_bytes(), sum);
    };
    while !file.is_empty() {
        let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        check(&file[..8], &file[8..12]);
        check(&file[12..12 + length], &file[12 + length..16 + length]);
        frames.push(file[12..12 + length].to_vec());
        file = &file[16 + length..];
    }
    frames
}

#[test]
fn tensorboard_gets_every_row_once() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283, "the standard's check value");
    let run = run(&folder("events"), "x2", 24);
    let events = run.join("events.out.tfevents.atelier");
    let csv = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let mut counts = Vec::new();
    // A run that goes on, a file that was cut while it was written, and a run that lost its last rows.
    for (rows, cut) in [(1, 0), (20, 0), (40, 5), (39, 0)] {
        let before = fs::read(&events).unwrap_or_default();
        fs::write(&events, &before[..before.len().saturating_sub(cut)]).unwrap();
        fs::write(run.join("metrics.csv"), csv.lines().take(1 + rows).map(|line| format!("{line}\n")).collect::<String>())
            .unwrap();
        write_reports(&run).unwrap();
        counts.push(frames(&fs::read(&events).unwrap()).len());
    }
    assert_eq!(counts, [2, 21, 41, 40]);
    let frames = frames(&fs::read(&events).unwrap());
    // Wall time 2026-01-02T03:04:05Z, version 2.
    let head = [&[0x09], 1_767_323_045f64.to_le_bytes().as_slice(), &[0x1a, 13], b"brain.Event:2"].concat();
    assert_eq!(frames[0], head);
    // Step 200 as a varint, and a value with its tag.
    assert_eq!(frames[2][9..12], [0x10, 0xc8, 0x01]);
    let value = [&[0x0a, 10], b"loss/train".as_slice(), &[0x15], &2f32.to_le_bytes()].concat();
    assert!(frames[2].windows(value.len()).any(|part| part == value));
}

fn trainer(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.args(args).current_dir(folder).env("RUST_LOG", "info").env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap()
}

/// What it prints, when it succeeds.
fn printed(folder: &Path, args: &[&str]) -> String {
    let output = trainer(folder, args);
    assert!(output.status.success(), "trainer {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn runs_are_listed_compared_and_plotted() {
    let root = folder("listed");
    for (name, channels) in [("narrow", 24), ("wide", 48)] {
        run(&root.join("runs"), name, channels);
    }
    fs::write(root.join("runs/wide/machine.toml"), "started = \"2026-02-01T00:00:00Z\"\nstatus = \"stopped\"\n").unwrap();
    fs::create_dir(root.join("runs/no run")).unwrap();

    let list = printed(&root, &["runs"]);
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines.len() == 3 && lines[1].starts_with("wide") && lines[2].starts_with("narrow"), "{list}");
    assert!(["stopped", "4000", "1 min 30 s", "psnr 36.99", "channels 48"].iter().all(|word| lines[1].contains(word)), "{list}");

    let comparison = printed(&root, &["runs", "narrow", "wide", "--plot", "both.svg"]);
    assert!(comparison.contains("network.channels") && comparison.contains("best psnr"), "{comparison}");
    assert!(!comparison.contains("network.model") && !comparison.contains("\nsteps"), "the same in both: {comparison}");
    let svg = text(root.join("both.svg"));
    assert!(svg.contains("narrow: psnr") && svg.contains("wide: psnr"));
    printed(&root, &["runs", "narrow", "wide", "--plot", "both.png"]);
    assert!(Picture::decode(&fs::read(root.join("both.png")).unwrap()).is_ok());

    let json: serde_json::Value = serde_json::from_str(&printed(&root, &["runs", "--json"])).unwrap();
    assert_eq!((&json[0]["name"], &json[0]["config"]["network.channels"]), (&"wide".into(), &"48".into()));

    printed(&root, &["runs", "wide", "--report"]);
    assert!(root.join("runs/wide/report.html").exists() && !root.join("runs/narrow/report.html").exists());
    for (args, word) in [(["runs", "missing"].as_slice(), "missing"), (&["runs", "wide", "--plot", "a.gif"], "a.gif")] {
        let output = trainer(&root, args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(word) && !said.contains("panicked"), "{said}");
    }
}

#[test]
fn the_search_for_a_rate_is_plotted() {
    let curve: Vec<(f64, f64)> = (0..60).map(|i| (10f64.powf(f64::from(i) / 10.0 - 6.0), 1.0 / (1.0 + f64::from(i)))).collect();
    let (svg, png) = plot::lr_find(&curve, 1e-3).unwrap();
    assert!(roxmltree::Document::parse(&svg).is_ok() && svg.contains("1.0e-3") && svg.contains("\nsmoothed\n"));
    let picture = Picture::decode(&png).unwrap();
    assert_eq!((picture.width(), picture.height()), (1040, 600));
    plot::lr_find(&[], 1e-3).unwrap();
}
