//! Recording: a tensor is a node of a graph that says how it is computed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Context;
use super::memory::{Packing, Precision, encode};
use crate::checkpoint::Checkpoint;
use crate::tensor::{Padding, rules};
use crate::{Error, Result, Source, Tensor};

/// A tensor that is not computed yet. Cheap to clone. A [`super::Plan`] computes it.
#[derive(Clone)]
pub struct GpuTensor(pub(super) Rc<Node>);

pub(super) struct Node {
    /// Rises with every recorded operation, so that what a node reads has a smaller one.
    pub id: u64,
    pub dims: Vec<usize>,
    pub op: Op,
}

pub(super) enum Op {
    Input,
    Constant(Constant),
    Conv2d { x: GpuTensor, weight: GpuTensor, bias: Option<GpuTensor>, stride: usize, padding: Padding },
    InstanceNorm { x: GpuTensor, weight: GpuTensor, bias: GpuTensor, epsilon: f32 },
    Map(GpuTensor, Map),
    Zip(GpuTensor, GpuTensor, Zip),
    CatChannels(Vec<GpuTensor>),
    PixelShuffle(GpuTensor, usize),
    MaxPool { x: GpuTensor, kernel: usize, stride: usize },
    UpsampleNearest(GpuTensor, usize),
    Linear { x: GpuTensor, weight: GpuTensor, bias: Option<GpuTensor> },
    LayerNorm { x: GpuTensor, weight: GpuTensor, bias: GpuTensor, epsilon: f32 },
    Take { table: GpuTensor, indices: GpuTensor },
    AttentionWeights { queries: GpuTensor, keys: GpuTensor, mask: Option<GpuTensor> },
    Attend { weights: GpuTensor, values: GpuTensor },
    Put { x: GpuTensor, row: GpuTensor, position: GpuTensor },
    Beam { logits: GpuTensor, scores: GpuTensor, end: usize },
    CatTime(Vec<GpuTensor>),
}

/// The widest beam: its sentences are kept in registers.
const WIDEST: usize = 16;

/// A function of one element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Map {
    /// See [`Tensor::leaky_relu`]; slope 0 is [`Tensor::relu`].
    LeakyRelu(f32),
    /// See [`Tensor::clamp`].
    Clamp(f32, f32),
    /// See [`Tensor::sigmoid`].
    Sigmoid,
    /// See [`Tensor::silu`].
    Silu,
    /// See [`Tensor::tanh`].
    Tanh,
    /// See [`Tensor::affine`].
    Affine(f32, f32),
}

/// A function of two elements at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zip {
    /// See [`Tensor::add`].
    Add,
    /// See [`Tensor::sub`].
    Sub,
    /// See [`Tensor::mul`].
    Mul,
}

/// Values known before any run, uploaded at their first use in each packing and precision, kept as long as the model.
pub(super) struct Constant {
    context: Arc<Context>,
    values: Vec<f32>,
    buffers: RefCell<HashMap<(Packing, Precision), wgpu::Buffer>>,
}

impl GpuTensor {
    fn record(dims: impl Into<Vec<usize>>, op: Op) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(Rc::new(Node { id, dims: dims.into(), op }))
    }

    fn map(&self, map: Map) -> Result<Self> {
        Ok(Self::record(self.dims(), Op::Map(self.clone(), map)))
    }

    fn zip(&self, name: &'static str, other: &Self, zip: Zip) -> Result<Self> {
        rules::same(name, self.dims(), other.dims())?;
        Ok(Self::record(self.dims(), Op::Zip(self.clone(), other.clone(), zip)))
    }

    /// What a plan gets with every run.
    pub fn input(dims: impl Into<Vec<usize>>) -> Self {
        Self::record(dims, Op::Input)
    }

    /// How the sentences of a beam go on: from `logits` `[B, 1, V]` of their next words and their `scores` `[B]`, an input, to
    /// `[4, B]`: the words of the B likeliest continuations, `end` not counted; the sentences that they continue; their scores,
    /// which are the sentences' scores and the logarithms of the words' probabilities; and that logarithm for `end`, of every
    /// sentence. No operation of a model, so no other engine has it; `pipeline::search` is what it does, on the CPU.
    ///
    /// # Errors
    /// [`Error::Shape`] when dimensions are others, or the beam is wider than 16 or than the vocabulary.
    pub fn beam(&self, scores: &Self, end: usize) -> Result<Self> {
        let &[beam, 1, words] = self.dims() else {
            return Err(Error::shape("beam", format!("logits {:?} are not [B, 1, V]", self.dims())));
        };
        if scores.dims() != [beam] || !(1..=WIDEST).contains(&beam) || words <= beam {
            return Err(Error::shape("beam", format!("{beam} sentences, {:?} scores, {words} words", scores.dims())));
        }
        numbers("beam", scores)?;
        Ok(Self::record([4, beam], Op::Beam { logits: self.clone(), scores: scores.clone(), end }))
    }

    /// Row-major `values` that never change.
    ///
    /// # Errors
    /// [`Error::Shape`] when there are more or fewer values than `dims` says.
    pub fn constant(context: &Arc<Context>, values: Vec<f32>, dims: &[usize]) -> Result<Self> {
        if values.len() != dims.iter().product::<usize>() {
            return Err(Error::shape("constant", format!("{} values do not fill {dims:?}", values.len())));
        }
        Ok(Self::parameter(context, values, dims))
    }

    fn parameter(context: &Arc<Context>, values: Vec<f32>, dims: &[usize]) -> Self {
        let constant = Constant { context: context.clone(), values, buffers: RefCell::default() };
        Self::record(dims, Op::Constant(constant))
    }

    /// The buffer of a constant.
    pub(super) fn buffer(&self, context: &Context, packing: Packing) -> Result<wgpu::Buffer> {
        let Op::Constant(constant) = &self.0.op else { return Err(Error::Gpu("internal: not a constant".into())) };
        if !constant.context.same_device(context) {
            return Err(Error::Gpu("a parameter belongs to another device than the plan".into()));
        }
        if constant.values.is_empty() {
            return Err(Error::Gpu("a parameter without values cannot be run".into()));
        }
        let mut buffers = constant.buffers.borrow_mut();
        let key = (packing, context.precision());
        if let Some(buffer) = buffers.get(&key) {
            return Ok(buffer.clone());
        }
        let label = format!("parameter {:?}", self.0.dims);
        let values = packing.pack(&constant.values, &self.0.dims);
        let buffer = context.upload(&label, &encode(&values, packing, context.precision()))?;
        buffers.insert(key, buffer.clone());
        Ok(buffer)
    }
}

impl Tensor for GpuTensor {
    fn dims(&self) -> &[usize] {
        &self.0.dims
    }

    /// As [`Tensor::conv2d`]; `weight` and `bias` must be constants, because they are repacked before the first run.
    fn conv2d(&self, weight: &Self, bias: Option<&Self>, stride: usize, padding: impl Into<Padding>) -> Result<Self> {
        let padding = padding.into();
        let out = rules::conv2d(self.dims(), weight.dims(), bias.map(Self::dims), stride, padding)?;
        parameters("conv2d", [Some(weight), bias])?;
        let (x, weight, bias) = (self.clone(), weight.clone(), bias.cloned());
        Ok(Self::record(out, Op::Conv2d { x, weight, bias, stride, padding }))
    }

    fn instance_norm(&self, weight: &Self, bias: &Self, epsilon: f32) -> Result<Self> {
        let out = rules::instance_norm(self.dims(), weight.dims(), bias.dims(), epsilon)?;
        let (x, weight, bias) = (self.clone(), weight.clone(), bias.clone());
        Ok(Self::record(out, Op::InstanceNorm { x, weight, bias, epsilon }))
    }

    fn relu(&self) -> Result<Self> {
        self.map(Map::LeakyRelu(0.0))
    }

    fn leaky_relu(&self, slope: f32) -> Result<Self> {
        finite("leaky_relu", slope)?;
        self.map(Map::LeakyRelu(slope))
    }

    fn clamp(&self, low: f32, high: f32) -> Result<Self> {
        rules::clamp(low, high)?;
        self.map(Map::Clamp(low, high))
    }

    fn sigmoid(&self) -> Result<Self> {
        self.map(Map::Sigmoid)
    }

    fn silu(&self) -> Result<Self> {
        self.map(Map::Silu)
    }

    fn add(&self, other: &Self) -> Result<Self> {
        self.zip("add", other, Zip::Add)
    }

    fn sub(&self, other: &Self) -> Result<Self> {
        self.zip("sub", other, Zip::Sub)
    }

    fn mul(&self, other: &Self) -> Result<Self> {
        self.zip("mul", other, Zip::Mul)
    }

    fn affine(&self, scale: f32, shift: f32) -> Result<Self> {
        finite("affine", scale)?;
        finite("affine", shift)?;
        self.map(Map::Affine(scale, shift))
    }

    fn cat_channels(tensors: &[&Self]) -> Result<Self> {
        let dims: Vec<&[usize]> = tensors.iter().map(|t| t.dims()).collect();
        let out = rules::cat_channels(&dims)?;
        Ok(Self::record(out, Op::CatChannels(tensors.iter().map(|&t| t.clone()).collect())))
    }

    fn pixel_shuffle(&self, r: usize) -> Result<Self> {
        Ok(Self::record(rules::pixel_shuffle(self.dims(), r)?, Op::PixelShuffle(self.clone(), r)))
    }

    fn max_pool(&self, kernel: usize, stride: usize) -> Result<Self> {
        let out = rules::max_pool(self.dims(), kernel, stride)?;
        Ok(Self::record(out, Op::MaxPool { x: self.clone(), kernel, stride }))
    }

    fn upsample_nearest(&self, factor: usize) -> Result<Self> {
        Ok(Self::record(rules::upsample_nearest(self.dims(), factor)?, Op::UpsampleNearest(self.clone(), factor)))
    }

    fn tanh(&self) -> Result<Self> {
        self.map(Map::Tanh)
    }

    /// As [`Tensor::linear`]; `weight` and `bias` must be constants.
    fn linear(&self, weight: &Self, bias: Option<&Self>) -> Result<Self> {
        let out = rules::linear(self.dims(), weight.dims(), bias.map(Self::dims))?;
        parameters("linear", [Some(weight), bias])?;
        Ok(Self::record(out, Op::Linear { x: self.clone(), weight: weight.clone(), bias: bias.cloned() }))
    }

    /// As [`Tensor::layer_norm`]; `weight` and `bias` must be constants.
    fn layer_norm(&self, weight: &Self, bias: &Self, epsilon: f32) -> Result<Self> {
        rules::layer_norm(self.dims(), weight.dims(), bias.dims(), epsilon)?;
        parameters("layer_norm", [Some(weight), Some(bias)])?;
        let (x, weight, bias) = (self.clone(), weight.clone(), bias.clone());
        Ok(Self::record(self.dims(), Op::LayerNorm { x, weight, bias, epsilon }))
    }

    /// As [`Tensor::take`], from a table of at least two dimensions; the indices must be the input or constants.
    fn take(&self, indices: &Self) -> Result<Self> {
        let out = rules::take(self.dims(), indices.dims())?;
        if self.dims().len() < 2 {
            return Err(Error::shape("take", "a row of the table must have features"));
        }
        numbers("take", indices)?;
        Ok(Self::record(out, Op::Take { table: self.clone(), indices: indices.clone() }))
    }

    /// As [`Tensor::attention_weights`]; a head's features must be a multiple of four.
    fn attention_weights(&self, keys: &Self, heads: usize, mask: Option<&Self>) -> Result<Self> {
        let out = rules::attention_weights(self.dims(), keys.dims(), heads, mask.map(Self::dims))?;
        by_fours("attention_weights", self.dims()[2], heads)?;
        let (queries, keys, mask) = (self.clone(), keys.clone(), mask.cloned());
        Ok(Self::record(out, Op::AttentionWeights { queries, keys, mask }))
    }

    /// As [`Tensor::attend`]; a head's features must be a multiple of four.
    fn attend(&self, values: &Self) -> Result<Self> {
        let out = rules::attend(self.dims(), values.dims())?;
        by_fours("attend", out[2], self.dims()[1])?;
        Ok(Self::record(out, Op::Attend { weights: self.clone(), values: values.clone() }))
    }

    /// As [`Tensor::put`]; the position must be the input or a constant.
    fn put(&self, row: &Self, position: &Self) -> Result<Self> {
        rules::put(self.dims(), row.dims(), position.dims())?;
        numbers("put", position)?;
        let (x, row, position) = (self.clone(), row.clone(), position.clone());
        Ok(Self::record(self.dims(), Op::Put { x, row, position }))
    }

    fn cat_time(tensors: &[&Self]) -> Result<Self> {
        let dims: Vec<&[usize]> = tensors.iter().map(|t| t.dims()).collect();
        let out = rules::cat_time(&dims)?;
        Ok(Self::record(out, Op::CatTime(tensors.iter().map(|&t| t.clone()).collect())))
    }
}

/// Blocks of four features must not be shared by heads.
fn by_fours(op: &'static str, features: usize, heads: usize) -> Result<()> {
    if features.is_multiple_of(4 * heads) {
        return Ok(());
    }
    Err(Error::shape(op, format!("{features} features do not divide among {heads} heads by fours")))
}

/// Refuses whole numbers that are computed: what is computed is stored in blocks, and perhaps in f16.
fn numbers(op: &'static str, x: &GpuTensor) -> Result<()> {
    if matches!(x.0.op, Op::Constant(_) | Op::Input) {
        return Ok(());
    }
    Err(Error::shape(op, "whole numbers must be the input or constants, not computed"))
}

/// Refuses a weight or a bias that is computed.
fn parameters(op: &'static str, weight_and_bias: [Option<&GpuTensor>; 2]) -> Result<()> {
    for (what, parameter) in ["weight", "bias"].into_iter().zip(weight_and_bias) {
        if parameter.is_some_and(|p| !matches!(p.0.op, Op::Constant(_))) {
            return Err(Error::shape(op, format!("the {what} must be a parameter, not computed")));
        }
    }
    Ok(())
}

/// Scalars are written into the shader, and WGSL has no literal for infinity or NaN.
fn finite(op: &'static str, value: f32) -> Result<()> {
    if value.is_finite() { Ok(()) } else { Err(Error::shape(op, format!("{value} is not finite"))) }
}

/// Parameters of a checkpoint as constants on the GPU.
pub struct Constants<'a> {
    /// Where they are stored.
    pub checkpoint: &'a Checkpoint,
    /// Where they go.
    pub context: &'a Arc<Context>,
}

impl Source<GpuTensor> for Constants<'_> {
    fn get(&self, name: &str, dims: &[usize], _: crate::Init) -> Result<GpuTensor> {
        GpuTensor::constant(self.context, self.checkpoint.tensor(name, dims)?, dims)
    }
}

/// Parameters that have dimensions and no values: a model of them can be compiled, not run.
pub struct Blanks<'a>(
    /// Where they would go.
    pub &'a Arc<Context>,
);

impl Source<GpuTensor> for Blanks<'_> {
    fn get(&self, _: &str, dims: &[usize], _: crate::Init) -> Result<GpuTensor> {
        Ok(GpuTensor::parameter(self.0, Vec::new(), dims))
    }
}
