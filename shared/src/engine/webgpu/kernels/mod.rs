//! The kernels: which WGSL a step runs, over how many threads, with which sizes.
//!
//! Sizes are uniforms, not constants of the shader: the same pipeline then serves every layer and every picture, and compiling
//! one takes 40 ms and more on a software adapter. Only what changes the code is written into it: the geometry, the epilogue.

mod geometry;
mod template;
mod variants;

pub use geometry::{Geometry, Shared};
pub use variants::variants;

use super::memory::{Packing, Precision};
use super::step::{Kernel, Operand, Stage, Step, Value};
use super::tensor::{Map, Zip};
use crate::tensor::Padding;
use crate::{Error, Result};
use geometry::Tile;
use template::{Values, expand};

/// The widest window that is unrolled: SwiftShader compiles 256 products of four in 2 s.
const SLIDING: usize = 3;

/// A product of more rows has threads enough without sharing its sums.
const FEW_ROWS: usize = 8;

/// Declares the uniforms of a dispatch once, for Rust and for WGSL.
macro_rules! uniforms {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// Sizes that a dispatch reads. `in_` is the first input.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(C)]
        pub(super) struct Shape {
            $($(#[$doc])* pub $field: u32,)*
        }

        impl Shape {
            const WGSL: &str = concat!($("    ", stringify!($field), ": u32,\n",)*);
        }
    };
}

uniforms! {
    /// Workgroups in a row of the grid.
    row,
    batch,
    channels,
    /// `ceil(channels / 4)`.
    blocks,
    height,
    width,
    in_channels,
    in_blocks,
    in_height,
    in_width,
    /// Width of the window.
    kernel,
    stride,
    padding,
    /// Of an enlargement.
    factor,
    /// Where a joined tensor's channels, or its rows in a sequence, start; of a vocabulary, the word that ends a sentence.
    first,
    /// How many channels are written from there.
    lanes,
}

/// The kernel's name, for labels.
pub(super) fn name(step: &Step) -> &'static str {
    kernel_source(step.kernel).0
}

fn kernel_source(kernel: Kernel) -> (&'static str, &'static str) {
    match kernel {
        Kernel::Pack => ("pack", include_str!("pack.wgsl")),
        Kernel::Copy => ("copy", include_str!("copy.wgsl")),
        Kernel::Conv2d { .. } => ("conv2d", include_str!("conv2d.wgsl")),
        Kernel::Moments => ("moments", include_str!("moments.wgsl")),
        Kernel::ScaleAndShift { .. } => ("scale_and_shift", include_str!("scale_and_shift.wgsl")),
        Kernel::CatChannels => ("cat_channels", include_str!("cat_channels.wgsl")),
        Kernel::PixelShuffle(_) => ("pixel_shuffle", include_str!("pixel_shuffle.wgsl")),
        Kernel::MaxPool { .. } => ("max_pool", include_str!("max_pool.wgsl")),
        Kernel::UpsampleNearest(_) => ("upsample_nearest", include_str!("upsample_nearest.wgsl")),
        Kernel::AttentionScores { .. } => ("attention_scores", include_str!("attention_scores.wgsl")),
        Kernel::Softmax => ("softmax", include_str!("softmax.wgsl")),
        Kernel::Attend => ("attend", include_str!("attend.wgsl")),
        Kernel::LayerNorm { .. } => ("layer_norm", include_str!("layer_norm.wgsl")),
        Kernel::Take(_) => ("take", include_str!("take.wgsl")),
        Kernel::Put(_) => ("put", include_str!("put.wgsl")),
        Kernel::BeamParts { .. } => ("beam_parts", include_str!("beam_parts.wgsl")),
        Kernel::BeamMerge(_) => ("beam_merge", include_str!("beam_merge.wgsl")),
        Kernel::CatTime(_) => ("cat_time", include_str!("cat_time.wgsl")),
    }
}

/// Whether the rows of a thread slide along the window of a convolution.
fn slides(kernel: usize, stride: usize) -> bool {
    stride == 1 && kernel <= SLIDING
}

/// The rows of a product, in steps of two, when there are so few that the threads of a workgroup share its sums.
fn few_rows(step: &Step, geometry: Geometry) -> Option<usize> {
    let Kernel::Conv2d { kernel: 1, stride: 1, padding, enlarged: 1, .. } = step.kernel else { return None };
    let [batch, _, rows, width] = step.computed();
    let few = batch * width == 1 && rows <= FEW_ROWS && padding.size() == 0 && step.shuffle() == 1;
    (geometry.joint && few).then(|| rows.next_power_of_two())
}

/// How the kernel of a convolution reads its weights.
pub(super) fn weight_packing(kernel: usize, stride: usize) -> Packing {
    if slides(kernel, stride) { Packing::WeightColumns } else { Packing::Weight }
}

/// What dispatch `part` of a step reads, in the order of its bindings: inputs, then operands.
pub(super) fn reads(step: &Step, part: usize) -> impl Iterator<Item = &Value> {
    let inputs = match step.kernel {
        kernel if kernel.joins() => &step.inputs[part..=part],
        _ => &step.inputs[..],
    };
    inputs.iter().map(|(value, _)| value).chain(step.operands.iter().map(|o| &o.value))
}

/// About how many multiply-adds dispatch `part` of a step is; what only moves values counts one for each.
pub(super) fn work(step: &Step, part: usize) -> u64 {
    let elements = |dims: &[usize]| dims.iter().map(|&d| d as u64).fold(1, u64::saturating_mul);
    match (step.kernel, &step.inputs[..]) {
        (Kernel::Conv2d { .. }, [_, (_, weight), ..]) => elements(&step.dims).saturating_mul(elements(&weight[1..])),
        (kernel, inputs) if kernel.joins() => elements(&inputs[part].1),
        (_, inputs) => inputs.iter().map(|(_, dims)| elements(dims)).fold(elements(&step.dims), u64::max),
    }
}

/// What a workgroup of a step holds, where its threads share.
fn tile(step: &Step, geometry: Geometry) -> Option<Tile> {
    let Kernel::Conv2d { kernel, stride, .. } = step.kernel else { return None };
    let [_, channels, height, width] = step.computed();
    slides(kernel, stride).then(|| geometry.tile(kernel, channels, height, width)).flatten()
}

/// The WGSL of a step.
pub(super) fn source(step: &Step, geometry: Geometry, precision: Precision) -> Result<String> {
    let cat = step.kernel.joins();
    // Two tensors may share a block of channels.
    let by_lane = step.kernel == Kernel::CatChannels;
    let sums = matches!(step.kernel, Kernel::Moments | Kernel::ScaleAndShift { .. } | Kernel::BeamParts { .. });
    let conv = matches!(step.kernel, Kernel::Conv2d { .. });
    let (kernel, slide, reflect, bias, enlarged) = match step.kernel {
        Kernel::Conv2d { kernel, stride, padding, bias, enlarged } => {
            (kernel, slides(kernel, stride), matches!(padding, Padding::Reflect(_)), bias, enlarged)
        }
        _ => (1, false, false, false, 1),
    };
    let enlarge = |operator| if enlarged == 1 { String::new() } else { format!(" {operator} {enlarged}") };
    let epsilon = match step.kernel {
        Kernel::ScaleAndShift { epsilon, .. } | Kernel::LayerNorm { epsilon } => f32::from_bits(epsilon),
        _ => 0.0,
    };
    let beam = match step.kernel {
        Kernel::BeamParts { beam, .. } | Kernel::BeamMerge(beam) => beam,
        _ => 1,
    };
    // Threads for a whole row find their place themselves.
    let by_row = matches!(step.kernel, Kernel::Softmax | Kernel::LayerNorm { .. } | Kernel::BeamMerge(_));
    let pixels = geometry.pixels(step.computed()[2]);
    let few = few_rows(step, geometry);
    let joint = geometry.joint && matches!(step.kernel, Kernel::Softmax | Kernel::LayerNorm { .. });
    let shuffled = step.epilogue.iter().position(|stage| matches!(stage, Stage::PixelShuffle(_)));
    let (before, after) = step.epilogue.split_at(shuffled.unwrap_or(step.epilogue.len()));
    let half = precision == Precision::F16;
    // Parameters are f32 in every precision, what a step has computed is not.
    let scale = if matches!(step.kernel, Kernel::ScaleAndShift { computed: true, .. }) { "real" } else { "f32" };
    let scalar = if step.single() { "f32" } else { "real" };
    let mut values = Values::default()
        .number("HALF", usize::from(half))
        .text("SUM", if half { "part" } else { "sum" })
        .number("CONV", usize::from(conv && few.is_none()))
        .number("REFLECT", usize::from(reflect))
        .text("ENLARGED", enlarge('*'))
        .text("SHRUNK", enlarge('/'))
        .number("KERNEL", kernel)
        .number("SLIDE", usize::from(slide))
        .number("ROWS", few.unwrap_or(pixels + kernel - 1))
        .number("SUMS", few.unwrap_or(1) * geometry.workgroup)
        .number("JOINT", usize::from(joint))
        .number("STEP", if joint { geometry.workgroup } else { 1 })
        .text("EPSILON", format!("{epsilon:?}f"))
        .text("SCALE", scale)
        .number("BEAM", beam)
        .number("BLOCKED", beam.next_multiple_of(4))
        .number("WORKGROUP", geometry.workgroup)
        .number("PIXELS", pixels)
        .number("OUTPUTS", geometry.outputs(step.computed()[1]))
        .number("BIAS", usize::from(bias))
        .number("POSITION", usize::from(!cat && !conv && !sums && !by_row))
        .number("FINISH", usize::from(!cat && !sums))
        .number("PLANAR", usize::from(step.planar()))
        .number("FEATURES_LAST", usize::from(step.features_last))
        .number("MASK", usize::from(matches!(step.kernel, Kernel::AttentionScores { mask: Some(_) })))
        .number("INPUTS", if cat { 1 } else { step.inputs.len() })
        .text("OPERANDS", operands(step))
        .number("SHUFFLE", if shuffled.is_some() { step.shuffle() } else { 0 })
        .text("RESULT", if by_lane || step.planar() || shuffled.is_some() { scalar.into() } else { format!("vec4<{scalar}>") })
        .text("SHAPE", Shape::WGSL)
        .text("EPILOGUE", epilogue(before, &step.operands, false))
        .text("SHUFFLED", epilogue(after, &step.operands, true));
    let tile = tile(step, geometry);
    values = values.number("SHARED", usize::from(tile.is_some()));
    if let Some(tile) = tile {
        let Shared { columns, strips, sets } = tile.shared;
        let [high, wide] = tile.patch;
        let numbers =
            [("COLUMNS", columns), ("STRIPS", strips), ("SETS", sets), ("TALL", tile.rows), ("HIGH", high), ("WIDE", wide)];
        values = numbers.into_iter().fold(values, |values, (name, number)| values.number(name, number));
        values = values
            .number("DEPTH", tile.depth)
            .number("BLOCKS", tile.blocks())
            .number("WINDOW", tile.weights)
            .number("PATCH", tile.patch_length())
            .number("WEIGHTS", tile.weights_length());
    }
    let kernel = if few.is_some() { include_str!("gemv.wgsl") } else { kernel_source(step.kernel).1 };
    Ok(expand(include_str!("common.wgsl"), &values)? + &expand(kernel, &values)?)
}

/// The buffers that the epilogue reads.
fn operands(step: &Step) -> String {
    let normalises = |i| step.epilogue.contains(&Stage::Normalise { operand: i });
    let binding = |i| {
        let (number, scalar) = (2 + step.inputs.len() + i, if normalises(i) { "f32" } else { "real" });
        format!("@group(0) @binding({number}) var<storage, read> operand{i}: array<vec4<{scalar}>>;\n")
    };
    (0..step.operands.len()).map(binding).collect()
}

/// The statements that change `v`, the value at `n`, `block`, `y`, `x`, whose place in a tensor of the same size is `at`; when
/// `shuffled`, the lanes of `v` are at `c0`, `y0`, `x0` and so on.
fn epilogue(stages: &[Stage], operands: &[Operand], shuffled: bool) -> String {
    let mut lines = String::new();
    for stage in stages {
        let line = match *stage {
            Stage::Map(Map::LeakyRelu(slope)) => match slope {
                0.0 => "v = max(v, vec4<f32>());".to_owned(),
                _ => format!("v = select({slope:?}f * v, v, v > vec4<f32>());"),
            },
            Stage::Map(Map::Clamp(low, high)) => format!("v = clamp(v, vec4<f32>({low:?}f), vec4<f32>({high:?}f));"),
            Stage::Map(Map::Sigmoid) => "v = sigmoid(v);".to_owned(),
            Stage::Map(Map::Silu) => "v = v * sigmoid(v);".to_owned(),
            // Beyond 10 it is 1 in f32, and exp may overflow.
            Stage::Map(Map::Tanh) => "v = tanh(clamp(v, vec4<f32>(-10.0), vec4<f32>(10.0)));".to_owned(),
            Stage::Map(Map::Affine(scale, shift)) => format!("v = {scale:?}f * v + {shift:?}f;"),
            Stage::Normalise { operand } => {
                let at = |half| format!("operand{operand}[(n * 2 + {half}) * shape.blocks + block]");
                format!("v = v * {} + {};", at(0), at(1))
            }
            // Where it was is what splits the stages.
            Stage::PixelShuffle(_) => continue,
            Stage::Zip { zip, operand, reversed } => {
                let at = |size: &str, lane: &str| match operands[operand].factor {
                    1 if !shuffled => "at".to_owned(),
                    f => format!(
                        "((n * {size}blocks + block{lane}) * ({size}height / {f}) + y{lane} / {f}) * ({size}width / {f}) \
                         + x{lane} / {f}"
                    ),
                };
                let other = if shuffled {
                    let lanes = ["0", "1", "2", "3"].map(|l| format!("f32(operand{operand}[{}][c{l} % 4])", at("to_", l)));
                    format!("vec4<f32>({})", lanes.join(", "))
                } else {
                    format!("vec4<f32>(operand{operand}[{}])", at("shape.", ""))
                };
                match (zip, reversed) {
                    (Zip::Add, _) => format!("v = v + {other};"),
                    (Zip::Mul, _) => format!("v = v * {other};"),
                    (Zip::Sub, false) => format!("v = v - {other};"),
                    (Zip::Sub, true) => format!("v = {other} - v;"),
                }
            }
        };
        lines += &format!("    {line}\n");
    }
    lines
}

/// The dispatches of a step: sizes, and workgroups in x and y, at most `most` of them in each.
pub(super) fn dispatches(step: &Step, geometry: Geometry, most: u32) -> Result<Vec<(Shape, [u32; 2])>> {
    let [n, c, h, w] = step.computed();
    let blocks = c.div_ceil(4);
    let parts = if step.kernel.joins() { step.inputs.len() } else { 1 };
    let mut start = 0;
    let mut all = Vec::with_capacity(parts);
    for part in 0..parts {
        let [_, ic, ih, iw] = step.inputs[part].1;
        // The last one fills its block; of what is joined in time, `start` counts rows.
        let lanes = if step.kernel == Kernel::CatChannels && part + 1 == parts { 4 * blocks - start } else { ic };
        let (kernel, stride, padding) = match step.kernel {
            Kernel::Conv2d { kernel, stride, padding, .. } => (kernel, stride, padding.size()),
            Kernel::MaxPool { kernel, stride } => (kernel, stride, 0),
            // The mask's rows.
            Kernel::AttentionScores { mask: Some([_, rows]) } => (rows, 1, 0),
            _ => (1, 1, 0),
        };
        let factor = match step.kernel {
            Kernel::PixelShuffle(factor) | Kernel::UpsampleNearest(factor) => factor,
            // Rows that belong together.
            Kernel::Take(rows) | Kernel::Put(rows) | Kernel::CatTime(rows) => rows,
            // The mask's batches.
            Kernel::AttentionScores { mask: Some([batches, _]) } => batches,
            // The moments' parts.
            Kernel::ScaleAndShift { .. } => step.inputs[1].1[3],
            _ => 1,
        };
        let groups = match step.kernel {
            Kernel::Conv2d { .. } if let Some(tile) = tile(step, geometry) => {
                n * blocks.div_ceil(tile.blocks()) * tile.tiles(h, w)
            }
            Kernel::Conv2d { .. } if few_rows(step, geometry).is_some() => blocks,
            Kernel::Conv2d { .. } => {
                let strips = h.div_ceil(geometry.pixels(h)) * w;
                n * blocks.div_ceil(geometry.outputs(c)) * strips.div_ceil(geometry.workgroup)
            }
            // As wide as there are parts.
            Kernel::Moments => (n * ic.div_ceil(4) * w).div_ceil(geometry.workgroup),
            Kernel::ScaleAndShift { .. } => (n * blocks / 2).div_ceil(geometry.workgroup),
            Kernel::Softmax | Kernel::LayerNorm { .. } => {
                let rows = if step.kernel == Kernel::Softmax { n * blocks * h } else { h };
                if geometry.joint { rows } else { rows.div_ceil(geometry.workgroup) }
            }
            Kernel::BeamParts { .. } => (h * w).div_ceil(geometry.workgroup),
            Kernel::BeamMerge(_) => 1,
            Kernel::CatChannels => (n * lanes.div_ceil(4) * h * w).div_ceil(geometry.workgroup),
            Kernel::CatTime(_) => (blocks * ih).div_ceil(geometry.workgroup),
            _ => (n * blocks * h * w).div_ceil(geometry.workgroup),
        };
        let grid = fold(groups, most, geometry.workgroup)
            .ok_or_else(|| Error::Gpu(format!("{:?} is too large for one {}", step.dims, name(step))))?;
        let first = if let Kernel::BeamParts { end, .. } = step.kernel { end } else { start };
        let sizes = [n, c, blocks, h, w, ic, ic.div_ceil(4), ih, iw, kernel, stride, padding, factor, first, lanes];
        let mut words = [0; 15];
        for (word, size) in words.iter_mut().zip(sizes) {
            *word = u32::try_from(size).map_err(|_| Error::Gpu(format!("{}: {size} does not fit in 32 bits", name(step))))?;
        }
        let [batch, channels, blocks, height, width, in_channels, in_blocks, in_height, in_width, ..] = words;
        let [.., kernel, stride, padding, factor, first, lanes] = words;
        let shape = Shape {
            row: grid[0],
            batch,
            channels,
            blocks,
            height,
            width,
            in_channels,
            in_blocks,
            in_height,
            in_width,
            kernel,
            stride,
            padding,
            factor,
            first,
            lanes,
        };
        all.push((shape, grid));
        start += match step.kernel {
            Kernel::CatTime(rows) => ih * rows / h,
            _ => ic,
        };
    }
    Ok(all)
}

/// A grid of at least `groups` workgroups with no side longer than `most`; `None` when threads' numbers exceed 32 bits.
fn fold(groups: usize, most: u32, workgroup: usize) -> Option<[u32; 2]> {
    let rows = groups.div_ceil(most as usize).max(1);
    let row = groups.div_ceil(rows);
    let threads = rows.checked_mul(row)?.checked_mul(workgroup)?;
    if threads > u32::MAX as usize || rows > most as usize {
        return None;
    }
    Some([row as u32, rows as u32])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_folded_grid_covers_all_groups_with_little_waste(groups in 1usize..60_000_000) {
            let [x, y] = fold(groups, 65_535, 64).unwrap().map(|d| d as usize);
            prop_assert!(x <= 65_535 && y <= 65_535);
            prop_assert!(x * y >= groups && x * y < groups + y);
        }
    }

    #[test]
    fn a_grid_beyond_32_bits_is_refused() {
        assert_eq!(fold(70_000_000, 65_535, 64), None);
    }
}
