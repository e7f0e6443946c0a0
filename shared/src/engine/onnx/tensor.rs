//! Recording: a tensor is a node of a graph that says which ONNX operator computes it.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::checkpoint::Checkpoint;
use crate::tensor::{Padding, rules};
use crate::{Error, Init, Result, Source, Tensor};

/// ONNX's number for whole numbers of 64 bits.
const INT64: usize = 7;

/// A tensor that some other program will compute. Cheap to clone. A [`super::Model`] is made of it.
#[derive(Clone)]
pub struct OnnxTensor(pub(super) Rc<Node>);

pub(super) struct Node {
    /// Rises with every recorded operator, so that what a node reads has a smaller one.
    pub id: u64,
    pub dims: Vec<usize>,
    pub sizes: Sizes,
    pub op: Op,
}

/// For which batch, height and width of the input a recorded tensor is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sizes {
    /// It does not depend on the input.
    Constant,
    /// For every one, and its own follow.
    Every,
    /// For the recorded one only, because the input met a parameter of that size.
    Recorded,
}

impl Sizes {
    /// Of what an operator makes of operands whose batch, height and width must be equal.
    fn join(self, other: Self) -> Self {
        if self == other { self } else { Self::Recorded }
    }
}

pub(super) enum Op {
    /// Of floats or of whole numbers.
    Input {
        whole: bool,
    },
    Parameter {
        name: String,
        values: Vec<f32>,
    },
    Operator(Operator),
}

/// An operator at work.
pub(super) struct Operator {
    /// Its name in ONNX.
    pub kind: &'static str,
    /// What it reads, in its order.
    pub operands: Vec<Operand>,
    pub attributes: Vec<(&'static str, Attribute)>,
}

pub(super) enum Operand {
    Tensor(OnnxTensor),
    /// A number that ONNX wants as a tensor, under its name in the operator's signature.
    Scalar(&'static str, f32),
    /// As `Scalar`, several.
    Floats(&'static str, Vec<f32>),
    /// As `Floats`, whole numbers.
    Ints(&'static str, Vec<usize>),
    /// An optional one that is left out.
    Absent,
}

pub(super) enum Attribute {
    Float(f32),
    Int(usize),
    Ints(Vec<usize>),
    Text(&'static str),
}

impl Operator {
    pub(super) fn new(kind: &'static str, operands: impl IntoIterator<Item = Operand>) -> Self {
        Self { kind, operands: operands.into_iter().collect(), attributes: Vec::new() }
    }

    pub(super) fn with(mut self, name: &'static str, attribute: Attribute) -> Self {
        self.attributes.push((name, attribute));
        self
    }

    /// Its result.
    pub(super) fn gives(self, dims: impl Into<Vec<usize>>, sizes: Sizes) -> OnnxTensor {
        OnnxTensor::new(dims, sizes, Op::Operator(self))
    }
}

impl OnnxTensor {
    fn new(dims: impl Into<Vec<usize>>, sizes: Sizes, op: Op) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(Rc::new(Node { id, dims: dims.into(), sizes, op }))
    }

    /// What the model gets. Batch, height and width of `[N, C, H, W]` are those of the recording, not of the model.
    pub fn input(dims: impl Into<Vec<usize>>) -> Self {
        Self::new(dims, Sizes::Every, Op::Input { whole: false })
    }

    /// Whole numbers that the model gets: words.
    pub fn words(dims: impl Into<Vec<usize>>) -> Self {
        Self::new(dims, Sizes::Recorded, Op::Input { whole: true })
    }

    /// Row-major `values` that are part of the model, under a name of their own.
    ///
    /// # Errors
    /// [`Error::Shape`] when there are more or fewer values than `dims` says.
    pub fn parameter(name: &str, values: Vec<f32>, dims: &[usize]) -> Result<Self> {
        if values.len() != dims.iter().product::<usize>() {
            return Err(Error::shape("parameter", format!("`{name}`: {} values do not fill {dims:?}", values.len())));
        }
        Ok(Self::new(dims, Sizes::Constant, Op::Parameter { name: name.to_owned(), values }))
    }

    pub(super) fn operand(&self) -> Operand {
        Operand::Tensor(self.clone())
    }

    /// With `size` mirrored pixels on every side; Conv itself pads with zeros only.
    fn reflected(&self, size: usize) -> Self {
        let mut dims = self.dims().to_vec();
        let at_each_end: Vec<usize> = (0..dims.len()).map(|axis| if axis < 2 { 0 } else { size }).collect();
        dims.iter_mut().zip(&at_each_end).for_each(|(dim, size)| *dim += 2 * size);
        let pads = Operand::Ints("pads", at_each_end.repeat(2));
        let operator = Operator::new("Pad", [self.operand(), pads]).with("mode", Attribute::Text("reflect"));
        operator.gives(dims, self.0.sizes)
    }

    /// An operator that moves elements.
    pub(super) fn moved<const N: usize>(
        &self,
        kind: &'static str,
        attributes: Vec<(&'static str, Attribute)>,
        operands: [Operand; N],
        dims: impl Into<Vec<usize>>,
    ) -> Self {
        let operands = std::iter::once(self.operand()).chain(operands).collect();
        Operator { kind, operands, attributes }.gives(dims, sequence(&[self]))
    }

    /// `[B, T, F]` to `[B, T, heads, F / heads]`, with the axes in this order.
    fn split(&self, heads: usize, order: [usize; 4]) -> Self {
        let [b, t, f] = [self.dims()[0], self.dims()[1], self.dims()[2]];
        let apart = [b, t, heads, f / heads];
        let shape = Operand::Ints("shape", vec![0, 0, heads, f / heads]);
        let split = self.moved("Reshape", vec![], [shape], apart);
        split.moved("Transpose", vec![("perm", Attribute::Ints(order.to_vec()))], [], order.map(|axis| apart[axis]))
    }

    /// An operator that changes elements one by one.
    pub(super) fn map(&self, operator: Operator) -> Self {
        operator.gives(self.dims(), self.0.sizes)
    }

    fn zip(&self, name: &'static str, kind: &'static str, other: &Self) -> Result<Self> {
        rules::same(name, self.dims(), other.dims())?;
        let operator = Operator::new(kind, [self.operand(), other.operand()]);
        Ok(operator.gives(self.dims(), self.0.sizes.join(other.0.sizes)))
    }
}

impl Tensor for OnnxTensor {
    fn dims(&self) -> &[usize] {
        &self.0.dims
    }

    /// As [`Tensor::conv2d`]; `weight` and `bias` must not depend on the input, whose size they would have to follow.
    fn conv2d(&self, weight: &Self, bias: Option<&Self>, stride: usize, padding: impl Into<Padding>) -> Result<Self> {
        let padding = padding.into();
        let out = rules::conv2d(self.dims(), weight.dims(), bias.map(Self::dims), stride, padding)?;
        parameters("conv2d", [Some(weight), bias])?;
        let operands = std::iter::once(weight).chain(bias).map(Self::operand);
        let (x, zeros) = match padding {
            Padding::Zeros(size) => (self.clone(), size),
            Padding::Reflect(size) => (self.reflected(size), 0),
        };
        let kernel = &weight.dims()[2..];
        let operator = Operator::new("Conv", std::iter::once(x.operand()).chain(operands))
            .with("kernel_shape", Attribute::Ints(kernel.to_vec()))
            .with("strides", Attribute::Ints(vec![stride; 2]))
            .with("pads", Attribute::Ints(vec![zeros; 4]));
        Ok(operator.gives(out, self.0.sizes))
    }

    /// As [`Tensor::instance_norm`]; `weight` and `bias` must not depend on the input.
    fn instance_norm(&self, weight: &Self, bias: &Self, epsilon: f32) -> Result<Self> {
        rules::instance_norm(self.dims(), weight.dims(), bias.dims(), epsilon)?;
        parameters("instance_norm", [Some(weight), Some(bias)])?;
        let operator = Operator::new("InstanceNormalization", [self.operand(), weight.operand(), bias.operand()]);
        Ok(self.map(operator.with("epsilon", Attribute::Float(epsilon))))
    }

    fn relu(&self) -> Result<Self> {
        Ok(self.map(Operator::new("Relu", [self.operand()])))
    }

    fn leaky_relu(&self, slope: f32) -> Result<Self> {
        Ok(self.map(Operator::new("LeakyRelu", [self.operand()]).with("alpha", Attribute::Float(slope))))
    }

    fn clamp(&self, low: f32, high: f32) -> Result<Self> {
        rules::clamp(low, high)?;
        let operands = [self.operand(), Operand::Scalar("low", low), Operand::Scalar("high", high)];
        Ok(self.map(Operator::new("Clip", operands)))
    }

    fn sigmoid(&self) -> Result<Self> {
        Ok(self.map(Operator::new("Sigmoid", [self.operand()])))
    }

    fn silu(&self) -> Result<Self> {
        // ONNX has it as one operator, Swish, from opset 24 only.
        self.mul(&self.sigmoid()?)
    }

    fn add(&self, other: &Self) -> Result<Self> {
        self.zip("add", "Add", other)
    }

    fn sub(&self, other: &Self) -> Result<Self> {
        self.zip("sub", "Sub", other)
    }

    fn mul(&self, other: &Self) -> Result<Self> {
        self.zip("mul", "Mul", other)
    }

    fn affine(&self, scale: f32, shift: f32) -> Result<Self> {
        let mut y = self.clone();
        if scale != 1.0 {
            y = y.map(Operator::new("Mul", [y.operand(), Operand::Scalar("scale", scale)]));
        }
        if shift != 0.0 {
            y = y.map(Operator::new("Add", [y.operand(), Operand::Scalar("shift", shift)]));
        }
        Ok(y)
    }

    fn cat_channels(tensors: &[&Self]) -> Result<Self> {
        let dims: Vec<&[usize]> = tensors.iter().map(|t| t.dims()).collect();
        let out = rules::cat_channels(&dims)?;
        let sizes = tensors.iter().map(|t| t.0.sizes).reduce(Sizes::join).unwrap_or(Sizes::Constant);
        let operator = Operator::new("Concat", tensors.iter().map(|t| t.operand())).with("axis", Attribute::Int(1));
        Ok(operator.gives(out, sizes))
    }

    fn max_pool(&self, kernel: usize, stride: usize) -> Result<Self> {
        let out = rules::max_pool(self.dims(), kernel, stride)?;
        let operator = Operator::new("MaxPool", [self.operand()])
            .with("kernel_shape", Attribute::Ints(vec![kernel; 2]))
            .with("strides", Attribute::Ints(vec![stride; 2]))
            .with("ceil_mode", Attribute::Int(1));
        Ok(operator.gives(out, self.0.sizes))
    }

    fn pixel_shuffle(&self, r: usize) -> Result<Self> {
        let out = rules::pixel_shuffle(self.dims(), r)?;
        // CRD: the channel of the picture is the outermost part of a channel of cells, as in the paper.
        let operator = Operator::new("DepthToSpace", [self.operand()])
            .with("blocksize", Attribute::Int(r))
            .with("mode", Attribute::Text("CRD"));
        Ok(operator.gives(out, self.0.sizes))
    }

    fn upsample_nearest(&self, factor: usize) -> Result<Self> {
        let out = rules::upsample_nearest(self.dims(), factor)?;
        let scale = factor as f32;
        // Asymmetric and floor: output pixel `i` is input pixel `i / factor`, rounded down.
        let operator =
            Operator::new("Resize", [self.operand(), Operand::Absent, Operand::Floats("scales", vec![1.0, 1.0, scale, scale])])
                .with("mode", Attribute::Text("nearest"))
                .with("coordinate_transformation_mode", Attribute::Text("asymmetric"))
                .with("nearest_mode", Attribute::Text("floor"));
        Ok(operator.gives(out, self.0.sizes))
    }

    fn tanh(&self) -> Result<Self> {
        Ok(self.map(Operator::new("Tanh", [self.operand()])))
    }

    fn linear(&self, weight: &Self, bias: Option<&Self>) -> Result<Self> {
        let out = rules::linear(self.dims(), weight.dims(), bias.map(Self::dims))?;
        let [outputs, inputs] = [weight.dims()[0], weight.dims()[1]];
        let transposed = weight.moved("Transpose", vec![("perm", Attribute::Ints(vec![1, 0]))], [], [inputs, outputs]);
        let y = Operator::new("MatMul", [self.operand(), transposed.operand()]).gives(out, sequence(&[self, weight]));
        let Some(bias) = bias else { return Ok(y) };
        Ok(y.map(Operator::new("Add", [y.operand(), bias.operand()])))
    }

    fn layer_norm(&self, weight: &Self, bias: &Self, epsilon: f32) -> Result<Self> {
        rules::layer_norm(self.dims(), weight.dims(), bias.dims(), epsilon)?;
        // Its axis is the last one unless told otherwise.
        let operator = Operator::new("LayerNormalization", [self.operand(), weight.operand(), bias.operand()]);
        Ok(self.map(operator.with("epsilon", Attribute::Float(epsilon))))
    }

    fn take(&self, indices: &Self) -> Result<Self> {
        let out = rules::take(self.dims(), indices.dims())?;
        let whole = indices.moved("Cast", vec![("to", Attribute::Int(INT64))], [], indices.dims());
        Ok(Operator::new("Gather", [self.operand(), whole.operand()]).gives(out, sequence(&[self, indices])))
    }

    fn attention_weights(&self, keys: &Self, heads: usize, mask: Option<&Self>) -> Result<Self> {
        let out @ [b, _, t, s] = rules::attention_weights(self.dims(), keys.dims(), heads, mask.map(Self::dims))?;
        let width = self.dims()[2] / heads;
        let (q, k) = (self.split(heads, [0, 2, 1, 3]), keys.split(heads, [0, 2, 3, 1]));
        let scores = Operator::new("MatMul", [q.operand(), k.operand()]).gives(out, sequence(&[self, keys]));
        let mut y = scores.affine((width as f32).sqrt().recip(), 0.0)?;
        if let Some(mask) = mask {
            let [mb, mt] = [mask.dims()[0], mask.dims()[1]];
            let wide = mask.moved("Unsqueeze", vec![], [Operand::Ints("axes", vec![1])], [mb, 1, mt, s]);
            y = Operator::new("Add", [y.operand(), wide.operand()]).gives([b, heads, t, s], sequence(&[self, keys, mask]));
        }
        // Its axis is the last one unless told otherwise.
        Ok(y.map(Operator::new("Softmax", [y.operand()])))
    }

    fn attend(&self, values: &Self) -> Result<Self> {
        let out @ [b, t, f] = rules::attend(self.dims(), values.dims())?;
        let heads = self.dims()[1];
        let values = values.split(heads, [0, 2, 1, 3]);
        let apart = Operator::new("MatMul", [self.operand(), values.operand()])
            .gives([b, heads, t, f / heads], sequence(&[self, &values]));
        let beside = apart.moved("Transpose", vec![("perm", Attribute::Ints(vec![0, 2, 1, 3]))], [], [b, t, heads, f / heads]);
        Ok(beside.moved("Reshape", vec![], [Operand::Ints("shape", vec![0, 0, f])], out))
    }

    fn put(&self, row: &Self, position: &Self) -> Result<Self> {
        rules::put(self.dims(), row.dims(), position.dims())?;
        let length = self.dims()[1];
        let all = Operand::Floats("positions", (0..length).map(|i| i as f32).collect());
        let here = Operator::new("Equal", [all, position.operand()]).gives([length], sequence(&[position]));
        let here = here.moved("Unsqueeze", vec![], [Operand::Ints("axes", vec![0, 2])], [1, length, 1]);
        let operator = Operator::new("Where", [here.operand(), row.operand(), self.operand()]);
        Ok(operator.gives(self.dims(), sequence(&[self, row, position])))
    }

    fn cat_time(tensors: &[&Self]) -> Result<Self> {
        let dims: Vec<&[usize]> = tensors.iter().map(|t| t.dims()).collect();
        let out = rules::cat_time(&dims)?;
        let operator = Operator::new("Concat", tensors.iter().map(|t| t.operand())).with("axis", Attribute::Int(1));
        Ok(operator.gives(out, sequence(tensors)))
    }
}

/// For which sizes what is made of sequences is right: for the recorded ones.
fn sequence(of: &[&OnnxTensor]) -> Sizes {
    if of.iter().all(|t| t.0.sizes == Sizes::Constant) { Sizes::Constant } else { Sizes::Recorded }
}

/// Refuses a weight or a bias that depends on the input.
fn parameters(op: &'static str, weight_and_bias: [Option<&OnnxTensor>; 2]) -> Result<()> {
    for (what, parameter) in ["weight", "bias"].into_iter().zip(weight_and_bias) {
        if parameter.is_some_and(|p| p.0.sizes != Sizes::Constant) {
            return Err(Error::shape(op, format!("the {what} must not depend on the input")));
        }
    }
    Ok(())
}

/// Parameters of a checkpoint, as parts of the model under their own names.
pub struct Constants<'a> {
    /// Where they are stored.
    pub checkpoint: &'a Checkpoint,
}

impl Source<OnnxTensor> for Constants<'_> {
    fn get(&self, name: &str, dims: &[usize], _: Init) -> Result<OnnxTensor> {
        OnnxTensor::parameter(name, self.checkpoint.tensor(name, dims)?, dims)
    }
}
