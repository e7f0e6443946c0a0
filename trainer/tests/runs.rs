//! Runs as they are listed, compared and reported.
#![allow(clippy::unwrap_used)] // In a test, a panic is how it fails.

use std::fs;
use std::path::{Path, PathBuf};

use shared::picture::{Format, Picture};
use trainer::runs::{Record, table, write_reports};

/// A run's folder, made by hand.
fn run(root: &Path, name: &str, rate: &str, metrics: &str) -> PathBuf {
    let folder = root.join(name);
    fs::create_dir_all(folder.join("samples")).unwrap();
    fs::write(
        folder.join("config.toml"),
        format!("task = \"superres\"\nrate = {rate}\n[network]\nmodel = \"rlfn\"\nblocks = 2\n"),
    )
    .unwrap();
    fs::write(
        folder.join("machine.toml"),
        "device = \"CPU & more\"\nstarted = \"2026-01-01T00:00:00Z\"\nstatus = \"finished\"\n",
    )
    .unwrap();
    fs::write(folder.join("metrics.csv"), metrics).unwrap();
    let picture = Picture::from_rgba8(2, 1, vec![255; 8]).unwrap();
    fs::write(folder.join("samples/0000010.png"), picture.encode(Format::Png).unwrap()).unwrap();
    fs::write(folder.join("samples/0000020.txt"), "<b>une phrase</b>").unwrap();
    folder
}

const METRICS: &str = "epoch,step,seconds,rate,train_loss,valid_loss,psnr,bicubic_psnr
1,10,5.0,1e-3,0.5,0.4,30.0,29.0
2,20,65.0,1e-4,0.3,,31.5,29.0
3,30,125.0,1e-5,0.2,0.2,31.25,29.0
4,40,185.0,1e-5,0.1,0.1,99";

#[test]
fn a_report_stands_alone_and_escapes_what_it_shows() {
    let root = tempfile::tempdir().unwrap();
    let folder = run(root.path(), "<i>run", "0.002", METRICS);
    write_reports(&folder).unwrap();
    let html = fs::read_to_string(folder.join("report.html")).unwrap();
    for part in [
        "&lt;i&gt;run",
        "CPU &amp; more",
        "&lt;b&gt;une phrase",
        "31.500",
        "at step 20, bicubic 29.000",
        "data:image/png;base64,",
        "<svg",
    ] {
        assert!(html.contains(part), "no {part}");
    }
    for foreign in ["<i>run", "<b>une", "http://", "src=\"/", "<script"] {
        assert!(!html.replace("http://www.w3.org/2000/svg", "").contains(foreign), "{foreign}");
    }
    assert!(Picture::decode(&fs::read(folder.join("curves.png")).unwrap()).is_ok());
    let svg = fs::read_to_string(folder.join("curves.svg")).unwrap();
    for title in ["loss", "psnr", "learning rate"] {
        assert!(svg.contains(title), "no {title}");
    }
}

#[test]
fn a_line_that_was_cut_and_empty_cells_are_left_out() {
    let root = tempfile::tempdir().unwrap();
    let record = Record::read(&run(root.path(), "a", "0.002", METRICS)).unwrap();
    assert_eq!(record.series("psnr"), [(10.0, 30.0), (20.0, 31.5), (30.0, 31.25)]);
    assert_eq!(record.series("valid_loss"), [(10.0, 0.4), (30.0, 0.2)]);
    assert_eq!(record.metrics().collect::<Vec<_>>(), ["psnr"]);
    assert_eq!(record.best("psnr"), Some((20.0, 31.5)));

    let begun = Record::read(&run(root.path(), "b", "0.002", "")).unwrap();
    assert!(begun.rows.is_empty() && begun.best("psnr").is_none());
    write_reports(&root.path().join("b")).unwrap();
    assert!(Record::read(&root.path().join("none")).unwrap_err().to_string().contains("none: no such run"));
}

#[test]
fn a_comparison_shows_what_differs() {
    let root = tempfile::tempdir().unwrap();
    let names = [("a", "0.002"), ("b", "0.004")];
    let records = names.map(|(name, rate)| Record::read(&run(root.path(), name, rate, METRICS)).unwrap());
    let text = table::compare(&records);
    assert!(text.contains("31.5000 at 20") && text.contains("0.004"), "{text}");
    assert!(!text.contains("blocks") && !text.contains("task"), "{text}");
    let all = table::all(root.path()).unwrap();
    let text = table::list(&all);
    assert!(text.contains("blocks 2, rlfn") && text.contains("2 min 5 s"), "{text}");
    assert_eq!(table::json(&all)[1]["best"]["psnr"], 31.5);
}
