//! Convolution on the matrix units that Intel's servers have since Sapphire Rapids (AMX): factors in bf16, sums in f32.
//!
//! The channels lie in pairs, a plane with its border for every pair, because a unit multiplies a tile of 16 output channels by 32
//! inputs with a tile of 16 pairs of inputs by 16 positions. So a tap of the window is a constant distance, as in `direct.rs`, and
//! what comes out lies as it is wanted. Two tiles of outputs by two of positions are summed at once. 64 to 64 channels of 208x208
//! on two cores take 6.6 ms instead of 18.7 in f32, at best (`trainer bench --only layers --size 208 --bf16`).
//!
//! # Safety
//! Unsafe for the tiles' loads and stores. Nothing else in the program uses the tile registers, and a task configures those of its
//! thread before it does and releases them behind. `pairs` leaves `SLACK` spare elements behind the last plane.
#![allow(unsafe_code)]

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::direct::{Epilogue, Output, Tile, total};
use super::pieces::pieces;
use super::planes::{Geometry, WIDEST, mirrored};

/// Rows of a tile, and columns of 32 bits.
const SIDE: usize = 16;
/// Outputs and positions that are summed at once: two tiles.
const BLOCK: usize = 2 * SIDE;
/// Input channels of a tile.
const DEPTH: usize = 2 * SIDE;
/// A tile of weights.
const WEIGHTS: usize = SIDE * DEPTH;
/// What the last tile of positions may read beyond its plane.
const SLACK: usize = BLOCK;
/// Positions of a task: with 64 channels their pairs take half of a second-level cache.
const RUN: usize = 2048;

static WANTED: AtomicBool = AtomicBool::new(false);

/// See the function of this name in the module above.
pub fn multiply_in_bf16() -> bool {
    WANTED.fetch_or(available(), Ordering::Relaxed);
    available()
}

/// Whether this convolution is to be computed here: it is wanted, and its channels are not mostly missing ones.
pub fn chosen(g: &Geometry) -> bool {
    WANTED.load(Ordering::Relaxed) && g.stride == 1 && g.inputs >= SIDE && g.outputs >= SIDE
}

/// Whether the CPU has AMX for bf16, and the system lets this program use it.
fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        const BF16: u32 = 1 << 22;
        const TILE: u32 = 1 << 24;
        const REQUEST_PERMISSION: libc::c_long = 0x1023;
        const TILE_DATA: libc::c_long = 18;
        let features = std::arch::x86_64::__cpuid_count(7, 0).edx;
        is_x86_feature_detected!("avx512f")
            && features & (BF16 | TILE) == BF16 | TILE
            // SAFETY: a system call that reads its two numbers.
            && unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) } == 0
    })
}

/// The nearest bf16, of two halfway ones the even.
fn bf16(x: f32) -> u32 {
    let bits = x.to_bits();
    bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16
}

/// Weights `[O, I, K, K]` as tiles, `[O / 16, K * K, I / 32, 16, 32]`, zeros where there is no channel.
fn pack(g: &Geometry, weight: &[f32]) -> Vec<u16> {
    let (taps, depths) = (g.taps(), g.inputs.div_ceil(DEPTH));
    let mut packed = vec![0; g.outputs.next_multiple_of(BLOCK) / SIDE * taps * depths * WEIGHTS];
    for (row, window) in weight.chunks_exact(taps).enumerate() {
        let (output, input) = (row / g.inputs, row % g.inputs);
        for (tap, &w) in window.iter().enumerate() {
            let tile = (output / SIDE * taps + tap) * depths + input / DEPTH;
            packed[tile * WEIGHTS + output % SIDE * DEPTH + input % DEPTH] = bf16(w) as u16;
        }
    }
    packed
}

/// Elements from one pair's plane to the next: whole lines of the cache, and an odd number of them, so that planes do not drive each
/// other out.
fn distance(g: &Geometry) -> usize {
    (g.plane().div_ceil(SIDE) | 1) * SIDE
}

/// The input's channels in pairs, with their border: `[N, I / 2, distance]`, zeros where there is no channel.
fn pairs(g: &Geometry, x: &[f32]) -> Vec<u32> {
    let (area, distance) = (g.height * g.width, distance(g));
    let pairs = g.inputs.next_multiple_of(DEPTH) / 2;
    pieces(g.batch * pairs * distance + SLACK, distance, |i, to| {
        let (image, channel) = (i / pairs, 2 * (i % pairs));
        if image >= g.batch || channel >= g.inputs {
            return;
        }
        let first = &x[(image * g.inputs + channel) * area..][..area];
        let second = if channel + 1 < g.inputs { &x[(image * g.inputs + channel + 1) * area..][..area] } else { &[] };
        // SAFETY: whoever comes here has found AMX, and with it AVX-512.
        bordered(g, to, |line, to| unsafe { pair(&first[line.clone()], second.get(line), to) });
    })
}

/// Writes a plane with its border: `write` gets the range of a line in the input's plane, and where it goes.
fn bordered<T: Copy>(g: &Geometry, to: &mut [T], write: impl Fn(Range<usize>, &mut [T])) {
    let size = g.padding.size();
    for y in g.rows() {
        let line = mirrored(y, size, g.height) * g.width;
        let to = &mut to[y * g.row()..][..g.padded_width()];
        write(line..line + g.width, &mut to[size..size + g.width]);
        if g.mirrors() {
            g.border().for_each(|x| to[x] = to[size + mirrored(x, size, g.width)]);
        }
    }
}

#[target_feature(enable = "avx512f")]
unsafe fn pair(first: &[f32], second: Option<&[f32]>, to: &mut [u32]) {
    match second {
        Some(second) => to.iter_mut().zip(first.iter().zip(second)).for_each(|(to, (&a, &b))| *to = bf16(a) | bf16(b) << 16),
        None => to.iter_mut().zip(first).for_each(|(to, &a)| *to = bf16(a)),
    }
}

/// Everything a task reads.
struct Task<'a> {
    g: Geometry,
    x: &'a [u32],
    weight: &'a [u16],
    epilogue: &'a Epilogue<'a>,
    y: Output,
}

impl Task<'_> {
    /// All output channels of the positions `range` of one picture of the batch.
    ///
    /// # Safety
    /// AMX is there; `range` lies in `0..positions()`, and no other task has it.
    #[target_feature(enable = "avx512f")]
    unsafe fn run(&self, image: usize, range: Range<usize>) {
        let g = &self.g;
        let (taps, depths, distance) = (g.taps(), g.inputs.div_ceil(DEPTH), distance(g));
        let (offsets, steps) = (g.tap_offsets(), taps * depths);
        let x = &self.x[image * depths * SIDE * distance..];
        let mut tile: Tile<BLOCK> = [[0.0; WIDEST]; BLOCK];
        // SAFETY: AMX is there; released below.
        unsafe { configure() };
        for (block, weight) in self.weight.chunks_exact(2 * steps * WEIGHTS).enumerate() {
            let first = block * BLOCK;
            let outputs = BLOCK.min(g.outputs - first);
            for start in range.clone().step_by(BLOCK) {
                // SAFETY: the furthest row that a tile has begins in the last pair's plane, at its end at most BLOCK - 1 elements
                // beyond the last window, which is inside the plane; the rest is SLACK.
                unsafe { sum(x[start..].as_ptr(), distance, depths, &offsets[..taps], weight, &mut tile) };
                for (channel, row) in tile.iter_mut().enumerate().take(outputs) {
                    let bias = self.epilogue.bias_of(first + channel);
                    let row = &mut row[..BLOCK];
                    match self.epilogue.slope {
                        Some(slope) => row.iter_mut().for_each(|y| {
                            let sum = *y + bias;
                            *y = if sum > 0.0 { sum } else { slope * sum };
                        }),
                        None => row.iter_mut().for_each(|y| *y += bias),
                    }
                }
                let count = BLOCK.min(range.end - start);
                // SAFETY: the positions are this task's.
                unsafe { self.y.store(g, &tile[..outputs], image * g.outputs + first, start, count) };
            }
        }
        // SAFETY: as above.
        unsafe { release() };
    }
}

/// Has this thread's eight tiles hold 16 rows of 64 bytes.
unsafe fn configure() {
    #[repr(C, align(64))]
    struct Config {
        palette: u8,
        start: u8,
        reserved: [u8; 14],
        row_bytes: [u16; 16],
        rows: [u8; 16],
    }
    let mut config = Config { palette: 1, start: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
    config.row_bytes[..8].fill(64);
    config.rows[..8].fill(SIDE as u8);
    // SAFETY: it reads the 64 bytes.
    unsafe { std::arch::asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, readonly)) };
}

unsafe fn release() {
    // SAFETY: AMX is there.
    unsafe { std::arch::asm!("tilerelease", options(nomem, nostack)) };
}

/// Empties the four tiles of sums.
unsafe fn begin() {
    // SAFETY: the tiles are configured.
    unsafe { std::arch::asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nomem, nostack)) };
}

/// Adds the products of two tiles, whose 16 rows are `rows` bytes apart, and two whose rows are `columns` bytes apart.
///
/// # Safety
/// The tiles are configured, and all rows can be read.
#[inline(always)]
unsafe fn add(a: [*const u8; 2], rows: usize, b: [*const u8; 2], columns: usize) {
    // SAFETY: the caller's.
    unsafe {
        std::arch::asm!(
            "tileloadd tmm4, [{upper} + {rows}*1]",
            "tileloadd tmm6, [{left} + {columns}*1]",
            "tileloadd tmm7, [{right} + {columns}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{lower} + {rows}*1]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            upper = in(reg) a[0],
            lower = in(reg) a[1],
            rows = in(reg) rows,
            left = in(reg) b[0],
            right = in(reg) b[1],
            columns = in(reg) columns,
            options(nostack, readonly)
        );
    }
}

/// Writes the four tiles of sums.
///
/// # Safety
/// The tiles are configured.
unsafe fn end(out: &mut Tile<BLOCK>) {
    // SAFETY: 32 rows of 32 values are written, into rows of WIDEST.
    unsafe {
        std::arch::asm!(
            "tilestored [{a} + {row}*1], tmm0",
            "tilestored [{b} + {row}*1], tmm1",
            "tilestored [{c} + {row}*1], tmm2",
            "tilestored [{d} + {row}*1], tmm3",
            a = in(reg) out[0].as_mut_ptr(),
            b = in(reg) out[0].as_mut_ptr().add(SIDE),
            c = in(reg) out[SIDE].as_mut_ptr(),
            d = in(reg) out[SIDE].as_mut_ptr().add(SIDE),
            row = in(reg) 4 * WIDEST,
            options(nostack)
        );
    }
}

/// Two tiles of outputs by two of positions, over all taps and inputs.
///
/// # Safety
/// The tiles are configured; `weight` holds two rows of tiles; 16 rows of 32 elements, `distance` apart, can be read at every tap of
/// every 32 channels.
#[inline(always)]
unsafe fn sum(x: *const u32, distance: usize, depths: usize, offsets: &[usize], weight: &[u16], out: &mut Tile<BLOCK>) {
    let (upper, lower) = weight.split_at(weight.len() / 2);
    let mut tiles = upper.chunks_exact(WEIGHTS).zip(lower.chunks_exact(WEIGHTS));
    // SAFETY: the caller's.
    unsafe {
        begin();
        for &offset in offsets {
            for (depth, (upper, lower)) in tiles.by_ref().take(depths).enumerate() {
                let left = x.add(depth * SIDE * distance + offset);
                let positions = [left.cast(), left.add(SIDE).cast()];
                add([upper.as_ptr().cast(), lower.as_ptr().cast()], 2 * DEPTH, positions, 4 * distance);
            }
        }
        end(out);
    }
}

/// As `direct::forward`, where [`chosen`].
pub fn forward(g: &Geometry, x: &[f32], weight: &[f32], epilogue: &Epilogue) -> Vec<f32> {
    let (pairs, packed) = (pairs(g, x), pack(g, weight));
    let count = g.batch * g.outputs * g.out_height() * g.out_width();
    let mut y = Vec::with_capacity(count);
    let task = Task { g: *g, x: &pairs, weight: &packed, epilogue, y: Output(y.as_mut_ptr()) };
    let runs = g.positions().div_ceil(RUN);
    (0..g.batch * runs).into_par_iter().for_each(|i| {
        let start = i % runs * RUN;
        // SAFETY: AMX is there, or this would not have been chosen; the ranges do not overlap.
        unsafe { task.run(i / runs, start..(start + RUN).min(g.positions())) };
    });
    // SAFETY: the ranges cover all positions, and every task writes all outputs of its own.
    unsafe { y.set_len(count) };
    y
}

/// The input's channels with their border in bf16: `[N, I, distance]`, channels up to a multiple of 32.
fn planes(g: &Geometry, x: &[f32]) -> Vec<u16> {
    let (area, distance) = (g.height * g.width, distance(g));
    let channels = g.inputs.next_multiple_of(BLOCK);
    pieces(g.batch * channels * distance + 2 * SLACK, distance, |i, to| {
        let (image, channel) = (i / channels, i % channels);
        if image >= g.batch || channel >= g.inputs {
            return;
        }
        let from = &x[(image * g.inputs + channel) * area..][..area];
        // SAFETY: whoever comes here has found AMX, and with it AVX-512.
        bordered(g, to, |line, to| unsafe { round(&from[line], to) });
    })
}

#[target_feature(enable = "avx512f")]
unsafe fn round(from: &[f32], to: &mut [u16]) {
    to.iter_mut().zip(from).for_each(|(to, &x)| *to = bf16(x) as u16);
}

/// Positions of a pass of the weight gradient, a multiple of 32: 32 channels and 32 outputs of them stay in a second-level cache.
const PASS: usize = 8192;

/// The output's gradient turned around, positions in pairs: `[N, positions / 2, O, 2]`, outputs up to a multiple of 32 and positions
/// up to `length`, zeros between rows.
fn turned(g: &Geometry, gradient: &[f32], length: usize) -> Vec<u16> {
    let (width, height, row) = (g.out_width(), g.out_height(), g.row());
    let outputs = g.outputs.next_multiple_of(BLOCK);
    let image = length * outputs;
    let mut turned = vec![0; g.batch * image];
    let images = turned.par_chunks_mut(image).zip(gradient.par_chunks(g.outputs * height * width));
    images.for_each(|(to, from)| {
        // Two rows have whole pairs.
        to.par_chunks_mut(2 * row * outputs).enumerate().for_each(|(two, to)| {
            for (output, plane) in from.chunks_exact(height * width).enumerate() {
                for (y, line) in plane.chunks_exact(width).enumerate().skip(2 * two).take(2) {
                    for (x, &value) in line.iter().enumerate() {
                        let position = y % 2 * row + x;
                        to[(position / 2 * outputs + output) * 2 + position % 2] = bf16(value) as u16;
                    }
                }
            }
        });
    });
    turned
}

/// As `direct::weight_gradient`, where [`chosen`]. The same whatever the number of threads: every pass has a share of its own, and
/// the shares are added in order.
pub fn weight_gradient(g: &Geometry, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let length = g.positions().next_multiple_of(DEPTH);
    let (x, gradient) = (planes(g, x), turned(g, gradient, length));
    let (channels, outputs) = (g.inputs.next_multiple_of(BLOCK), g.outputs.next_multiple_of(BLOCK));
    let (columns, distance, offsets) = (g.inputs * g.taps(), distance(g), g.tap_offsets());
    let passes = length.div_ceil(PASS);
    let size = g.outputs * columns;

    let mut shares = vec![0.0; g.batch * passes * size];
    shares.par_chunks_mut(size).enumerate().for_each(|(i, share)| {
        let (image, first) = (i / passes, i % passes * PASS);
        let steps = PASS.min(length - first) / DEPTH;
        let x = &x[image * channels * distance + first..];
        let gradient = &gradient[(image * length + first) * outputs..];
        share.par_chunks_mut(BLOCK * columns).enumerate().for_each(|(block, out)| {
            let gradient = &gradient[block * BLOCK * 2..];
            let mut tile: Tile<BLOCK> = [[0.0; WIDEST]; BLOCK];
            // SAFETY: AMX is there, or this would not have been chosen; released below.
            unsafe { configure() };
            for channel in (0..g.inputs).step_by(BLOCK) {
                for (tap, &offset) in offsets.iter().enumerate().take(g.taps()) {
                    // SAFETY: a row of positions ends in the plane or less than 2 * SLACK behind it, see `planes`; `turned` has
                    // `length` positions.
                    unsafe {
                        begin();
                        for step in 0..steps {
                            let upper = x[channel * distance + offset + step * DEPTH..].as_ptr();
                            let left = gradient[step * DEPTH * outputs..].as_ptr();
                            let rows = [upper.cast(), upper.add(SIDE * distance).cast()];
                            add(rows, 2 * distance, [left.cast(), left.add(2 * SIDE).cast()], 4 * outputs);
                        }
                        end(&mut tile);
                    }
                    for (channel, row) in (channel..g.inputs).zip(&tile) {
                        let weights = out.iter_mut().skip(channel * g.taps() + tap).step_by(columns);
                        weights.zip(row).for_each(|(weight, &sum)| *weight = sum);
                    }
                }
            }
            // SAFETY: as above.
            unsafe { release() };
        });
    });
    total(shares, size)
}

#[cfg(test)]
mod tests {
    use super::super::direct;
    use super::*;
    use crate::engine::candle::planes::random;
    use crate::tensor::Padding;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Odd sizes, channels that fill no tile, both borders: as close to f32 as factors of 8 bits are.
        #[test]
        fn equals_f32(
            batch in 1usize..3, inputs in 16usize..70, outputs in 16usize..70, height in 3usize..20, width in 3usize..70,
            kernel in prop_oneof![Just(1usize), Just(3), Just(5)], reflect: bool, slope in prop_oneof![Just(None), Just(Some(0.1f32))], seed: u32
        ) {
            if !available() {
                eprintln!("this CPU has no AMX: convolutions in bf16 are not tested");
                return Ok(());
            }
            let size = kernel / 2;
            let padding = if reflect { Padding::Reflect(size) } else { Padding::Zeros(size) };
            let g = Geometry { batch, inputs, outputs, height, width, kernel, stride: 1, padding };
            let mut random = random(seed);
            let (x, weight, bias) = (random(batch * inputs * height * width), random(outputs * inputs * g.taps()), random(outputs));
            let epilogue = Epilogue { bias: Some(&bias), slope };
            let gradient = random(batch * outputs * g.out_height() * g.out_width());
            let pairs = [
                (forward(&g, &x, &weight, &epilogue), direct::forward(&g, &x, &weight, &epilogue), inputs * g.taps()),
                (weight_gradient(&g, &x, &gradient), direct::weight_gradient(&g, &x, &gradient), batch * g.out_height() * g.out_width()),
            ];
            for (ours, exact, terms) in pairs {
                prop_assert_eq!(ours.len(), exact.len());
                let bound = 0.02 * (terms as f32).sqrt();
                for (ours, exact) in ours.iter().zip(&exact) {
                    prop_assert!((ours - exact).abs() < bound, "{} instead of {}", ours, exact);
                }
            }
        }
    }
}
