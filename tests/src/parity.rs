//! The parity suite: every operation and every model, candle on the CPU against another engine.
//!
//! A case is written once, generic over the engine. `tests/tests/parity.rs` runs the suite on WebGPU natively,
//! `tests/tests/parity_browser.rs` the same one in a browser, `tests/tests/onnx.rs` on what the ONNX engine writes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::checkpoint::{Checkpoint, Dense, Metadata};
use shared::engine::candle;
use shared::engine::webgpu::{Constants, Context, GpuTensor, Plan, Precision};
use shared::layers::Keep;
use shared::models::{
    ImageConfig, ImageNetwork, PlainConfig, RlfnConfig, SrResnetConfig, TransformNetConfig, Transformer, TransformerConfig,
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

/// The operations, and chains that plans fuse in every way they know.
pub mod operations {
    use super::*;

    /// A convolution; `outputs`, `kernel`, `stride`, `padding`, `bias`.
    pub struct Conv(pub usize, pub usize, pub usize, pub Padding, pub bool);

    impl Compute for Conv {
        fn compute<T: Tensor>(&self, x: &T, constants: &Scope<T>) -> Result<T> {
            let &Self(outputs, kernel, stride, padding, bias) = self;
            let weight = constants.get("weight", &[outputs, x.dims()[1], kernel, kernel], Init::Const(0.0))?;
            let bias = bias.then(|| constants.get("bias", &[outputs], Init::Const(0.0))).transpose()?;
            x.conv2d(&weight, bias.as_ref(), stride, padding)
        }
    }

    macro_rules! operations {
        ($($(#[$doc:meta])* $name:ident |$x:ident, $c:ident| $body:expr;)*) => {
            $($(#[$doc])* pub struct $name;
            impl Compute for $name {
                fn compute<T: Tensor>(&self, $x: &T, $c: &Scope<T>) -> Result<T> {
                    $body
                }
            })*

            /// Every operation that works on tensors of any shape, and every chain.
            pub async fn all(engine: &impl Engine, dims: &[usize], report: &mut Report) {
                $(
                    let name = format!("{} {dims:?}", stringify!($name));
                    report.add(&name, engine.check(&name, dims, OPERATION, &$name).await);
                )*
            }
        };
    }

    /// A convolution that keeps the shape.
    fn conv<T: Tensor>(x: &T, name: &str, kernel: usize, constants: &Scope<T>) -> Result<T> {
        let c = x.dims()[1];
        let scope = constants.sub(name);
        let weight = scope.get("weight", &[c, c, kernel, kernel], Init::Const(0.0))?;
        x.conv2d(&weight, Some(&scope.get("bias", &[c], Init::Const(0.0))?), 1, kernel / 2)
    }

    fn norm<T: Tensor>(x: &T, constants: &Scope<T>) -> Result<T> {
        let channels = [x.dims()[1]];
        let scope = constants.sub("norm");
        let weight = scope.get("weight", &channels, Init::Const(0.0))?;
        x.instance_norm(&weight, &scope.get("bias", &channels, Init::Const(0.0))?, 1e-2)
    }

    fn other<T: Tensor>(x: &T, constants: &Scope<T>) -> Result<T> {
        constants.get("other", x.dims(), Init::Const(0.0))
    }

    operations! {
        /// The input itself.
        Identity |x, _c| Ok(x.clone());
        /// A constant: the input is not needed.
        Constant |x, c| other(x, c);
        /// Alone.
        Relu |x, _c| x.relu();
        /// Alone.
        LeakyRelu |x, _c| x.leaky_relu(0.05);
        /// Over a wide range.
        Sigmoid |x, _c| x.affine(200.0, 0.0)?.sigmoid();
        /// Over a wide range.
        Silu |x, _c| x.affine(200.0, 0.0)?.silu();
        /// Alone.
        Affine |x, _c| x.affine(-1.5, 0.25);
        /// With a constant.
        Add |x, c| x.add(&other(x, c)?);
        /// With a constant.
        Sub |x, c| x.sub(&other(x, c)?);
        /// The operand first.
        SubReversed |x, c| other(x, c)?.sub(x);
        /// With a constant.
        Mul |x, c| x.mul(&other(x, c)?);
        /// An operand twice.
        Twice |x, _c| x.add(x)?.mul(x);
        /// Dead ends are recorded, not computed.
        Dead |x, _c| { x.sigmoid()?.mul(x)?; x.relu() };
        /// Followed by an activation and a skip, which join it.
        InstanceNorm |x, c| norm(x, c)?.relu()?.add(x);
        /// Far from zero: the variance must not be the difference of two large sums.
        InstanceNormFar |x, c| norm(&x.affine(0.5, 40.0)?, c);
        /// Joins parts that end inside a block of channels.
        Cat |x, c| T::cat_channels(&[x, &other(x, c)?, &x.relu()?, x]);
        /// One part.
        CatOne |x, _c| T::cat_channels(&[x])?.relu();
        /// What follows a joined tensor reads its padding lanes.
        CatConv |x, _c| conv(&T::cat_channels(&[&x.relu()?, x])?, "a", 1, _c);
        /// By 1: nothing changes, and nobody else may see what follows.
        UpsampleOne |x, _c| { let y = x.affine(2.0, 1.0)?; y.upsample_nearest(1)?.relu()?.add(&y) };
        /// Alone.
        Upsample |x, _c| x.upsample_nearest(3)?.relu();
        /// Read by an epilogue and by a convolution.
        UpsampleShared |x, c| { let y = x.upsample_nearest(2)?; conv(&y, "a", 3, c)?.relu()?.add(&y) };
        /// Read by convolutions alone, with either border, and by an epilogue.
        UpsampleConvs |x, c| {
            let y = x.upsample_nearest(3)?;
            let channels = x.dims()[1];
            let weight = |name: &str| c.sub(name).get("weight", &[channels, channels, 3, 3], Init::Const(0.0));
            let zeros = y.conv2d(&weight("a")?, None, 1, 2)?;
            let mirrored = y.conv2d(&weight("b")?, None, 1, Padding::Reflect(2))?.relu()?;
            zeros.add(&mirrored)?.conv2d(&weight("c")?, None, 1, 0)?.add(&y)
        };
        /// The same with strides.
        UpsampleStrided |x, c| {
            let y = x.upsample_nearest(3)?;
            let channels = x.dims()[1];
            let weight = |name: &str| c.sub(name).get("weight", &[channels, channels, 5, 5], Init::Const(0.0));
            let zeros = y.conv2d(&weight("a")?, None, 2, 2)?;
            let mirrored = y.conv2d(&weight("b")?, None, 2, Padding::Reflect(2))?.relu()?;
            conv(&zeros.add(&mirrored)?.upsample_nearest(2)?, "c", 3, c)
        };
        /// Two enlarged operands.
        UpsampleBoth |x, _c| x.upsample_nearest(2)?.sub(&x.relu()?.upsample_nearest(2)?);
        /// An enlarged tensor enlarged.
        UpsampleTwice |x, _c| x.upsample_nearest(2)?.upsample_nearest(2);
        /// Activation, scale and skip in the epilogue.
        Residual |x, c| conv(&conv(x, "a", 3, c)?.relu()?, "b", 3, c)?.affine(0.1, 0.0)?.add(x);
        /// The skip is read twice more.
        Skip |x, c| {
            let y = conv(x, "a", 1, c)?.silu()?;
            let z = conv(&y, "b", 3, c)?.leaky_relu(0.2)?;
            y.sub(&z)?.mul(&conv(&z, "c", 1, c)?.sigmoid()?)?.add(&y)
        };
        /// More operands than an epilogue may read.
        ManyOperands |x, c| {
            let all = ["a", "b", "c", "d", "e", "f"].map(|n| conv(x, n, 1, c));
            let mut y = conv(x, "g", 3, c)?;
            for (i, t) in all.into_iter().enumerate() {
                y = if i % 2 == 0 { y.add(&t?)? } else { t?.sub(&y)? };
            }
            Ok(y)
        };
        /// A value that is the result and an operand.
        Shuffled |x, c| {
            let channels = x.dims()[1];
            let weight = c.sub("up").get("weight", &[channels * 9, channels, 3, 3], Init::Const(0.0))?;
            x.conv2d(&weight, None, 1, 1)?.pixel_shuffle(3)?.add(&x.upsample_nearest(3)?)
        };
        /// Epilogues on both sides of a shuffle, with operands of every size.
        ShuffledAround |x, c| {
            let channels = x.dims()[1];
            let weight = |name: &str| c.sub(name).get("weight", &[channels * 4, channels, 3, 3], Init::Const(0.0));
            let skip = x.conv2d(&weight("a")?, None, 1, 1)?.silu()?;
            let y = x.conv2d(&weight("b")?, None, 1, 1)?.leaky_relu(0.2)?.add(&skip)?.pixel_shuffle(2)?.affine(2.0, 0.5)?;
            let large = other(&y, c)?;
            large.sub(&y)?.mul(&x.upsample_nearest(2)?)?.add(&skip.pixel_shuffle(2)?)
        };
        /// Shuffled into blocks of channels, read by a convolution.
        ShuffledBlocks |x, c| {
            let channels = x.dims()[1];
            let weight = c.sub("up").get("weight", &[16 * 8, channels, 3, 3], Init::Const(0.0))?;
            let y = x.conv2d(&weight, None, 1, 1)?.relu()?.pixel_shuffle(4)?.affine(0.5, 0.1)?;
            conv(&y, "b", 3, c)?.add(&y)
        };
        /// A shuffled tensor shuffled.
        ShuffledAgain |x, c| {
            let channels = x.dims()[1];
            let weight = c.sub("up").get("weight", &[16, channels, 3, 3], Init::Const(0.0))?;
            x.conv2d(&weight, None, 1, 1)?.pixel_shuffle(2)?.pixel_shuffle(2)
        };
        /// What follows a shuffle reads its padding lanes.
        ShuffleTwice |x, c| {
            let channels = x.dims()[1];
            let weight = c.sub("up").get("weight", &[channels * 4, channels, 1, 1], Init::Const(0.0))?;
            let y = x.conv2d(&weight, None, 1, 0)?.pixel_shuffle(2)?;
            conv(&y, "b", 3, c)?.relu()
        };
    }

    /// What works on sequences, and chains that plans fuse.
    macro_rules! sequences {
        ($($(#[$doc:meta])* $name:ident |$x:ident, $c:ident| $body:expr;)*) => {
            $($(#[$doc])* pub struct $name;
            impl Compute for $name {
                fn compute<T: Tensor>(&self, $x: &T, $c: &Scope<T>) -> Result<T> {
                    $body
                }
            })*

            /// Every operation on sequences `[B, T, F]`, and every chain.
            pub async fn sequences(engine: &impl Engine, dims: &[usize], report: &mut Report) {
                $(
                    let name = format!("{} {dims:?}", stringify!($name));
                    report.add(&name, engine.check(&name, dims, OPERATION, &$name).await);
                )*
            }
        };
    }

    fn linear<T: Tensor>(x: &T, name: &str, outputs: usize, bias: bool, constants: &Scope<T>) -> Result<T> {
        let inputs = x.dims().last().copied().unwrap_or_default();
        let scope = constants.sub(name);
        let weight = scope.get("weight", &[outputs, inputs], Init::Const(0.0))?;
        let bias = bias.then(|| scope.get("bias", &[outputs], Init::Const(0.0))).transpose()?;
        x.linear(&weight, bias.as_ref())
    }

    fn layer_norm<T: Tensor>(x: &T, constants: &Scope<T>) -> Result<T> {
        let features = [x.dims().last().copied().unwrap_or_default()];
        let scope = constants.sub("norm");
        let (weight, bias) = (scope.get("weight", &features, Init::Const(0.0))?, scope.get("bias", &features, Init::Const(0.0))?);
        x.layer_norm(&weight, &bias, 1e-2)
    }

    /// Whole numbers below `limit`, of any sign of the constants that they come from: `constants` are in -1..1.
    fn numbers<T: Tensor>(name: &str, dims: &[usize], constants: &Scope<T>) -> Result<T> {
        constants.get(&format!("numbers.{name}"), dims, Init::Const(0.0))
    }

    sequences! {
        /// To other features, and an activation that joins.
        LinearRelu |x, c| linear(x, "a", 7, true, c)?.relu();
        /// Without a bias, of a row alone.
        LinearWide |x, c| linear(x, "a", 40, false, c);
        /// As in a feed-forward part: the skip joins.
        LinearSkip |x, c| linear(&linear(x, "a", 9, true, c)?.relu()?, "b", x.dims()[2], true, c)?.add(x);
        /// Over a wide range.
        Tanh |x, _c| x.affine(60.0, 0.0)?.tanh();
        /// Far from zero: the variance must not be the difference of two large sums.
        LayerNorm |x, c| layer_norm(&x.affine(4.0, 10.0)?, c)?.relu()?.add(x);
        /// Of a table that is computed, by a table of numbers.
        Take |x, c| x.take(&numbers("below", &[3], c)?)?.relu();
        /// An embedding.
        Embedding |x, c| {
            let table = c.get("table", &[3, 10], Init::Const(0.0))?;
            table.take(&numbers("below", &[2, 5], c)?)?.add(&linear(&table.take(&numbers("below", &[2, 5], c)?)?, "a", 10, true, c)?)?
                .linear(&c.get("out.weight", &[x.dims()[2], 10], Init::Const(0.0))?, None)
        };
        /// Of heads that end inside a block, with a mask for every query.
        Weights |x, c| {
            let [b, t, _] = [x.dims()[0], x.dims()[1], x.dims()[2]];
            let (q, k) = (linear(x, "q", 24, true, c)?, linear(x, "k", 24, true, c)?);
            q.attention_weights(&k, 3, Some(&c.get("mask", &[b, t, t], Init::Const(0.0))?))
        };
        /// One mask for all.
        Attention |x, c| {
            let t = x.dims()[1];
            let (q, k, v) = (linear(x, "q", 20, true, c)?, linear(x, "k", 20, true, c)?, linear(x, "v", 40, true, c)?);
            let weights = q.attention_weights(&k, 5, Some(&c.get("mask", &[1, 1, t], Init::Const(0.0))?))?;
            linear(&weights.attend(&v)?, "o", x.dims()[2], true, c)?.add(x)
        };
        /// Of another length than the queries, and without a mask.
        CrossAttention |x, c| {
            let source = c.get("source", &[x.dims()[0], 5, 8], Init::Const(0.0))?;
            let weights = linear(x, "q", 8, true, c)?.attention_weights(&source, 1, None)?;
            weights.attend(&source)
        };
        /// A cache that grows.
        Put |x, c| {
            let [b, f] = [x.dims()[0], x.dims()[2]];
            let row = linear(&c.get("row", &[b, 1, f], Init::Const(0.0))?, "a", f, true, c)?;
            x.put(&row, &numbers("zero", &[1], c)?)?.relu()
        };
    }

    /// Element by element, on tensors of other ranks.
    pub async fn ranks(engine: &impl Engine, report: &mut Report) {
        for dims in [&[][..], &[7], &[3, 5], &[2, 3, 5], &[2, 1, 3, 5, 2]] {
            let name = format!("silu {dims:?}");
            report.add(&name, engine.check(&name, dims, OPERATION, &Silu).await);
            let name = format!("sub {dims:?}");
            report.add(&name, engine.check(&name, dims, OPERATION, &SubReversed).await);
        }
    }

    /// Windows, strides and paddings, with sizes where the last window ends before the border.
    pub async fn convolutions(engine: &impl Engine, report: &mut Report) {
        for (channels, outputs) in [(1, 1), (3, 48), (4, 5), (5, 4), (48, 3), (13, 13)] {
            for (kernel, stride, padding) in
                [(1, 1, 0), (3, 1, 1), (3, 1, 0), (3, 2, 1), (5, 1, 2), (5, 3, 0), (7, 2, 3), (2, 2, 0), (4, 1, 3), (3, 1, 5)]
            {
                for (n, height, width) in [(1, 7, 8), (2, 9, 17)] {
                    let dims = [n, channels, height, width];
                    for padding in [Padding::Zeros(padding), Padding::Reflect(padding)] {
                        let case = Conv(outputs, kernel, stride, padding, outputs % 2 == 1);
                        let name = format!("conv2d {dims:?} to {outputs}, {kernel}x{kernel} stride {stride}, {padding:?}");
                        report.add(&name, engine.check(&name, &dims, OPERATION, &case).await);
                    }
                }
            }
        }
    }
}

/// Shapes that fill no block of channels, no row of threads and no workgroup, and some that do.
pub const SHAPES: [[usize; 4]; 6] = [[1, 1, 1, 1], [1, 3, 7, 5], [2, 4, 1, 9], [1, 5, 17, 33], [3, 48, 4, 4], [1, 8, 8, 16]];

/// Every operation on every shape.
pub async fn operations(engine: &impl Engine) -> Report {
    let mut report = Report::default();
    for dims in SHAPES {
        operations::all(engine, &dims, &mut report).await;
    }
    operations::ranks(engine, &mut report).await;
    for dims in [[3, 6, 8], [4, 1, 16], [3, 5, 13]] {
        operations::sequences(engine, &dims, &mut report).await;
    }
    operations::convolutions(engine, &mut report).await;
    report
}

/// A Transformer that reads and writes sentences at once; the input is what hides words of the source.
struct Sentences;

/// The same, three words one by one, for sentences that change places; the input likewise.
struct WordByWord;

const TRANSFORMER: TransformerConfig =
    TransformerConfig { vocabulary: 11, features: 16, heads: 2, hidden: 24, encoder: 2, decoder: 2, length: 8 };

fn words<T: Tensor>(name: &str, dims: &[usize], constants: &Scope<T>) -> Result<T> {
    constants.get(&format!("numbers.{name}.below"), dims, Init::Const(0.0))
}

/// 0 for what stands up to `position`, and very negative behind.
fn causal<T: Tensor>(dims: &[usize], constants: &Scope<T>) -> Result<T> {
    constants.get("causal", dims, Init::Const(0.0))
}

impl Compute for Sentences {
    fn compute<T: Tensor>(&self, x: &T, constants: &Scope<T>) -> Result<T> {
        let [b, s, t] = [x.dims()[0], x.dims()[2], 4];
        let model = Transformer::new(&TRANSFORMER, &constants.sub("model"))?;
        let source = model.encode(&words("source", &[b, s], constants)?, &words("at", &[b, s], constants)?, Some(x), &Keep)?;
        let (before, at) = (words("before", &[b, t], constants)?, words("when", &[b, t], constants)?);
        model.decode(&before, &at, &causal(&[1, t, t], constants)?, &source, Some(x), &Keep)
    }
}

impl Compute for WordByWord {
    fn compute<T: Tensor>(&self, x: &T, constants: &Scope<T>) -> Result<T> {
        let [b, s] = [x.dims()[0], x.dims()[2]];
        let model = Transformer::new(&TRANSFORMER, &constants.sub("model"))?;
        let source = model.encode(&words("source", &[b, s], constants)?, &words("at", &[b, s], constants)?, Some(x), &Keep)?;
        let mut state = model.start(&source, 4, |dims| constants.get("cache", dims, Init::Const(0.0)))?;
        let mut sum: Option<T> = None;
        for step in 0..3 {
            let scope = constants.sub("numbers").sub(step);
            let position = scope.get("below", &[1], Init::Const(0.0))?;
            let (word, at) = (words("word", &[b, 1], constants)?, words("when", &[b, 1], constants)?);
            let next = model.step(&word, &at, &position, &causal(&[1, 1, 4], constants)?, Some(x), &state)?;
            let turned = words("turned", &[b], constants)?;
            state = next.state.map(|t| t.take(&turned))?;
            sum = Some(sum.map_or(Ok(next.logits.clone()), |sum| sum.add(&next.logits))?);
        }
        sum.ok_or_else(|| shared::Error::shape("step", "none"))
    }
}

/// Every network, at every scale where it has one, as a checkpoint.
pub async fn models(engine: &impl Engine) -> Report {
    let mut report = Report::default();
    let dims = [3, 1, 5];
    report.add("transformer", engine.check("transformer", &dims, MODEL, &Sentences).await);
    report.add("transformer, word by word", engine.check("word_by_word", &dims, MODEL, &WordByWord).await);
    let style = ImageConfig::TransformNet(TransformNetConfig { channels: 5, blocks: 1 });
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

fn checkpoint(config: ImageConfig) -> Result<Checkpoint> {
    let recorder = Recorder::default();
    ImageNetwork::<Cpu>::new(&config, &Scope::root(&recorder))?;
    let metadata = Metadata::new(config);
    Ok(Checkpoint { metadata, tensors: recorder.0.into_inner() })
}
