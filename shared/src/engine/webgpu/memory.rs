//! How tensors lie in buffers, and which steps share a buffer.

use half::f16;

use super::lower::canonical;
use super::step::Step;

/// How tensors and weights are stored, and what convolutions multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32 bits, everywhere.
    F32,
    /// 16 bits, where the adapter has them.
    F16,
}

/// How a constant is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Packing {
    /// `[N, C, H, W]` as `[N, ceil(C / 4), H, W, 4]`.
    Blocked,
    /// `[O, C, K, K]` as `[ceil(O / 4), ceil(C / 4), K, K, 4 of C, 4 of O]`: a window's step reads 16 neighbours.
    Weight,
    /// As `Weight`, with the window transposed, so that a column of it is a run.
    WeightColumns,
    /// `[1, 1, 1, O]` as `[ceil(O / 4), 4]`.
    Bias,
    /// A sequence, `[R, F]` as `[ceil(F / 4), R, 4]`.
    Rows,
    /// As it is: whole numbers.
    RowMajor,
}

impl Packing {
    /// `values` of these dimensions in this layout, zeros where there is no channel.
    pub fn pack(self, values: &[f32], dims: &[usize]) -> Vec<f32> {
        let of_weight = || [0, 1, 2, 3].map(|axis| dims.get(axis).copied().unwrap_or(1));
        match self {
            Self::Blocked => blocked(values, canonical(dims)),
            Self::Weight => weight(values, of_weight(), false),
            Self::WeightColumns => weight(values, of_weight(), true),
            Self::Rows => rows(values, dims.last().copied().unwrap_or(1)),
            Self::RowMajor => values.to_vec(),
            Self::Bias => {
                let mut packed = values.to_vec();
                packed.resize(values.len().next_multiple_of(4), 0.0);
                packed
            }
        }
    }
}

/// Packed `values` as bytes for the GPU. A bias is small, and its summands few: it stays f32, as whole numbers do.
pub fn encode(values: &[f32], packing: Packing, precision: Precision) -> Vec<u8> {
    if precision == Precision::F32 || matches!(packing, Packing::Bias | Packing::RowMajor) {
        return bytemuck::cast_slice(values).to_vec();
    }
    let most = f16::MAX.to_f32();
    values.iter().flat_map(|v| f16::from_f32(v.clamp(-most, most)).to_bits().to_ne_bytes()).collect()
}

fn rows(values: &[f32], features: usize) -> Vec<f32> {
    let count = values.len() / features.max(1);
    let mut packed = vec![0.0; count * features.next_multiple_of(4)];
    for (row, values) in values.chunks_exact(features.max(1)).enumerate() {
        for (i, &v) in values.iter().enumerate() {
            packed[(i / 4 * count + row) * 4 + i % 4] = v;
        }
    }
    packed
}

fn blocked(values: &[f32], [n, c, h, w]: [usize; 4]) -> Vec<f32> {
    let blocks = c.div_ceil(4);
    let mut packed = vec![0.0; n * blocks * h * w * 4];
    for (plane, pixels) in values.chunks_exact(h * w).enumerate() {
        let (image, channel) = (plane / c, plane % c);
        let block = &mut packed[(image * blocks + channel / 4) * h * w * 4..];
        for (i, &v) in pixels.iter().enumerate() {
            block[4 * i + channel % 4] = v;
        }
    }
    packed
}

fn weight(values: &[f32], [o, c, kh, kw]: [usize; 4], columns: bool) -> Vec<f32> {
    let (taps, blocks) = (kh * kw, c.div_ceil(4));
    let mut packed = vec![0.0; o.div_ceil(4) * blocks * taps * 16];
    for (i, window) in values.chunks_exact(taps).enumerate() {
        let (output, input) = (i / c, i % c);
        let start = (output / 4 * blocks + input / 4) * taps * 16 + input % 4 * 4 + output % 4;
        for (tap, &v) in window.iter().enumerate() {
            let to = if columns { tap % kw * kh + tap / kw } else { tap };
            packed[start + 16 * to] = v;
        }
    }
    packed
}

/// The buffer of every step's result, and the size of every buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct Placement {
    /// By step.
    pub slots: Vec<usize>,
    /// Bytes, by slot.
    pub sizes: Vec<u64>,
}

/// Gives every step's result a buffer; results that are never needed at the same time share one.
///
/// Greedy, in order: the smallest free buffer that is large enough, else the largest free one, grown, else a new one. A chain
/// of convolutions alternates between two buffers however deep it is.
pub fn place(steps: &[Step], precision: Precision) -> Placement {
    let mut last_read: Vec<usize> = (0..steps.len()).collect();
    for (i, step) in steps.iter().enumerate() {
        step.reads().for_each(|read| last_read[read] = i);
    }
    let mut placement = Placement { slots: Vec::new(), sizes: Vec::new() };
    let mut free: Vec<usize> = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        let size = bytes(step, precision);
        let sizes = &mut placement.sizes;
        let fitting = free.iter().enumerate().filter(|&(_, &slot)| sizes[slot] >= size).min_by_key(|&(_, &slot)| sizes[slot]);
        let chosen = fitting.or_else(|| free.iter().enumerate().max_by_key(|&(_, &slot)| sizes[slot])).map(|(at, _)| at);
        let slot = match chosen {
            Some(at) => free.swap_remove(at),
            None => {
                sizes.push(0);
                sizes.len() - 1
            }
        };
        sizes[slot] = sizes[slot].max(size);
        placement.slots.push(slot);
        // Only now: a step must not write what it reads.
        let mut done: Vec<usize> = step.reads().filter(|&read| last_read[read] == i).collect();
        done.sort_unstable();
        done.dedup();
        free.extend(done.into_iter().map(|read| placement.slots[read]));
    }
    placement
}

/// Size of a step's result.
fn bytes(step: &Step, precision: Precision) -> u64 {
    let [n, c, h, w] = step.dims;
    let channels = if step.planar() { c } else { c.next_multiple_of(4) };
    let element = if precision == Precision::F16 && !step.single() { size_of::<f16>() } else { size_of::<f32>() };
    [n, channels, h, w].iter().fold(element as u64, |product, &d| product.saturating_mul(d as u64))
}

#[cfg(test)]
mod tests {
    use super::super::step::{Kernel, Operand, Value};
    use super::*;
    use proptest::prelude::*;

    fn step(reads: &[usize], operands: &[usize], size: usize) -> Step {
        Step {
            kernel: Kernel::Copy,
            inputs: reads.iter().map(|&r| (Value::Step(r), [1; 4])).collect(),
            epilogue: vec![],
            operands: operands.iter().map(|&r| Operand { value: Value::Step(r), factor: 1 }).collect(),
            dims: [1, 4, 1, size],
            output: None,
            features_last: false,
        }
    }

    #[test]
    fn a_chain_alternates_between_two_buffers() {
        let chain: Vec<Step> = (0..40usize).map(|i| step(&i.checked_sub(1).into_iter().collect::<Vec<_>>(), &[], 7)).collect();
        assert_eq!(place(&chain, Precision::F32).sizes, [7 * 16, 7 * 16]);
        assert_eq!(place(&chain, Precision::F16).sizes, [7 * 8, 7 * 8]);
    }

    #[test]
    fn packing_pads_channels_with_zeros() {
        let values: Vec<f32> = (1..=10).map(|v| v as f32).collect();
        let packed = Packing::Blocked.pack(&values, &[1, 5, 1, 2]);
        assert_eq!(packed, [1., 3., 5., 7., 2., 4., 6., 8., 9., 0., 0., 0., 10., 0., 0., 0.]);
        assert_eq!(Packing::Bias.pack(&values[..5], &[5]), [1., 2., 3., 4., 5., 0., 0., 0.]);
        // Two rows of five features.
        assert_eq!(Packing::Rows.pack(&values, &[2, 5]), [1., 2., 3., 4., 6., 7., 8., 9., 5., 0., 0., 0., 10., 0., 0., 0.]);
        // Output 4 (the first of the second block), input 0.
        let weight = Packing::Weight.pack(&values, &[5, 2, 1, 1]);
        assert_eq!(weight[..8], [1., 3., 5., 7., 2., 4., 6., 8.]);
        assert_eq!(weight[16..24], [9., 0., 0., 0., 10., 0., 0., 0.]);
    }

    #[test]
    fn what_f16_cannot_hold_is_its_largest() {
        let halves = |packing| encode(&[1.0, -1e9], packing, Precision::F16);
        assert_eq!(halves(Packing::Weight), [0x3c00u16, 0xfbff].map(u16::to_ne_bytes).concat());
        assert_eq!(halves(Packing::Bias), [1.0f32, -1e9].map(f32::to_ne_bytes).concat());
    }

    proptest! {
        /// Runs the placement with step numbers for values: whoever reads finds what it wants, and nobody reads what it writes.
        #[test]
        fn no_result_is_overwritten_before_it_is_read(
            graph in prop::collection::vec((prop::collection::vec(0usize..1000, 1..4), 1usize..50), 2..40)
        ) {
            let steps: Vec<Step> = graph.iter().enumerate().map(|(i, (reads, size))| {
                let reads: Vec<usize> = reads.iter().filter(|_| i > 0).map(|r| r % i.max(1)).collect();
                step(&reads[..reads.len().min(1)], &reads[reads.len().min(1)..], *size)
            }).collect();
            let Placement { slots, sizes } = place(&steps, Precision::F32);
            let mut holds = vec![usize::MAX; sizes.len()];
            for (i, step) in steps.iter().enumerate() {
                prop_assert!(bytes(step, Precision::F32) <= sizes[slots[i]]);
                for read in step.reads() {
                    prop_assert_eq!(holds[slots[read]], read);
                    prop_assert!(slots[read] != slots[i]);
                }
                holds[slots[i]] = i;
            }
        }
    }
}
