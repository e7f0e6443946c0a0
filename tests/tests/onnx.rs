//! The parity suite on what the ONNX engine writes, run by onnxruntime: every operation and every network, at sizes other than
//! the recorded one.
//!
//! Needs Python 3.11 or newer with pip; the packages of `tests/python/requirements.txt` are installed once, below `target`.
#![cfg(not(target_arch = "wasm32"))]

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pollster::block_on;
use serde_json::{Value, json};
use shared::checkpoint::Checkpoint;
use shared::engine::onnx::{Model, OnnxTensor};
use shared::{Init, Result, Scope, Source, export};
use tests::parity::{self, Compute, Engine, Report, Tolerance};

/// Python's command line with the packages, or why there is none.
fn python() -> Result<Command, String> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let requirements = tests.join("requirements.txt");
    let wanted = fs::read_to_string(&requirements).unwrap();
    let packages = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onnx-packages");
    let marker = packages.join("installed.txt");
    if !fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target"]);
        let output = pip.arg(&packages).arg("-r").arg(&requirements).output().map_err(|e| format!("python3: {e}"))?;
        if !output.status.success() {
            return Err(format!("pip: {}", String::from_utf8_lossy(&output.stderr)));
        }
        fs::write(&marker, wanted).unwrap();
    }
    let mut command = Command::new("python3");
    command.arg(tests.join("run_onnx.py")).env("PYTHONPATH", packages);
    Ok(command)
}

/// One run of a model.
struct Run {
    name: String,
    output: String,
    dims: Vec<usize>,
    wanted: Vec<f32>,
    tolerance: Tolerance,
}

/// Writes models and remembers what they should compute.
struct Exported {
    folder: PathBuf,
    cases: RefCell<Vec<Value>>,
    runs: RefCell<Vec<Run>>,
}

struct Constants;

impl Source<OnnxTensor> for Constants {
    fn get(&self, name: &str, dims: &[usize], _: Init) -> Result<OnnxTensor> {
        OnnxTensor::parameter(name, parity::constant(name, dims), dims)
    }
}

/// What candle computes from an input of some dimensions.
type Wanted<'a> = &'a dyn Fn(&[usize]) -> Result<(Vec<usize>, Vec<f32>), String>;

impl Exported {
    /// Notes `model` for the recorded size and, where it takes them, for two others.
    fn add(
        &self,
        name: &str,
        model: &Model,
        dims: &[usize],
        step: usize,
        tolerance: Tolerance,
        wanted: Wanted,
    ) -> Result<(), String> {
        let mut cases = self.cases.borrow_mut();
        let number = cases.len();
        fs::write(self.folder.join(format!("{number}.onnx")), model.to_bytes().map_err(|e| e.to_string())?).unwrap();
        let mut sizes = vec![dims.to_vec()];
        if let ([n, c, h, w], true) = (dims, model.takes_any_size()) {
            sizes.push(vec![n + 1, *c, h + step, w + 3 * step]);
            sizes.push(vec![*n, *c, h + 2 * step, w + step]);
        }
        let mut runs = Vec::new();
        for (i, size) in sizes.iter().enumerate() {
            let (input, output) = (format!("{number}-{i}.in"), format!("{number}-{i}.out"));
            let values = parity::values(1, size.iter().product());
            fs::write(self.folder.join(&input), bytes(&values)).unwrap();
            let (dims, wanted) = wanted(size)?;
            runs.push(json!([input, size, output]));
            self.runs.borrow_mut().push(Run { name: format!("{name} as {size:?}"), output, dims, wanted, tolerance });
        }
        cases.push(json!([format!("{number}.onnx"), runs]));
        Ok(())
    }

    /// Runs all of them in one Python.
    fn run(self, mut python: Command) -> Report {
        fs::write(self.folder.join("cases.json"), json!(*self.cases.borrow()).to_string()).unwrap();
        let output = python.arg(&self.folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut report = Report::default();
        for run in self.runs.into_inner() {
            let outcome = match fs::read(self.folder.join(&run.output)) {
                Ok(bytes) => {
                    let got: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
                    parity::compare(&got, &run.wanted, &run.dims, run.tolerance)
                }
                Err(_) => Err(fs::read_to_string(self.folder.join(run.output + ".error")).unwrap_or_else(|e| e.to_string())),
            };
            report.add(&run.name, outcome);
        }
        report
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

impl Engine for Exported {
    async fn check(&self, name: &str, dims: &[usize], tolerance: Tolerance, case: &impl Compute) -> Result<(), String> {
        let record = || {
            let x = OnnxTensor::input(dims);
            Model::new("case", &x, &case.compute(&x, &Scope::root(&Constants))?)
        };
        let model = record().map_err(|e| e.to_string())?;
        self.add(name, &model, dims, 1, tolerance, &|size| parity::wanted(case, size))
    }

    async fn model(&self, name: &str, checkpoint: &Checkpoint, dims: [usize; 4]) -> Result<(), String> {
        let model = export::onnx(checkpoint, "network").map_err(|e| e.to_string())?;
        if !model.takes_any_size() {
            return Err("it is bound to a size".into());
        }
        // Sizes that every network takes are multiples of 4.
        self.add(name, &model, &dims, 4, parity::MODEL, &|size| parity::wanted_of(checkpoint.config(), size))
    }
}

#[test]
fn onnxruntime_agrees_with_candle() {
    let python = match python() {
        Ok(python) => python,
        Err(why) => {
            println!("\n*** SKIPPED: nothing was compared with onnxruntime, because Python cannot run it. {why} ***\n");
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let exported = Exported { folder: folder.path().to_owned(), cases: RefCell::default(), runs: RefCell::default() };
    block_on(parity::operations(&exported)).assert();
    block_on(parity::models(&exported)).assert();
    let report = exported.run(python);
    println!("{} runs", report.cases);
    report.assert();
}
