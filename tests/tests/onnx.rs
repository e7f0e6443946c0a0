//! The parity suite on what the ONNX engine writes, run by onnxruntime: every operation and every network, at sizes other than
//! the recorded one.
//!
//! Needs Python 3.11 or newer with pip; the packages of `tests/python/requirements.txt` are installed once, below `target`.
#![cfg(not(target_arch = "wasm32"))]

use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use pollster::block_on;
use serde_json::{Value, json};
use shared::checkpoint::Checkpoint;
use shared::engine::onnx::{Model, OPSET, OnnxTensor};
use shared::{Init, Result, Scope, Source, Tensor, export};
use tests::parity::{self, Compute, Engine, Report, Tolerance};

/// Python's command line with the packages, or why there is none.
fn python() -> Result<Command, String> {
    let root = xtask::root().map_err(|e| e.to_string())?;
    let packages = xtask::python::packages(&root, Path::new(env!("CARGO_TARGET_TMPDIR"))).map_err(|e| format!("{e:#}"))?;
    let mut command = Command::new("python3");
    command.arg(root.join("tests/python/run_onnx.py")).env("PYTHONPATH", packages);
    Ok(command)
}

/// One run of a model.
struct Run {
    name: String,
    output: String,
    dims: Vec<usize>,
    wanted: Vec<f32>,
}

/// What the file of a network should say: the name of the case, the number of its file, the checkpoint.
struct Facts {
    name: String,
    number: usize,
    checkpoint: Checkpoint,
}

/// Writes models and remembers what they should compute.
struct Exported {
    folder: PathBuf,
    cases: RefCell<Vec<Value>>,
    runs: RefCell<Vec<Run>>,
    facts: RefCell<Vec<Facts>>,
}

struct Constants;

impl Source<OnnxTensor> for Constants {
    fn get(&self, name: &str, dims: &[usize], _: Init) -> Result<OnnxTensor> {
        OnnxTensor::parameter(name, parity::constant(name, dims), dims)
    }
}

/// Remembers the dimensions of the constants that are asked for.
#[derive(Default)]
struct Asked(RefCell<Vec<Vec<usize>>>);

impl Source<OnnxTensor> for Asked {
    fn get(&self, name: &str, dims: &[usize], init: Init) -> Result<OnnxTensor> {
        self.0.borrow_mut().push(dims.to_vec());
        Constants.get(name, dims, init)
    }
}

/// Whether a case asks for constants as large as the input, so that no file can serve every size.
fn bound(case: &impl Compute, dims: &[usize]) -> Result<bool> {
    let asked = |dims: &[usize]| -> Result<Vec<Vec<usize>>> {
        let asked = Asked::default();
        case.compute(&OnnxTensor::input(dims), &Scope::root(&asked))?;
        Ok(asked.0.into_inner())
    };
    // The channels, which stand second, are part of every model.
    let larger: Vec<usize> = dims.iter().enumerate().map(|(axis, size)| if axis == 1 { *size } else { size + 1 }).collect();
    Ok(asked(dims)? != asked(&larger)?)
}

/// What candle computes from an input of some dimensions.
type Wanted<'a> = &'a dyn Fn(&[usize]) -> Result<(Vec<usize>, Vec<f32>), String>;

impl Exported {
    /// Notes `model` for the recorded size and, where it takes them, for two others.
    fn add(&self, name: &str, model: &Model, dims: &[usize], step: usize, wanted: Wanted) -> Result<(), String> {
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
            self.runs.borrow_mut().push(Run { name: format!("{name} as {size:?}"), output, dims, wanted });
        }
        cases.push(json!([format!("{number}.onnx"), runs]));
        Ok(())
    }

    /// Runs all of them in one Python.
    fn run(self, mut python: Command) -> Report {
        fs::write(self.folder.join("cases.json"), json!(*self.cases.borrow()).to_string()).unwrap();
        let output = python.arg(&self.folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut report = Report::default();
        for run in self.runs.into_inner() {
            report.add(&run.name, run.compare(&self.folder, &told["outputs"][&run.output]));
        }
        for facts in self.facts.into_inner() {
            report.add(&facts.name, facts.compare(&told["models"][&format!("{}.onnx", facts.number)]));
        }
        report
    }
}

impl Run {
    /// `told` is the dimensions of what lies in the file, or why there is none.
    fn compare(&self, folder: &Path, told: &Value) -> Result<(), String> {
        if *told != json!(self.dims) {
            return Err(format!("{told} instead of {:?}", self.dims));
        }
        let bytes = fs::read(folder.join(&self.output)).map_err(|e| e.to_string())?;
        let got: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        parity::compare(&got, &self.wanted, &self.dims, parity::OPERATION)
    }
}

impl Facts {
    fn compare(&self, told: &Value) -> Result<(), String> {
        let tensors = &self.checkpoint.tensors;
        let mut stored: Vec<(String, Vec<usize>)> = serde_json::from_value(told["initializers"].clone()).unwrap();
        // The others are numbers of nodes, called by the node.
        stored.retain(|(name, _)| tensors.contains_key(name));
        stored.sort();
        let wanted = json!({
            "producer": ["atelier", env!("CARGO_PKG_VERSION")],
            "opsets": [["", OPSET]],
            "inputs": [["input", ["batch", 3, "height", "width"]]],
            "outputs": [["output", ["batch", 3, "output_height", "output_width"]]],
            "metadata": { "atelier": serde_json::to_string(&self.checkpoint.metadata).unwrap() },
            "initializers": tensors.iter().map(|(name, tensor)| json!([name, tensor.dims])).collect::<Vec<_>>(),
        });
        let mut got = told.clone();
        got["initializers"] = json!(stored);
        if got == wanted { Ok(()) } else { Err(format!("the file says {got} instead of {wanted}")) }
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

impl Engine for Exported {
    async fn check(&self, name: &str, dims: &[usize], _: Tolerance, case: &impl Compute) -> Result<(), String> {
        let record = || {
            let x = OnnxTensor::input(dims);
            Model::new("case", &x, &case.compute(&x, &Scope::root(&Constants))?)
        };
        let model = record().map_err(|e| e.to_string())?;
        // Other ranks have no axes that are left open.
        if dims.len() == 4 && model.takes_any_size() == bound(case, dims).map_err(|e| e.to_string())? {
            return Err(format!("it says that taking any size is {}", model.takes_any_size()));
        }
        self.add(name, &model, dims, 1, &|size| parity::wanted(case, size))
    }

    async fn model(&self, name: &str, checkpoint: &Checkpoint, dims: [usize; 4]) -> Result<(), String> {
        let model = export::onnx(checkpoint, "network", &[]).map_err(|e| e.to_string())?;
        if !model.takes_any_size() {
            return Err("it is bound to a size".into());
        }
        let number = self.cases.borrow().len();
        self.facts.borrow_mut().push(Facts { name: name.to_owned(), number, checkpoint: checkpoint.clone() });
        // Sizes that every network takes are multiples of 4.
        self.add(name, &model, &dims, 4, &|size| parity::wanted_of(checkpoint.image().map_err(|e| e.to_string())?, size))
    }
}

#[test]
fn onnxruntime_agrees_with_candle() {
    let python = match python() {
        Ok(python) => python,
        Err(why) => {
            // Not by println, which a test that passes keeps to itself.
            let mut stderr = std::io::stderr();
            writeln!(stderr, "\n*** SKIPPED: nothing was compared with onnxruntime, because Python cannot run it. {why} ***\n")
                .unwrap();
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let exported = Exported {
        folder: folder.path().to_owned(),
        cases: RefCell::default(),
        runs: RefCell::default(),
        facts: RefCell::default(),
    };
    block_on(parity::operations(&exported)).assert();
    block_on(parity::models(&exported)).assert();
    for (name, config) in sentences::configs() {
        sentences::add(&exported, name, &config);
    }
    let report = exported.run(python);
    report.assert();
}

/// Networks for sentences, on sentences of several lengths in one batch.
mod sentences {
    use candle_core::{Device, Tensor as Candle};
    use serde_json::json;
    use shared::checkpoint::Checkpoint;
    use shared::layers::Keep;
    use shared::models::{
        CellKind, Config, LanguageConfig, LanguageModel, Sentences, Seq2Seq, Seq2SeqConfig, Transformer, TransformerConfig,
        TranslationConfig,
    };
    use shared::pipeline::translate::HIDDEN;
    use shared::text::PADDING;
    use shared::{Scope, export};
    use tests::parity;

    use super::{Exported, Run};

    const VOCABULARY: usize = 11;
    const FEATURES: usize = 8;

    /// A small one of every kind.
    pub fn configs() -> Vec<(&'static str, Config)> {
        let (vocabulary, features, length) = (VOCABULARY, FEATURES, 16);
        let seq2seq = |cell, bidirectional, attention| {
            let (encoder, decoder) = (2, 1);
            let config = Seq2SeqConfig { vocabulary, features, cell, encoder, decoder, bidirectional, attention, length };
            Config::Translation(TranslationConfig::Seq2Seq(config))
        };
        let transformer = TransformerConfig { vocabulary, features, heads: 2, hidden: 12, encoder: 1, decoder: 2, length };
        vec![
            ("transformer", Config::Translation(TranslationConfig::Transformer(transformer))),
            ("seq2seq of GRUs", seq2seq(CellKind::Gru, true, true)),
            ("seq2seq of LSTMs", seq2seq(CellKind::Lstm, false, false)),
            ("language model", Config::Language(LanguageConfig { vocabulary, features, cell: CellKind::Gru, layers: 2, length })),
        ]
    }

    /// Notes the network, and what candle makes of it.
    pub fn add(exported: &Exported, name: &str, config: &Config) {
        let checkpoint = parity::sentences(config).unwrap();
        let source: [&[u32]; 2] = [&[5, 3, 9, 4, 2], &[7, 2]];
        let target: [&[u32]; 2] = [&[1, 8, 3, 6, 10], &[1, 4, 5]];
        let [source, target] = [source, target].map(|sentences| {
            let padded = |words: &&[u32]| words.iter().copied().chain(std::iter::repeat(PADDING)).take(5).collect::<Vec<_>>();
            sentences.iter().map(padded).collect::<Vec<_>>()
        });
        let model = export::onnx_of_sentences(&checkpoint, name, 5).unwrap();
        let logits = wanted(&checkpoint, &source, &target).unwrap();
        let mut inputs = json!({ "target": target });
        if !matches!(config, Config::Language(_)) {
            inputs["source"] = json!(source);
        }
        let mut cases = exported.cases.borrow_mut();
        let number = cases.len();
        std::fs::write(exported.folder.join(format!("{number}.onnx")), model.to_bytes().unwrap()).unwrap();
        let output = format!("{number}.out");
        cases.push(json!([format!("{number}.onnx"), [[inputs, null, output]]]));
        let (dims, wanted) = (logits.dims().to_vec(), logits.flatten_all().unwrap().to_vec1().unwrap());
        exported.runs.borrow_mut().push(Run { name: name.to_owned(), output, dims, wanted });
    }

    fn wanted(checkpoint: &Checkpoint, source: &[Vec<u32>], target: &[Vec<u32>]) -> shared::Result<Candle> {
        let device = &Device::Cpu;
        let constants = shared::engine::candle::Constants { tensors: &checkpoint.tensors, device };
        let scope = Scope::root(&constants);
        let (count, length) = (source.len(), source[0].len());
        let indices = |sentences: &[Vec<u32>]| Candle::from_vec(sentences.concat(), (count, length), device);
        let (words, given) = (indices(source)?, indices(target)?);
        let hidden = |hide: &dyn Fn(usize) -> bool, count: usize| -> Vec<f32> {
            (0..count).map(|i| if hide(i) { HIDDEN } else { 0.0 }).collect()
        };
        let all = source.concat();
        let ends = Candle::from_vec(hidden(&|i| all[i] == PADDING, all.len()), (count, 1, length), device)?;
        let columns = |x: &Candle| (0..length).map(|i| x.narrow(1, i, 1)).collect::<candle_core::Result<Vec<_>>>();
        match &checkpoint.metadata.config {
            Config::Language(config) => LanguageModel::new(config, &scope)?.forward(&columns(&given)?, &Keep),
            Config::Translation(TranslationConfig::Transformer(config)) => {
                let network = Transformer::new(config, &scope)?;
                let positions: Vec<u32> = (0..count).flat_map(|_| 0..length as u32).collect();
                let positions = Candle::from_vec(positions, (count, length), device)?;
                let later = hidden(&|i| i % length > i / length, length * length);
                let later = Candle::from_vec(later, (1, length, length), device)?;
                let read = network.encode(&words, &positions, Some(&ends), &Keep)?;
                network.decode(&given, &positions, &later, &read, Some(&ends), &Keep)
            }
            Config::Translation(TranslationConfig::Seq2Seq(config)) => {
                let network = Seq2Seq::new(config, &scope)?;
                let present = |i: usize| -> candle_core::Result<Candle> {
                    let stands = source.iter().flat_map(|words| vec![if words[i] == PADDING { 0f32 } else { 1.0 }; FEATURES]);
                    Candle::from_vec(stands.collect::<Vec<_>>(), (count, 1, FEATURES), device)
                };
                let present = (0..length).map(|i| present(i).map(Some)).collect::<candle_core::Result<_>>()?;
                let state = network.encode(Sentences { words: columns(&words)?, present, mask: Some(ends) }, &Keep)?;
                network.decode(state, length, &Keep, |i, _| Ok(given.narrow(1, i, 1)?))
            }
            Config::Image(_) => unreachable!("a network for sentences"),
        }
    }
}

/// `[1, 2, 5, 5]` through a convolution with the weights `first` and one with the weights `second`, both called `weight`.
fn twice(first: u64, second: u64) -> Result<Model> {
    let weight = |seed| OnnxTensor::parameter("weight", parity::values(seed, 36), &[2, 2, 3, 3]);
    let x = OnnxTensor::input([1, 2, 5, 5]);
    Model::new("twice", &x, &x.conv2d(&weight(first)?, None, 1, 1)?.conv2d(&weight(second)?, None, 1, 1)?)
}

#[test]
fn a_parameter_read_twice_is_stored_once() {
    let model = twice(1, 1).unwrap();
    assert_eq!((model.nodes(), model.parameters()), (2, 36));
    assert!(model.takes_any_size());
}

#[test]
fn what_cannot_be_written_is_refused_in_words() {
    let message = |result: Result<Model>| result.err().map(|e| e.to_string()).unwrap_or_default();
    let two = message(twice(1, 2));
    assert!(two.contains("two parameters are called `weight`"), "{two}");

    let (x, other) = (OnnxTensor::input([1, 4, 2, 2]), OnnxTensor::input([1, 4, 2, 2]));
    let foreign = message(x.add(&other).and_then(|y| Model::new("foreign", &x, &y)));
    assert!(foreign.contains("another input"), "{foreign}");
    let taken = OnnxTensor::parameter("input", vec![1.0; 16], &[1, 4, 2, 2]).and_then(|p| x.add(&p));
    let taken = message(taken.and_then(|y| Model::new("taken", &x, &y)));
    assert!(taken.contains("two values are called `input`"), "{taken}");
    let computed = OnnxTensor::input([4, 4, 1, 1]);
    assert!(x.conv2d(&computed, None, 1, 0).is_err());
    assert!(OnnxTensor::parameter("short", vec![1.0; 15], &[1, 4, 2, 2]).is_err());
}

#[test]
fn affine_becomes_what_it_does() {
    let x = OnnxTensor::input([1, 2, 3, 3]);
    for (scale, shift, nodes) in [(1.0, 0.0, 0), (2.0, 0.0, 1), (1.0, 0.5, 1), (2.0, 0.5, 2)] {
        let y = x.affine(scale, shift).and_then(|y| y.relu()).unwrap();
        assert_eq!(Model::new("affine", &x, &y).unwrap().nodes(), nodes + 1, "{scale} * x + {shift}");
    }
}
