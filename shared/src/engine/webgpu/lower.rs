//! From a recorded graph to steps, one kernel each.
//!
//! What works element by element does not become a kernel of its own where it can be avoided: it joins the epilogue of the step
//! that produces the element, while that is still in a register. It may when nothing else reads the value before, and when the
//! other operand is computed earlier. An enlarged tensor is not stored where a convolution or an epilogue can read the small one.

use std::collections::{HashMap, HashSet};

use super::kernels;
use super::memory::Packing;
use super::shuffle;
use super::step::{Kernel, MAX_OPERANDS, Operand, Stage, Step, Value};
use super::tensor::{GpuTensor, Node, Op, Zip};
use crate::tensor::{Padding, dims4};
use crate::{Error, Result};

/// Threads that share a vocabulary.
const VOCABULARY_PARTS: usize = 64;

/// Most threads for the moments of a block of channels, and pixels that are worth another one.
const PARTS: usize = 1024;
const PIXELS_OF_A_PART: usize = 16;

/// Where a node's value is; with a `factor` above 1, what is there must be enlarged by repetition to be it.
#[derive(Clone)]
struct Place {
    value: Value,
    factor: usize,
}

struct Lowering {
    steps: Vec<Step>,
    places: HashMap<u64, Place>,
    /// The number of every input.
    inputs: HashMap<u64, usize>,
    /// How often each node is read, the final read-back included.
    uses: HashMap<u64, usize>,
    /// Nodes that are read as whole numbers only.
    numbers: HashSet<u64>,
}

/// The steps that compute `outputs` from `inputs`.
///
/// # Errors
/// [`Error::Shape`] when a tensor is empty, or when an output depends on another input.
pub fn lower(inputs: &[&GpuTensor], outputs: &[&GpuTensor]) -> Result<Vec<Step>> {
    if inputs.iter().any(|input| !matches!(input.0.op, Op::Input)) {
        return Err(Error::shape("plan", "its inputs must be made by GpuTensor::input"));
    }
    let nodes = reachable(outputs);
    let mut uses: HashMap<u64, usize> = HashMap::new();
    for read in nodes.iter().flat_map(|node| reads(&node.0)).chain(outputs.iter().copied()) {
        *uses.entry(read.0.id).or_default() += 1;
    }
    let as_numbers = |x: &GpuTensor| nodes.iter().filter(|node| reads_numbers(&node.0, x)).count();
    let only_numbers = |x: &&GpuTensor| uses.get(&x.0.id).copied() == Some(as_numbers(x));
    let numbers = nodes.iter().filter(|x| matches!(x.0.op, Op::Input)).filter(only_numbers).map(|x| x.0.id).collect();
    let inputs = inputs.iter().zip(0..).map(|(input, number)| (input.0.id, number)).collect();
    let mut lowering = Lowering { steps: Vec::new(), places: HashMap::new(), inputs, uses, numbers };
    for node in &nodes {
        let dims = &node.0.dims;
        if dims.contains(&0) {
            return Err(Error::shape("plan", format!("a tensor {dims:?} is empty")));
        }
        let [n, c, h, w] = canonical(dims);
        if [n, c.next_multiple_of(4), h, w].iter().try_fold(4u32, |bytes, &d| bytes.checked_mul(d.try_into().ok()?)).is_none() {
            return Err(Error::Memory(format!("a tensor {dims:?} takes more than 4 GiB; use smaller tiles")));
        }
        if matches!(node.0.op, Op::Input) && !lowering.inputs.contains_key(&node.0.id) {
            return Err(Error::shape("plan", "the result depends on an input that is not the plan's"));
        }
        lowering.node(node)?;
    }
    outputs.iter().zip(0..).for_each(|(output, number)| lowering.finish(output, number));
    shuffle::fuse(&mut lowering.steps);
    Ok(lowering.steps)
}

/// Everything that `outputs` need, in the order of recording; what nothing needs is not among it.
fn reachable(outputs: &[&GpuTensor]) -> Vec<GpuTensor> {
    let mut seen = HashSet::new();
    let mut nodes: Vec<GpuTensor> = outputs.iter().filter(|t| seen.insert(t.0.id)).map(|&t| t.clone()).collect();
    let mut next = 0;
    while next < nodes.len() {
        let node = nodes[next].clone();
        nodes.extend(reads(&node.0).into_iter().filter(|t| seen.insert(t.0.id)).cloned());
        next += 1;
    }
    nodes.sort_by_key(|t| t.0.id);
    nodes
}

fn reads(node: &Node) -> Vec<&GpuTensor> {
    match &node.op {
        Op::Input | Op::Constant(_) => vec![],
        Op::Conv2d { x, weight, bias, .. } => [x, weight].into_iter().chain(bias).collect(),
        Op::Map(x, _) | Op::PixelShuffle(x, _) | Op::UpsampleNearest(x, _) | Op::MaxPool { x, .. } => vec![x],
        Op::InstanceNorm { x, weight, bias, .. } => vec![x, weight, bias],
        Op::Zip(a, b, _) => vec![a, b],
        Op::CatChannels(all) | Op::CatTime(all) => all.iter().collect(),
        Op::Linear { x, weight, bias } => [x, weight].into_iter().chain(bias).collect(),
        Op::LayerNorm { x, weight, bias, .. } => vec![x, weight, bias],
        Op::Take { table, indices } => vec![table, indices],
        Op::AttentionWeights { queries, keys, mask, .. } => [queries, keys].into_iter().chain(mask).collect(),
        Op::Attend { weights, values } => vec![weights, values],
        Op::Put { x, row, position } => vec![x, row, position],
        Op::Beam { logits, scores, .. } => vec![logits, scores],
    }
}

/// Whether `node` reads `x` only as whole numbers, which stay as they are.
fn reads_numbers(node: &Node, x: &GpuTensor) -> bool {
    match &node.op {
        Op::Take { indices: x2, .. } | Op::Put { position: x2, .. } | Op::Beam { scores: x2, .. } => x2.0.id == x.0.id,
        _ => false,
    }
}

/// Whether a tensor is a sequence, `[.., features]`, and no picture.
pub fn is_sequence(dims: &[usize]) -> bool {
    dims.len() < 4
}

/// Any tensor as `[N, C, H, W]`. A sequence is a picture one pixel wide: its features are channels, everything before them rows.
/// Of more than four dimensions the outermost join the batch.
pub fn canonical(dims: &[usize]) -> [usize; 4] {
    if is_sequence(dims) {
        let (features, rows) = dims.split_last().map_or((1, &[][..]), |(f, rows)| (*f, rows));
        return [1, features, rows.iter().fold(1, |product, &d| product.saturating_mul(d)), 1];
    }
    let mut out = [1usize; 4];
    for (i, &d) in dims.iter().rev().enumerate() {
        let axis = &mut out[3 - i.min(3)];
        *axis = axis.saturating_mul(d);
    }
    out
}

/// Dimensions of what `x` is an enlargement of.
fn shrunk(x: &GpuTensor, factor: usize) -> [usize; 4] {
    let [n, c, h, w] = canonical(&x.0.dims);
    [n, c, h / factor, w / factor]
}

/// A constant as an input of a step.
fn constant(tensor: &GpuTensor, packing: Packing) -> (Value, [usize; 4]) {
    (Value::Constant(tensor.clone(), packing), canonical(&tensor.0.dims))
}

impl Lowering {
    fn node(&mut self, node: &GpuTensor) -> Result<()> {
        let dims = canonical(&node.0.dims);
        let (value, factor) = match &node.0.op {
            // Whole numbers are read as they come.
            Op::Input if self.numbers.contains(&node.0.id) => (self.given(node), 1),
            Op::Input => {
                let given = self.given(node);
                let packed = self.push(Kernel::Pack, vec![(given, dims)], dims);
                self.mark(&packed, node);
                (packed, 1)
            }
            Op::Constant(_) => {
                let packing = if is_sequence(&node.0.dims) { Packing::Rows } else { Packing::Blocked };
                (Value::Constant(node.clone(), packing), 1)
            }
            Op::Conv2d { x, weight, bias, stride, padding } => {
                let [_, _, kernel, _] = dims4("conv2d", &weight.0.dims)?;
                let Place { value, factor: enlarged } = self.place(x);
                let picture = (value, shrunk(x, enlarged));
                let mut inputs = vec![picture, constant(weight, kernels::weight_packing(kernel, *stride))];
                inputs.extend(bias.iter().map(|b| constant(b, Packing::Bias)));
                let kernel = Kernel::Conv2d { kernel, stride: *stride, padding: *padding, bias: bias.is_some(), enlarged };
                (self.push(kernel, inputs, dims), 1)
            }
            Op::InstanceNorm { x, weight, bias, epsilon } => {
                let [n, c, h, w] = dims;
                let lanes = 8 * c.div_ceil(4);
                let parts = (h * w).div_ceil(PIXELS_OF_A_PART).min(PARTS);
                let sums = [n, lanes, 1, parts];
                let x_stored = self.stored(x);
                let moments = self.push(Kernel::Moments, vec![x_stored.clone()], sums);
                let computed = [weight, bias].iter().any(|p| !matches!(p.0.op, Op::Constant(_)));
                let mut read = |p: &GpuTensor| if computed { self.stored(p) } else { constant(p, Packing::Bias) };
                let (weight, bias) = (read(weight), read(bias));
                let inputs = vec![x_stored, (moments, sums), weight, bias];
                let kernel = Kernel::ScaleAndShift { epsilon: epsilon.to_bits(), computed };
                let scale = self.push(kernel, inputs, [n, lanes, 1, 1]);
                let step = self.copy(x);
                self.steps[step].epilogue.push(Stage::Normalise { operand: 0 });
                self.steps[step].operands.push(Operand { value: scale, factor: 1 });
                (Value::Step(step), 1)
            }
            Op::Map(x, map) => {
                self.stored(x);
                let step = self.host(x).unwrap_or_else(|| self.copy(x));
                self.steps[step].epilogue.push(Stage::Map(*map));
                (Value::Step(step), 1)
            }
            Op::Zip(a, b, zip) => (Value::Step(self.zip(a, b, *zip)), 1),
            Op::MaxPool { x, kernel, stride } => {
                let inputs = vec![self.stored(x)];
                (self.push(Kernel::MaxPool { kernel: *kernel, stride: *stride }, inputs, dims), 1)
            }
            Op::CatChannels(all) => {
                let inputs = all.iter().map(|t| self.stored(t)).collect();
                (self.push(Kernel::CatChannels, inputs, dims), 1)
            }
            Op::PixelShuffle(x, r) => {
                let x = self.stored(x);
                (self.push(Kernel::PixelShuffle(*r), vec![x], dims), 1)
            }
            // At factor 1 the place would be the one of `x`, and an epilogue of this node would change `x` for others.
            Op::UpsampleNearest(x, 1) => (Value::Step(self.copy(x)), 1),
            Op::UpsampleNearest(x, factor) => (self.stored(x).0, *factor),
            // A convolution of single pixels.
            Op::Linear { x, weight, bias } => {
                let matrix = Value::Constant(weight.clone(), kernels::weight_packing(1, 1));
                let mut inputs = vec![self.stored(x), (matrix, [weight.0.dims[0], weight.0.dims[1], 1, 1])];
                inputs.extend(bias.iter().map(|b| constant(b, Packing::Bias)));
                let (padding, bias) = (Padding::Zeros(0), bias.is_some());
                (self.push(Kernel::Conv2d { kernel: 1, stride: 1, padding, bias, enlarged: 1 }, inputs, dims), 1)
            }
            Op::LayerNorm { x, weight, bias, epsilon } => {
                let inputs = vec![self.stored(x), constant(weight, Packing::Bias), constant(bias, Packing::Bias)];
                (self.push(Kernel::LayerNorm { epsilon: epsilon.to_bits() }, inputs, dims), 1)
            }
            Op::Take { table, indices } => {
                let rows = dims[2] / indices.0.dims.iter().product::<usize>().max(1);
                let inputs = vec![self.stored(table), self.whole(indices)];
                (self.push(Kernel::Take(rows), inputs, dims), 1)
            }
            Op::AttentionWeights { queries, keys, mask } => {
                let mut inputs = vec![self.stored(queries), self.stored(keys)];
                let mut sizes = None;
                if let Some(mask) = mask {
                    inputs.push(self.stored(mask));
                    sizes = Some([mask.0.dims[0], mask.0.dims[1]]);
                }
                let scores = self.push(Kernel::AttentionScores { mask: sizes }, inputs, dims);
                (self.push(Kernel::Softmax, vec![(scores, dims)], dims), 1)
            }
            Op::Attend { weights, values } => {
                let inputs = vec![self.stored(weights), self.stored(values)];
                (self.push(Kernel::Attend, inputs, dims), 1)
            }
            Op::Put { x, row, position } => {
                let inputs = vec![self.stored(x), self.stored(row), self.whole(position)];
                (self.push(Kernel::Put(x.0.dims[1]), inputs, dims), 1)
            }
            Op::Beam { logits, scores, end } => {
                let beam = dims[1];
                let inputs = vec![self.stored(logits)];
                let parts_dims = [1, 4 * (beam + 1), beam, VOCABULARY_PARTS];
                let parts = self.push(Kernel::BeamParts { beam, end: *end }, inputs, parts_dims);
                let inputs = vec![(parts, parts_dims), self.whole(scores)];
                (self.push(Kernel::BeamMerge(beam), inputs, dims), 1)
            }
            Op::CatTime(all) => {
                let inputs = all.iter().map(|t| self.stored(t)).collect();
                (self.push(Kernel::CatTime(node.0.dims[1]), inputs, dims), 1)
            }
        };
        self.places.insert(node.0.id, Place { value, factor });
        Ok(())
    }

    fn zip(&mut self, a: &GpuTensor, b: &GpuTensor, zip: Zip) -> usize {
        if self.place(a).factor > 1 && self.place(b).factor > 1 {
            self.stored(a);
        }
        for (host, other, reversed) in [(a, b, false), (b, a, true)] {
            let Some(step) = self.host(host) else { continue };
            let earlier = !matches!(self.place(other).value, Value::Step(s) if s >= step);
            if earlier && self.steps[step].operands.len() < MAX_OPERANDS {
                return self.join(step, other, zip, reversed);
            }
        }
        let (host, other, reversed) = if self.place(a).factor == 1 { (a, b, false) } else { (b, a, true) };
        let step = self.copy(host);
        self.join(step, other, zip, reversed)
    }

    fn join(&mut self, step: usize, other: &GpuTensor, zip: Zip, reversed: bool) -> usize {
        let Place { value, factor } = self.place(other);
        let host = &mut self.steps[step];
        host.epilogue.push(Stage::Zip { zip, operand: host.operands.len(), reversed });
        host.operands.push(Operand { value, factor });
        step
    }

    /// The step whose epilogue can continue with `x`.
    fn host(&self, x: &GpuTensor) -> Option<usize> {
        if self.uses.get(&x.0.id) != Some(&1) {
            return None;
        }
        let place = self.place(x);
        match place.value {
            Value::Step(step) if place.factor == 1 && !self.steps[step].kernel.joins() => Some(step),
            _ => None,
        }
    }

    fn copy(&mut self, x: &GpuTensor) -> usize {
        let input = self.stored(x);
        self.push(Kernel::Copy, vec![input], canonical(&x.0.dims));
        self.steps.len() - 1
    }

    fn push(&mut self, kernel: Kernel, inputs: Vec<(Value, [usize; 4])>, dims: [usize; 4]) -> Value {
        let step = Step { kernel, inputs, epilogue: vec![], operands: vec![], dims, output: None, features_last: false };
        self.steps.push(step);
        Value::Step(self.steps.len() - 1)
    }

    /// Whole numbers, row-major in f32.
    fn whole(&self, x: &GpuTensor) -> (Value, [usize; 4]) {
        let value = match x.0.op {
            Op::Constant(_) => Value::Constant(x.clone(), Packing::RowMajor),
            _ => self.given(x),
        };
        (value, canonical(&x.0.dims))
    }

    /// An input as it is given.
    fn given(&self, x: &GpuTensor) -> Value {
        Value::Input(self.inputs.get(&x.0.id).copied().unwrap_or_default())
    }

    /// Says of the step that makes `x` row-major, or from what is, how it is.
    fn mark(&mut self, value: &Value, x: &GpuTensor) {
        if let Value::Step(step) = *value {
            self.steps[step].features_last = is_sequence(&x.0.dims);
        }
    }

    fn place(&self, x: &GpuTensor) -> Place {
        self.places[&x.0.id].clone()
    }

    /// Where `x` lies in its full size; enlarges it now if it does not.
    fn stored(&mut self, x: &GpuTensor) -> (Value, [usize; 4]) {
        let dims = canonical(&x.0.dims);
        let Place { value, factor } = self.place(x);
        if factor == 1 {
            return (value, dims);
        }
        let value = self.push(Kernel::UpsampleNearest(factor), vec![(value, shrunk(x, factor))], dims);
        self.places.insert(x.0.id, Place { value: value.clone(), factor: 1 });
        (value, dims)
    }

    fn finish(&mut self, output: &GpuTensor, number: usize) {
        self.stored(output);
        let last = self.host(output).unwrap_or_else(|| self.copy(output));
        self.steps[last].output = Some(number);
        self.mark(&Value::Step(last), output);
    }
}
