//! The parity suite: every operation and every model, candle on the CPU against another engine.
//!
//! A case is written once, generic over the engine. `tests/tests/parity.rs` runs the suite on WebGPU natively,
//! `tests/tests/parity_browser.rs` the same one in a browser, `tests/tests/onnx.rs` on what the ONNX engine writes.

/// Cases that make of `x` and constants what stands there, each a type of its own, and `all`, which runs them.
macro_rules! cases {
    ($($(#[$doc:meta])* $name:ident |$x:ident, $c:ident| $body:expr;)*) => {
        $($(#[$doc])* pub struct $name;
        impl Compute for $name {
            fn compute<T: Tensor>(&self, $x: &T, $c: &Scope<T>) -> Result<T> {
                $body
            }
        })*

        /// Every case of this file that takes any input of its kind.
        pub async fn all(engine: &impl Engine, dims: &[usize], report: &mut Report) {
            $(
                let name = format!("{} {dims:?}", stringify!($name));
                report.add(&name, engine.check(&name, dims, OPERATION, &$name).await);
            )*
        }
    };
}

pub mod operations;
pub mod sequences;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::checkpoint::{Checkpoint, Dense, Metadata};
use shared::engine::candle;
use shared::engine::webgpu::{Constants, Context, GpuTensor, Plan, Precision};
use shared::models::{
    Config, ImageConfig, ImageNetwork, LanguageModel, PlainConfig, RlfnConfig, SrResnetConfig, TransformNetConfig,
    TranslationNetwork,
};
use shared::tensor::Padding;
use shared::{Init, Result, Scope, Source, Tensor};

type Cpu = candle_core::Tensor;

/// What a case computes: `x` is the input, [`Scope`] hands out random constants.
pub trait Compute {
    /// The result on any engine.
    fn compute<T: Tensor>(&self, x: &T, constants: &Scope<T>) -> Result<T>;
}

/// An engine that is compared with candle.
#[allow(async_fn_in_trait)] // Ours alone, on one thread.
pub trait Engine {
    /// Runs `case` on candle and here with an input of `dims` and compares.
    ///
    /// # Errors
    /// The first difference or failure, in words.
    async fn check(&self, name: &str, dims: &[usize], tolerance: Tolerance, case: &impl Compute) -> Result<(), String>;

    /// The same with a network read from a checkpoint.
    ///
    /// # Errors
    /// As [`Engine::check`].
    async fn model(&self, name: &str, checkpoint: &Checkpoint, dims: [usize; 4]) -> Result<(), String>;
}

/// How far an element may be off.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    absolute: f32,
    relative: f32,
}

/// For single operations.
pub const OPERATION: Tolerance = Tolerance { absolute: 1e-4, relative: 1e-4 };
/// For networks, whose outputs are about 1: a thousandth is the promise of the design.
pub const MODEL: Tolerance = Tolerance { absolute: 1e-4, relative: 1e-3 };
/// For both in f16, whose numbers are 1/2048 apart; inputs, weights and every tensor between are rounded to it.
pub const HALF: Tolerance = Tolerance { absolute: 2e-2, relative: 2e-2 };

/// Failures, one line each.
#[derive(Default)]
pub struct Report {
    /// Cases run.
    pub cases: usize,
    failures: String,
}

impl Report {
    /// Adds a case's outcome.
    pub fn add(&mut self, name: &str, outcome: Result<(), String>) {
        self.cases += 1;
        if let Err(why) = outcome {
            let _ = writeln!(self.failures, "{name}: {why}");
        }
    }

    /// Panics with all failures if there are any, or when nothing was run.
    pub fn assert(&self) {
        assert!(self.cases > 0, "no case was run");
        assert!(self.failures.is_empty(), "of {} cases these failed:\n{}", self.cases, self.failures);
    }
}

/// Compares element by element; the message names the worst element.
///
/// # Errors
/// When lengths differ or an element is further off than `tolerance`, or not a number.
pub fn compare(got: &[f32], wanted: &[f32], dims: &[usize], tolerance: Tolerance) -> Result<(), String> {
    if got.len() != wanted.len() {
        return Err(format!("{} elements instead of {}", got.len(), wanted.len()));
    }
    // In units of what is allowed; NaN counts as infinitely far off.
    let excess = |i: usize| {
        let off = (got[i] - wanted[i]).abs() / (tolerance.absolute + tolerance.relative * wanted[i].abs());
        if off.is_nan() { f32::INFINITY } else { off }
    };
    let Some(worst) = (0..got.len()).max_by(|&a, &b| excess(a).total_cmp(&excess(b))) else {
        return Err("nothing to compare".into());
    };
    if excess(worst) <= 1.0 {
        return Ok(());
    }
    let mut rest = worst;
    let mut index: Vec<usize> = dims.iter().rev().map(|&d| (rest % d, rest /= d).0).collect();
    index.reverse();
    Err(format!("worst at {index:?} of {dims:?}: {} instead of {}", got[worst], wanted[worst]))
}

/// Random values in -1..1, the same for the same seed.
pub fn values(seed: u64, count: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Random constants by name; scaled so that a convolution or a product keeps the variance.
pub fn constant(name: &str, dims: &[usize]) -> Vec<f32> {
    // Indices: whole numbers below 3, or 0.
    if name.starts_with("numbers.") {
        let limit = if name.ends_with("below") { dims.iter().product::<usize>().clamp(1, 3) } else { 1 };
        return (0..dims.iter().product::<usize>()).map(|i| (i * 2 % limit) as f32).collect();
    }
    let seed = name.bytes().fold(7u64, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
    let fan_in: usize = if dims.len() > 1 { dims[1..].iter().product() } else { 1 };
    let gain = if name.ends_with("weight") { (3.0 / fan_in as f32).sqrt() } else { 1.0 };
    values(seed, dims.iter().product()).into_iter().map(|v| v * gain).collect()
}

/// The constants of every case, for candle.
pub struct CpuConstants;

impl Source<Cpu> for CpuConstants {
    fn get(&self, name: &str, dims: &[usize], _: Init) -> Result<Cpu> {
        Ok(Cpu::from_vec(constant(name, dims), dims, &candle_core::Device::Cpu)?)
    }
}

/// The same for WebGPU.
pub struct GpuConstants<'a>(pub &'a Arc<Context>);

impl Source<GpuTensor> for GpuConstants<'_> {
    fn get(&self, name: &str, dims: &[usize], _: Init) -> Result<GpuTensor> {
        GpuTensor::constant(self.0, constant(name, dims), dims)
    }
}

/// What candle makes of `values(1, ..)` as `dims`: dimensions and values.
///
/// # Errors
/// candle's, in words.
pub fn wanted(case: &impl Compute, dims: &[usize]) -> Result<(Vec<usize>, Vec<f32>), String> {
    let compute = || {
        let x = Cpu::from_vec(values(1, dims.iter().product()), dims, &candle_core::Device::Cpu)?;
        let y = case.compute(&x, &Scope::root(&CpuConstants))?;
        Ok((y.dims().to_vec(), candle::values(&y)?))
    };
    compute().map_err(|e: shared::Error| e.to_string())
}

/// A network of this configuration as a case.
struct Network<'a>(&'a ImageConfig);

impl Compute for Network<'_> {
    fn compute<T: Tensor>(&self, x: &T, constants: &Scope<T>) -> Result<T> {
        ImageNetwork::new(self.0, constants)?.forward(x)
    }
}

/// As [`wanted`], of the network of a checkpoint that [`models`] made.
///
/// # Errors
/// candle's, in words.
pub fn wanted_of(config: &ImageConfig, dims: &[usize]) -> Result<(Vec<usize>, Vec<f32>), String> {
    wanted(&Network(config), dims)
}

/// WebGPU, in the context's precision.
impl Engine for Arc<Context> {
    async fn check(&self, name: &str, dims: &[usize], tolerance: Tolerance, case: &impl Compute) -> Result<(), String> {
        // A deviation of 0.3 around 40, where the numbers of f16 are 1/32 apart: it is lost before the norm sees it.
        if self.precision() == Precision::F16 && name.starts_with("InstanceNormFar ") {
            return Ok(());
        }
        let tolerance = if self.precision() == Precision::F16 { HALF } else { tolerance };
        let (out, wanted) = wanted(case, dims)?;
        let words = |e: shared::Error| e.to_string();
        let x = GpuTensor::input(dims);
        let y = case.compute(&x, &Scope::root(&GpuConstants(self))).map_err(words)?;
        if y.dims() != out {
            return Err(format!("recorded dims {:?} instead of {out:?}", y.dims()));
        }
        let plan = Plan::new(self, &x, &y).map_err(words)?;
        let input = values(1, dims.iter().product());
        let first = plan.run(&input).await.map_err(words)?;
        compare(&first, &wanted, &out, tolerance)?;
        // A second run finds what the first one left in the buffers.
        let again = plan.run(&input).await.map_err(words)?;
        if first == again { Ok(()) } else { Err("the second run gives another result".into()) }
    }

    async fn model(&self, _: &str, checkpoint: &Checkpoint, dims: [usize; 4]) -> Result<(), String> {
        let (out, wanted) = wanted_of(checkpoint.image().map_err(|e| e.to_string())?, &dims)?;
        let run = async || {
            let source = Constants { checkpoint, context: self };
            let network = ImageNetwork::<GpuTensor>::new(checkpoint.image()?, &Scope::root(&source))?;
            let x = GpuTensor::input(dims);
            Plan::new(self, &x, &network.forward(&x)?)?.run(&values(1, dims.iter().product())).await
        };
        let tolerance = if self.precision() == Precision::F16 { HALF } else { MODEL };
        compare(&run().await.map_err(|e: shared::Error| e.to_string())?, &wanted, &out, tolerance)
    }
}

/// Shapes that fill no block of channels, no row of threads and no workgroup, and some that do.
pub const SHAPES: [[usize; 4]; 6] = [[1, 1, 1, 1], [1, 3, 7, 5], [2, 4, 1, 9], [1, 5, 17, 33], [3, 48, 4, 4], [1, 8, 8, 16]];

/// The same for sequences; of some, features or words are more than the threads that share their sums.
const SEQUENCES: [[usize; 3]; 5] = [[3, 6, 8], [4, 1, 16], [3, 5, 13], [3, 2, 300], [3, 70, 8]];

async fn sequences_of_every_shape(engine: &impl Engine, report: &mut Report) {
    for dims in SEQUENCES {
        sequences::all(engine, &dims, report).await;
    }
}

/// Every operation on every shape.
pub async fn operations(engine: &impl Engine) -> Report {
    let mut report = Report::default();
    for dims in SHAPES {
        operations::all(engine, &dims, &mut report).await;
    }
    operations::ranks(engine, &mut report).await;
    sequences_of_every_shape(engine, &mut report).await;
    operations::convolutions(engine, &mut report).await;
    operations::pools(engine, &mut report).await;
    report
}

/// What works on sequences, and the networks that are made of it.
pub async fn on_sequences(engine: &impl Engine) -> Report {
    let mut report = Report::default();
    sequences_of_every_shape(engine, &mut report).await;
    sequences::models(engine, &mut report).await;
    report
}

/// Every network, at every scale where it has one, as a checkpoint.
pub async fn models(engine: &impl Engine) -> Report {
    let mut report = Report::default();
    sequences::models(engine, &mut report).await;
    let style = ImageConfig::TransformNet(TransformNetConfig { channels: 5, blocks: 1, styles: 0, bounded: true });
    let mut cases: Vec<_> = [(8, 12), (16, 32)].map(|size| (style, size)).into();
    for scale in 2..=4 {
        let rlfn = ImageConfig::Rlfn(RlfnConfig { scale, channels: 13, blocks: 2 });
        let sr_resnet = ImageConfig::SrResnet(SrResnetConfig { scale, channels: 16, blocks: 2 });
        let plain = ImageConfig::Plain(PlainConfig { scale, channels: 16, blocks: 2 });
        for config in [rlfn, sr_resnet, plain] {
            cases.extend([(1, 1), (7, 5), (17, 33)].map(|size| (config, size)));
        }
    }
    for (config, (height, width)) in cases {
        let name = format!("{config:?} on {height}x{width}");
        let outcome = match checkpoint(config) {
            Ok(checkpoint) => engine.model(&name, &checkpoint, [1, 3, height, width]).await,
            Err(e) => Err(e.to_string()),
        };
        report.add(&name, outcome);
    }
    report
}

/// Remembers what it hands out, to make a checkpoint of it.
#[derive(Default)]
struct Recorder(RefCell<BTreeMap<String, Dense>>);

impl Source<Cpu> for Recorder {
    fn get(&self, name: &str, dims: &[usize], init: Init) -> Result<Cpu> {
        self.0.borrow_mut().insert(name.to_owned(), Dense { dims: dims.to_vec(), values: constant(name, dims) });
        CpuConstants.get(name, dims, init)
    }
}

/// A network for sentences as a checkpoint.
///
/// # Errors
/// When its sizes make no sense.
pub fn sentences(config: &Config) -> Result<Checkpoint> {
    let recorder = Recorder::default();
    let scope = Scope::root(&recorder);
    match config {
        Config::Translation(config) => drop(TranslationNetwork::<Cpu>::new(config, &scope)?),
        Config::Language(config) => drop(LanguageModel::<Cpu>::new(config, &scope)?),
        Config::Image(config) => return checkpoint(*config),
    }
    Ok(Checkpoint { metadata: Metadata::new(*config), tensors: recorder.0.into_inner() })
}

fn checkpoint(config: ImageConfig) -> Result<Checkpoint> {
    let recorder = Recorder::default();
    ImageNetwork::<Cpu>::new(&config, &Scope::root(&recorder))?;
    let metadata = Metadata::new(config);
    Ok(Checkpoint { metadata, tensors: recorder.0.into_inner() })
}
