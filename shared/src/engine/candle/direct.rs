//! Convolution, computed directly: no im2col, no packing of the picture.
//!
//! Every channel is copied once into a plane with its border (`planes.rs`); with a stride, into one plane for every remainder of
//! the position, so that neighbouring windows are neighbours in memory again. A window of one pixel needs neither. In that plane
//! a tap `(ky, kx)` of the window is a constant distance, so a run of output positions times one weight is a run of loads,
//! wherever rows end; the few positions between rows are computed and dropped. A register tile of `CO` output channels x `PX`
//! vectors of positions stays in registers over the whole sum. Measured on 2 cores with AVX-512, batch 16 of 48x48, 64 to 64
//! channels: see ARCHITECTURE.md.
//!
//! # Safety
//! Unsafe for the vector loads. `spread` leaves `WIDEST` spare elements behind the last plane; no tile reads further than that.
#![allow(unsafe_code)]

use std::borrow::Cow;

use rayon::prelude::*;

use super::lanes::{Lanes, Level, Portable, Tiled};
use super::pieces::pieces;
use super::planes::{Geometry, WIDEST, apart, mirrored, spread};
use crate::tensor::Padding;

/// `[O, I, K, K]` to `[O / CO, I, K, K, CO]`, zeros behind the last output.
fn pack(weight: &[f32], g: &Geometry, co: usize) -> Vec<f32> {
    let k = g.inputs * g.taps();
    let mut packed = vec![0.0; g.outputs.div_ceil(co) * k * co];
    for (o, row) in weight.chunks_exact(k).enumerate() {
        let tile = &mut packed[o / co * k * co..][..k * co];
        for (i, &w) in row.iter().enumerate() {
            tile[i * co + o % co] = w;
        }
    }
    packed
}

/// Everything a task of the forward pass reads.
struct Forward<'a> {
    g: Geometry,
    /// With its border and slack; a 1x1 convolution has neither.
    x: &'a [f32],
    weight: &'a [f32],
    epilogue: &'a Epilogue<'a>,
    y: Output,
}

/// What becomes of the sums before they are written.
#[derive(Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// A value for every output channel.
    pub bias: Option<&'a [f32]>,
    /// Of a leaky ReLU.
    pub slope: Option<f32>,
}

impl Epilogue<'_> {
    /// What is added to a channel; nothing to one that is not there.
    #[inline(always)]
    pub fn bias_of(&self, channel: usize) -> f32 {
        self.bias.and_then(|bias| bias.get(channel)).copied().unwrap_or(0.0)
    }
}

/// The output, written by many tasks at disjoint places.
#[derive(Clone, Copy)]
pub struct Output(pub *mut f32);
// SAFETY: tasks write disjoint positions, and the vector outlives them (`forward` joins all before it returns).
unsafe impl Send for Output {}
unsafe impl Sync for Output {}

impl Output {
    /// Writes `count` positions of some planes of the output, the first of which is `plane`, and drops what lies between rows.
    ///
    /// # Safety
    /// The positions are in the output, and no other task writes them.
    #[inline(always)]
    pub unsafe fn store(self, g: &Geometry, tile: &[[f32; WIDEST]], plane: usize, start: usize, count: usize) {
        let (row, out_width) = (g.row(), g.out_width());
        let out_plane = g.out_height() * out_width;
        let mut at = start;
        while at < start + count {
            // Without a border there is nothing between rows.
            let (oy, ox, rest) = if row == out_width { (0, at, count) } else { (at / row, at % row, row - at % row) };
            let run = rest.min(start + count - at);
            let keep = if row == out_width { run } else { run.min(out_width.saturating_sub(ox)) };
            for (c, values) in tile.iter().enumerate() {
                let to = (plane + c) * out_plane + oy * out_width + ox;
                // SAFETY: `to + keep` is inside plane `plane + c`; the rest is the caller's.
                unsafe { std::ptr::copy_nonoverlapping(values.as_ptr().add(at - start), self.0.add(to), keep) };
            }
            at += run;
        }
    }
}

/// The outputs of a register tile.
pub type Tile<const CO: usize> = [[f32; WIDEST]; CO];

/// All output channels of the positions `range` of one picture of the batch. The range lies in `0..positions()`, and no other task
/// has it.
struct Run<'a> {
    task: &'a Forward<'a>,
    image: usize,
    range: std::ops::Range<usize>,
}

impl Tiled for Run<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes, const CO: usize, const PX: usize>(self) {
        let Self { task: Forward { g, x, weight, epilogue, y }, image, range } = self;
        let (taps, channel) = (g.taps(), g.channel());
        let offsets = g.tap_offsets();
        let width = PX * L::N;
        let mut tile: Tile<CO> = [[0.0; WIDEST]; CO];
        debug_assert!(width <= WIDEST);
        let x = &x[image * g.inputs * channel..];
        // A 1x1 convolution reads its input as it is. One tile of every channel is gathered first: it is read once for every
        // tile of outputs, and channels whose distance is a power of two drive each other out of the cache.
        let mut panel = if g.is_product() { vec![0.0; g.inputs * width] } else { Vec::new() };
        for start in range.clone().step_by(width) {
            let count = width.min(range.end - start);
            let (from, distance) = if g.is_product() {
                for (to, from) in panel.chunks_exact_mut(width).zip(x.chunks(channel)) {
                    to[..count].copy_from_slice(&from[start..start + count]);
                }
                (&panel[..], width)
            } else {
                (&x[start..], channel)
            };
            for (i, weight) in weight.chunks_exact(g.inputs * taps * CO).enumerate() {
                let first = i * CO;
                let bias = |c| epilogue.bias_of(first + c);
                // SAFETY: the furthest load is plane inputs - 1, position end - 1 + (K - 1) rows + K - 1, which is inside the
                // plane, plus less than `width` <= WIDEST; of the panel, its end.
                unsafe {
                    let (from, to) = (from.as_ptr(), tile.as_mut_ptr().cast());
                    sum_tile::<L, CO, PX>(g.inputs, from, distance, &offsets[..taps], weight.as_ptr(), bias, to, WIDEST);
                }
                if let Some(slope) = epilogue.slope {
                    let values = tile.iter_mut().flat_map(|row| &mut row[..width]);
                    values.for_each(|y| *y = if *y > 0.0 { *y } else { slope * *y });
                }
                // SAFETY: the positions are this task's.
                unsafe { y.store(g, &tile[..CO.min(g.outputs - first)], image * g.outputs + first, start, count) };
            }
        }
    }
}

/// A register tile of sums: `channels` channels from `from` on, `distance` elements apart, at the taps at `offsets`, times the
/// weights, and a bias. Row `c` goes to `to`, `c * to_distance` elements further.
///
/// # Safety
/// `L`'s instruction set is there; `weight` holds `CO` values for every channel and tap; `PX` vectors can be loaded at every
/// offset of every channel, and written in every row.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub unsafe fn sum_tile<L: Lanes, const CO: usize, const PX: usize>(
    channels: usize,
    from: *const f32,
    distance: usize,
    offsets: &[usize],
    weight: *const f32,
    bias: impl Fn(usize) -> f32,
    to: *mut f32,
    to_distance: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut acc: [[L::V; PX]; CO] = std::array::from_fn(|c| [L::splat(bias(c)); PX]);
        let mut w = weight;
        for channel in 0..channels {
            let at = from.add(channel * distance);
            for &offset in offsets {
                let from = at.add(offset);
                let mut v = [L::splat(0.0); PX];
                for (p, v) in v.iter_mut().enumerate() {
                    *v = L::load(from.add(p * L::N));
                }
                for (c, acc) in acc.iter_mut().enumerate() {
                    let weight = L::splat(*w.add(c));
                    for p in 0..PX {
                        acc[p] = L::mul_add(weight, v[p], acc[p]);
                    }
                }
                w = w.add(CO);
            }
        }
        for (c, acc) in acc.iter().enumerate() {
            for (p, &acc) in acc.iter().enumerate() {
                L::store(to.add(c * to_distance + p * L::N), acc);
            }
        }
    }
}

/// `x` `[N, I, H, W]` convolved with `weight` `[O, I, K, K]`: `[N, O, OH, OW]`.
pub fn forward(g: &Geometry, x: &[f32], weight: &[f32], epilogue: &Epilogue) -> Vec<f32> {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if super::amx::chosen(g) {
        return super::amx::forward(g, x, weight, epilogue);
    }
    if super::winograd::chosen(g) {
        return super::winograd::forward(g, x, weight, epilogue);
    }
    direct(g, x, weight, epilogue)
}

/// Every product of the sums.
pub fn direct(g: &Geometry, x: &[f32], weight: &[f32], epilogue: &Epilogue) -> Vec<f32> {
    let level = Level::best();
    let (channels, positions) = level.tile(g.outputs, g.positions());
    let padded = if g.is_product() { Cow::Borrowed(x) } else { Cow::Owned(spread(g, x)) };
    let packed = pack(weight, g, channels);
    let count = g.batch * g.outputs * g.out_height() * g.out_width();
    let mut y = Vec::with_capacity(count);
    let task = Forward { g: *g, x: &padded, weight: &packed, epilogue, y: Output(y.as_mut_ptr()) };

    // Enough tasks to balance the threads, and few enough that the packed weights are read often from the cache.
    let run = (8192 / positions) * positions;
    let runs = g.positions().div_ceil(run);
    (0..g.batch * runs).into_par_iter().for_each(|i| {
        let start = i % runs * run;
        let range = start..(start + run).min(g.positions());
        // SAFETY: `level` found the instruction set; the ranges do not overlap.
        unsafe { level.run(channels, Run { task: &task, image: i / runs, range }) };
    });
    // SAFETY: the ranges cover all positions, and every task writes all outputs of its own.
    unsafe { y.set_len(count) };
    y
}

/// The gradient with respect to the input, `[N, I, H, W]`: the output's gradient convolved with the weights turned around.
pub fn input_gradient(g: &Geometry, gradient: &[f32], weight: &[f32]) -> Vec<f32> {
    let taps = g.taps();
    let mut turned = vec![0.0; weight.len()];
    for (i, window) in weight.chunks_exact(taps).enumerate() {
        let (o, c) = (i / g.inputs, i % g.inputs);
        let to = &mut turned[(c * g.outputs + o) * taps..][..taps];
        to.iter_mut().zip(window.iter().rev()).for_each(|(to, &w)| *to = w);
    }
    let dense = g.dense();
    let spaced;
    let gradient = match g.stride {
        1 => gradient,
        // As if every window had been computed, and those between had no gradient.
        _ => {
            spaced = dilate(g, &dense, gradient);
            &spaced
        }
    };
    let padded = forward(&dense.transposed(), gradient, &turned, &Epilogue::default());
    match g.padding {
        Padding::Zeros(_) => padded,
        Padding::Reflect(_) => fold(g, &padded),
    }
}

/// The gradient of the windows of `g`, at their places among those of `dense`.
fn dilate(g: &Geometry, dense: &Geometry, gradient: &[f32]) -> Vec<f32> {
    let (width, from, to) = (dense.out_width(), g.out_height() * g.out_width(), dense.out_height() * dense.out_width());
    pieces(g.batch * g.outputs * to, to, |i, to| {
        for (y, line) in gradient[i * from..][..from].chunks_exact(g.out_width()).enumerate() {
            let to = &mut to[y * g.stride * width..][..width];
            to.iter_mut().step_by(g.stride).zip(line).for_each(|(to, &v)| *to = v);
        }
    })
}

/// Adds the gradient of mirrored pixels to that of the pixels they mirror.
fn fold(g: &Geometry, padded: &[f32]) -> Vec<f32> {
    let (size, height, width) = (g.padding.size(), g.height, g.width);
    let plane = g.padded_height() * g.padded_width();
    pieces(g.batch * g.inputs * height * width, height * width, |i, to| {
        for (y, line) in padded[i * plane..][..plane].chunks_exact(g.padded_width()).enumerate() {
            let to = &mut to[mirrored(y, size, height) * width..][..width];
            let (left, rest) = line.split_at(size);
            let (middle, right) = rest.split_at(width);
            to.iter_mut().zip(middle).for_each(|(to, v)| *to += v);
            left.iter().enumerate().for_each(|(x, v)| to[size - x] += v);
            right.iter().enumerate().for_each(|(x, v)| to[width - 2 - x] += v);
        }
    })
}

/// Rows x columns of the register tile of the weight gradient.
const ROWS: usize = 4;
/// Rows of a task: they share what it reads.
const TASK_ROWS: usize = 4 * ROWS;
/// Positions of a pass of a task: 64 channels of them stay in a second-level cache. Without passes every four rows read the whole
/// picture anew, and in style transfer weight gradients and Gram matrices took 18 % of the threads' time.
const PASS: usize = 2048;

/// Adds the weight gradient of some output channels from one picture: dot products of planes, one for every tap.
///
/// # Safety
/// `L`'s instruction set is there; `gradient` holds planes of `length` (a multiple of 16, as `PASS` is), as many as `out` has rows,
/// and `x` the padded channels of the same picture with slack.
#[inline(always)]
unsafe fn weight_rows<L: Lanes, const COLUMNS: usize>(g: &Geometry, x: &[f32], gradient: &[f32], length: usize, out: &mut [f32]) {
    let (taps, channel) = (g.taps(), g.channel());
    let offsets = g.tap_offsets();
    let columns = g.inputs * taps;
    for pass in (0..length).step_by(PASS) {
        let positions = pass..(pass + PASS).min(length);
        for (tile, out) in out.chunks_mut(ROWS * columns).enumerate() {
            let rows = out.len() / columns;
            // A missing row or column repeats the last one: computed, not stored.
            let from_row = |r: usize| gradient[(tile * ROWS + r.min(rows - 1)) * length..].as_ptr();
            let row_start: [*const f32; ROWS] = std::array::from_fn(from_row);
            for first in (0..columns).step_by(COLUMNS) {
                let column_start: [*const f32; COLUMNS] = std::array::from_fn(|j| {
                    let column = (first + j).min(columns - 1);
                    x[column / taps * channel + offsets[column % taps]..].as_ptr()
                });
                // SAFETY: `length` is at most the positions rounded up to a vector, and the last tap ends inside the plane plus slack.
                unsafe {
                    let mut acc = [[L::splat(0.0); COLUMNS]; ROWS];
                    for at in positions.clone().step_by(L::N) {
                        let mut v = [L::splat(0.0); COLUMNS];
                        for (v, start) in v.iter_mut().zip(&column_start) {
                            *v = L::load(start.add(at));
                        }
                        for (acc, start) in acc.iter_mut().zip(&row_start) {
                            let r = L::load(start.add(at));
                            for j in 0..COLUMNS {
                                acc[j] = L::mul_add(r, v[j], acc[j]);
                            }
                        }
                    }
                    for (r, acc) in acc.iter().enumerate().take(rows) {
                        for (j, &acc) in acc.iter().enumerate().take(columns - first) {
                            out[r * columns + first + j] += L::sum(acc);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn weight_rows_avx512(g: &Geometry, x: &[f32], gradient: &[f32], length: usize, out: &mut [f32]) {
    unsafe { weight_rows::<super::lanes::Avx512, 6>(g, x, gradient, length, out) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn weight_rows_avx2(g: &Geometry, x: &[f32], gradient: &[f32], length: usize, out: &mut [f32]) {
    unsafe { weight_rows::<super::lanes::Avx2, 3>(g, x, gradient, length, out) }
}

/// The gradient with respect to the weights, `[O, I, K, K]`. The same whatever the number of threads: every picture's share is
/// computed by itself and the shares are added in order.
pub fn weight_gradient(g: &Geometry, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if super::amx::chosen(g) {
        return super::amx::weight_gradient(g, x, gradient);
    }
    let level = Level::best();
    let length = g.positions().next_multiple_of(16);
    // Whole vectors of pixels without a border are read where they are.
    let in_place = g.is_product() && length == g.positions();
    let padded = if in_place { Cow::Borrowed(x) } else { Cow::Owned(spread(g, x)) };
    let gradient = match in_place {
        true => Cow::Borrowed(gradient),
        false => Cow::Owned(apart(gradient, g.out_height(), g.out_width(), g.row(), length)),
    };
    let columns = g.inputs * g.taps();

    let mut shares = vec![0.0; g.batch * g.outputs * columns];
    let per_image = shares.par_chunks_mut(g.outputs * columns).enumerate();
    per_image.for_each(|(image, share)| {
        let x = &padded[image * g.inputs * g.channel()..];
        let gradient = &gradient[image * g.outputs * length..];
        share.par_chunks_mut(TASK_ROWS * columns).enumerate().for_each(|(task, out)| {
            let gradient = &gradient[task * TASK_ROWS * length..];
            // SAFETY: `level` found the instruction set; lengths as documented.
            unsafe {
                match level {
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512 => weight_rows_avx512(g, x, gradient, length, out),
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => weight_rows_avx2(g, x, gradient, length, out),
                    #[cfg(target_arch = "wasm32")]
                    Level::Simd128 => weight_rows::<super::lanes::Simd128, 2>(g, x, gradient, length, out),
                    Level::Portable => weight_rows::<Portable, 2>(g, x, gradient, length, out),
                }
            }
        });
    });
    total(shares, g.outputs * columns)
}

/// The sum of shares of `size` values, in their order.
pub fn total(mut shares: Vec<f32>, size: usize) -> Vec<f32> {
    let (total, rest) = shares.split_at_mut(size);
    for share in rest.chunks_exact(size) {
        total.iter_mut().zip(share).for_each(|(total, share)| *total += share);
    }
    shares.truncate(size);
    shares
}
