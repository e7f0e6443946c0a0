//! What a plan consists of: steps, one kernel each, with what joins its epilogue.

use super::memory::Packing;
use super::tensor::{GpuTensor, Map, Zip};
use crate::tensor::Padding;

/// Buffers that an epilogue may read. WebGPU grants 8 a shader: one is written, a convolution reads three.
pub const MAX_OPERANDS: usize = 4;

/// Where a step reads.
#[derive(Clone)]
pub enum Value {
    /// What the run was given as this input, row-major.
    Input(usize),
    /// A constant, packed in some way.
    Constant(GpuTensor, Packing),
    /// What an earlier step wrote, in blocks of channels.
    Step(usize),
}

/// What a step computes before its epilogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Row-major to blocks of channels.
    Pack,
    /// Its input as it is, for an epilogue that found no other step.
    Copy,
    /// Inputs are the picture, the weight and, with `bias`, the bias.
    Conv2d {
        /// Width of the window.
        kernel: usize,
        /// Pixels from window to window.
        stride: usize,
        /// Around the picture.
        padding: Padding,
        /// Whether there is one.
        bias: bool,
        /// The picture is read as if it were this much larger, every pixel repeated.
        enlarged: usize,
    },
    /// Sums of every channel over sets of its pixels, and of squares; the result is as wide as there are sets.
    Moments,
    /// From the moments of an instance norm to the factor and the summand of every channel. Inputs are what is normalised, its
    /// moments, weight and bias.
    ScaleAndShift {
        /// The bits of the f32 that is added to the variance.
        epsilon: u32,
        /// Weight and bias are results of other steps, not parameters.
        computed: bool,
    },
    /// The largest of every window.
    MaxPool {
        /// Width of the window.
        kernel: usize,
        /// Pixels from window to window.
        stride: usize,
    },
    /// One dispatch an input.
    CatChannels,
    /// Rearrangement of r x r channels into space.
    PixelShuffle(usize),
    /// Repetition.
    UpsampleNearest(usize),
    /// Inputs are queries, keys and, with `mask`, the mask, which has so many batches of so many rows.
    AttentionScores {
        /// Batches and rows of the mask, where there is one.
        mask: Option<[usize; 2]>,
    },
    /// Of every row.
    Softmax,
    /// Inputs are weights and values.
    Attend,
    /// Of every row of features. Inputs are the rows, weight and bias.
    LayerNorm {
        /// The bits of the f32 that is added to the variance.
        epsilon: u32,
    },
    /// Inputs are the table and the indices. So many rows belong together.
    Take(usize),
    /// Inputs are the sequence, the row and the position. So many rows are a sequence.
    Put(usize),
    /// The input is the logits of a beam; the result is as wide as the vocabulary has parts.
    BeamParts {
        /// Sentences that are followed.
        beam: usize,
        /// The word that ends one.
        end: usize,
    },
    /// Inputs are what `BeamParts` wrote, and the scores, of a beam of so many sentences.
    BeamMerge(usize),
    /// One dispatch an input. So many rows are a sequence of the result.
    CatTime(usize),
}

impl Kernel {
    /// Whether every input has a dispatch of its own, so that there is no one place for an epilogue.
    pub fn joins(self) -> bool {
        matches!(self, Self::CatChannels | Self::CatTime(_))
    }
}

/// One operation of an epilogue on the value `v` at hand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage {
    /// `v = map(v)`.
    Map(Map),
    /// `v = v * factor + summand`, by channel; the operand is a [`Kernel::ScaleAndShift`].
    Normalise {
        /// Index into the operands of the step.
        operand: usize,
    },
    /// `v = zip(v, operand)`, or `zip(operand, v)`.
    Zip {
        /// The function.
        zip: Zip,
        /// Index into the operands of the step.
        operand: usize,
        /// Whether the operand comes first.
        reversed: bool,
    },
    /// What follows works on the value where [`Kernel::PixelShuffle`] would move it; the result is stored there.
    PixelShuffle(usize),
}

/// A tensor that an epilogue reads beside the value at hand.
pub struct Operand {
    pub value: Value,
    /// It is this much smaller than the result in both directions and read as if enlarged by repetition.
    pub factor: usize,
}

/// One kernel with its epilogue.
pub struct Step {
    pub kernel: Kernel,
    /// With their `[N, C, H, W]`.
    pub inputs: Vec<(Value, [usize; 4])>,
    pub epilogue: Vec<Stage>,
    pub operands: Vec<Operand>,
    /// `[N, C, H, W]` of the result.
    pub dims: [usize; 4],
    /// The output that the result is, if it is one: it is then written row-major, in f32, instead of in blocks of channels.
    pub output: Option<usize>,
    /// What is row-major here has its features last: it is a sequence.
    pub features_last: bool,
}

impl Step {
    /// `[N, C, H, W]` before a shuffle in the epilogue: what threads compute.
    pub fn computed(&self) -> [usize; 4] {
        let [n, c, h, w] = self.dims;
        let r = self.shuffle();
        [n, c * r * r, h / r, w / r]
    }

    /// Whether the result is written row-major.
    pub fn planar(&self) -> bool {
        self.output.is_some()
    }

    /// Whether the result is f32 in every precision: what leaves the GPU, and sums.
    pub fn single(&self) -> bool {
        self.planar() || matches!(self.kernel, Kernel::Moments | Kernel::ScaleAndShift { .. } | Kernel::BeamParts { .. })
    }

    /// By what the epilogue shuffles; 1 where it does not.
    pub fn shuffle(&self) -> usize {
        let factor = |stage: &Stage| if let Stage::PixelShuffle(r) = stage { Some(*r) } else { None };
        self.epilogue.iter().find_map(factor).unwrap_or(1)
    }

    /// Steps whose results this one reads.
    pub fn reads(&self) -> impl Iterator<Item = usize> {
        let values = self.inputs.iter().map(|(value, _)| value).chain(self.operands.iter().map(|o| &o.value));
        values.filter_map(|value| match value {
            Value::Step(step) => Some(*step),
            _ => None,
        })
    }
}
