//! Convolution, computed directly: no im2col, no packing of the picture.
//!
//! Every channel is copied once into a plane with its border; with a stride, into one plane for every remainder of the position,
//! so that neighbouring windows are neighbours in memory again. In that plane a tap `(ky, kx)` of the window is a constant
//! distance, so a run of output positions times one weight is a run of loads, wherever rows end; the few positions between rows
//! are computed and dropped. A register tile of `CO` output channels x `PX` vectors of positions stays in registers over the
//! whole sum. Measured on 2 cores with AVX-512, batch 16 of 48x48, 64 to 64 channels: see ARCHITECTURE.md.
//!
//! # Safety
//! Unsafe for the vector loads. [`Padded`] has `SLACK` spare elements behind its last plane, and no tile reads further than that.
#![allow(unsafe_code)]

use rayon::prelude::*;

use super::lanes::{Lanes, Portable};
use crate::tensor::Padding;

/// Spare elements behind the last plane: the widest tile, 2 vectors of 16, and as much again.
const SLACK: usize = 64;

/// The largest number of taps of a window, 11 x 11.
pub const MAX_TAPS: usize = 121;

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct Geometry {
    pub batch: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub height: usize,
    pub width: usize,
    pub kernel: usize,
    /// At most `kernel`.
    pub stride: usize,
    /// Less than `kernel`.
    pub padding: Padding,
}

impl Geometry {
    pub fn out_height(&self) -> usize {
        (self.padded_height() - self.kernel) / self.stride + 1
    }
    pub fn out_width(&self) -> usize {
        (self.padded_width() - self.kernel) / self.stride + 1
    }
    fn padded_height(&self) -> usize {
        self.height + 2 * self.padding.size()
    }
    fn padded_width(&self) -> usize {
        self.width + 2 * self.padding.size()
    }
    fn taps(&self) -> usize {
        self.kernel * self.kernel
    }
    /// Length of a row of a plane: the stride of the flat positions.
    fn row(&self) -> usize {
        self.padded_width().div_ceil(self.stride)
    }
    /// Length of one of a channel's `stride * stride` planes.
    fn plane(&self) -> usize {
        self.padded_height().div_ceil(self.stride) * self.row()
    }
    fn channel(&self) -> usize {
        self.stride * self.stride * self.plane()
    }
    /// Flat positions that hold outputs, those between rows included.
    fn positions(&self) -> usize {
        (self.out_height() - 1) * self.row() + self.out_width()
    }
    /// The distance of every tap from its output position.
    fn tap_offsets(&self) -> [usize; MAX_TAPS] {
        let mut offsets = [0; MAX_TAPS];
        let (k, s) = (self.kernel, self.stride);
        for (tap, offset) in offsets.iter_mut().enumerate().take(self.taps()) {
            let (y, x) = (tap / k, tap % k);
            *offset = (y % s * s + x % s) * self.plane() + y / s * self.row() + x / s;
        }
        offsets
    }
    /// The convolution of stride 1 over all windows, padded with zeros; where the border is a mirror, over the padded input.
    fn dense(&self) -> Self {
        match self.padding {
            Padding::Zeros(_) => Self { stride: 1, ..*self },
            Padding::Reflect(_) => {
                Self { height: self.padded_height(), width: self.padded_width(), stride: 1, padding: Padding::Zeros(0), ..*self }
            }
        }
    }
    /// The geometry of the gradient with respect to the input of a [`Geometry::dense`] one: a convolution of the output's
    /// gradient.
    fn transposed(&self) -> Self {
        Self {
            inputs: self.outputs,
            outputs: self.inputs,
            height: self.out_height(),
            width: self.out_width(),
            padding: Padding::Zeros(self.kernel - 1 - self.padding.size()),
            ..*self
        }
    }
}

/// The index in `0..length` that padded index `i` mirrors, with `padding < length` mirrored elements at each end.
pub fn mirrored(i: usize, padding: usize, length: usize) -> usize {
    let from_start = i.abs_diff(padding);
    from_start.min((2 * (length - 1)).abs_diff(from_start))
}

/// The input with its border, every channel as `stride * stride` planes: plane `(i, j)` holds the rows `i`, `i + stride`, .. and
/// of them the columns `j`, `j + stride`, .. .
fn spread(g: &Geometry, x: &[f32]) -> Vec<f32> {
    let (height, width, channel, row) = (g.height, g.width, g.channel(), g.row());
    let mut out = vec![0.0; g.batch * g.inputs * channel + SLACK];
    let targets = out[..g.batch * g.inputs * channel].par_chunks_mut(channel);
    targets.zip(x.par_chunks(height * width)).for_each(|(to, from)| {
        let (size, s) = (g.padding.size(), g.stride);
        let reflect = matches!(g.padding, Padding::Reflect(_));
        let (rows, columns) = match reflect {
            true => (0..g.padded_height(), 0..g.padded_width()),
            false => (size..size + height, size..size + width),
        };
        for y in rows {
            let line = &from[mirrored(y, size, height) * width..][..width];
            let to = &mut to[y % s * s * g.plane() + y / s * row..];
            let mut fill = |x: usize| to[x % s * g.plane() + x / s] = line[mirrored(x, size, width)];
            if s == 1 {
                // Only mirrored borders are left; where they are zeros there are none.
                (columns.start..size).chain(size + width..columns.end).for_each(&mut fill);
                to[size..size + width].copy_from_slice(line);
            } else {
                columns.clone().for_each(fill);
            }
        }
    });
    out
}

/// Planes of `height` x `width` as planes of `length` elements with rows `row` apart, zeros between.
fn apart(x: &[f32], height: usize, width: usize, row: usize, length: usize) -> Vec<f32> {
    let planes = x.len() / (height * width);
    let mut out = vec![0.0; planes * length + SLACK];
    let targets = out[..planes * length].par_chunks_mut(length);
    targets.zip(x.par_chunks(height * width)).for_each(|(to, from)| {
        for (y, line) in from.chunks_exact(width).enumerate() {
            to[y * row..y * row + width].copy_from_slice(line);
        }
    });
    out
}

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
    x: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    y: Output,
}

/// The output, written by many tasks at disjoint places.
#[derive(Clone, Copy)]
struct Output(*mut f32);
// SAFETY: tasks write disjoint positions, and the vector outlives them (`forward` joins all before it returns).
unsafe impl Send for Output {}
unsafe impl Sync for Output {}

impl Forward<'_> {
    /// All output channels of the positions `range` of one picture of the batch.
    ///
    /// # Safety
    /// `L`'s instruction set is there; `range` lies in `0..positions()`, and no other task has it.
    #[inline(always)]
    unsafe fn run<L: Lanes, const CO: usize, const PX: usize>(&self, image: usize, range: std::ops::Range<usize>) {
        let g = &self.g;
        let (taps, channel_size, row, out_width) = (g.taps(), g.channel(), g.row(), g.out_width());
        let out_plane = g.out_height() * out_width;
        let offsets = g.tap_offsets();
        let width = PX * L::N;
        let mut buffer = [[0.0f32; 32]; CO];
        debug_assert!(width <= 32);
        let x = &self.x[image * g.inputs * channel_size..];
        let mut start = range.start;
        while start < range.end {
            let count = width.min(range.end - start);
            for (tile, weight) in self.weight.chunks_exact(g.inputs * taps * CO).enumerate() {
                let first = tile * CO;
                // SAFETY: the furthest load is plane inputs - 1, position end - 1 + (K - 1) rows + K - 1, which is inside the
                // plane, plus less than `width` <= SLACK.
                unsafe {
                    let mut acc = [[L::splat(0.0); PX]; CO];
                    if let Some(bias) = self.bias {
                        for (c, acc) in acc.iter_mut().enumerate() {
                            *acc = [L::splat(bias.get(first + c).copied().unwrap_or(0.0)); PX];
                        }
                    }
                    let mut w = weight.as_ptr();
                    for channel in 0..g.inputs {
                        let at = x.as_ptr().add(channel * channel_size + start);
                        for &offset in &offsets[..taps] {
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
                    for (buffer, acc) in buffer.iter_mut().zip(&acc) {
                        for (p, &acc) in acc.iter().enumerate() {
                            L::store(buffer.as_mut_ptr().add(p * L::N), acc);
                        }
                    }
                }
                // Drop what lies between rows.
                let channels = CO.min(g.outputs - first);
                let mut at = start;
                while at < start + count {
                    let (oy, ox) = (at / row, at % row);
                    let run = (row - ox).min(start + count - at);
                    let keep = run.min(out_width.saturating_sub(ox));
                    for (c, buffer) in buffer.iter().enumerate().take(channels) {
                        let to = (image * g.outputs + first + c) * out_plane + oy * out_width + ox;
                        // SAFETY: `to + keep` is inside channel `first + c` of this picture; the ranges of tasks are disjoint.
                        unsafe { std::ptr::copy_nonoverlapping(buffer.as_ptr().add(at - start), self.y.0.add(to), keep) };
                    }
                    at += run;
                }
            }
            start += width;
        }
    }
}

/// The instruction set, and with it the register tile.
#[derive(Clone, Copy)]
enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "wasm32")]
    Simd128,
    #[allow(dead_code)] // not on wasm, where simd128 is part of the build
    Portable,
}

fn level() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            return Level::Avx512;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Level::Avx2;
        }
        Level::Portable
    }
    #[cfg(target_arch = "wasm32")]
    {
        Level::Simd128
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "wasm32")))]
    {
        Level::Portable
    }
}

impl Level {
    /// Output channels of a register tile: 12 x 2 of 32 registers with AVX-512, 6 x 2 of 16 with AVX2, 4 x 2 elsewhere. On wasm a
    /// tile of 4 x 3 would fit in 16 registers too, but V8 spills it: 28 GFLOP/s instead of 51. Relaxed SIMD's fused product gave
    /// 53 with its best tile, 3 x 3, not enough for a second build of the page.
    fn outputs(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 12,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 6,
            _ => 4,
        }
    }

    /// Positions of a register tile.
    fn positions(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 32,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 16,
            _ => 8,
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn forward_avx512(task: &Forward, image: usize, range: std::ops::Range<usize>) {
    unsafe { task.run::<super::lanes::Avx512, 12, 2>(image, range) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn forward_avx2(task: &Forward, image: usize, range: std::ops::Range<usize>) {
    unsafe { task.run::<super::lanes::Avx2, 6, 2>(image, range) }
}

/// `x` `[N, I, H, W]` convolved with `weight` `[O, I, K, K]`: `[N, O, OH, OW]`.
pub fn forward(g: &Geometry, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let level = level();
    let padded = spread(g, x);
    let packed = pack(weight, g, level.outputs());
    let mut y = vec![0.0; g.batch * g.outputs * g.out_height() * g.out_width()];
    let task = Forward { g: *g, x: &padded, weight: &packed, bias, y: Output(y.as_mut_ptr()) };

    // Enough tasks to balance the threads, and few enough that the packed weights are read often from the cache.
    let run = (8192 / level.positions()) * level.positions();
    let runs = g.positions().div_ceil(run);
    (0..g.batch * runs).into_par_iter().for_each(|i| {
        let start = i % runs * run;
        let range = start..(start + run).min(g.positions());
        // SAFETY: `level` found the instruction set; the ranges do not overlap.
        unsafe {
            match level {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => forward_avx512(&task, i / runs, range),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => forward_avx2(&task, i / runs, range),
                #[cfg(target_arch = "wasm32")]
                Level::Simd128 => task.run::<super::lanes::Simd128, 4, 2>(i / runs, range),
                Level::Portable => task.run::<Portable, 4, 2>(i / runs, range),
            }
        }
    });
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
    let padded = forward(&dense.transposed(), gradient, &turned, None);
    match g.padding {
        Padding::Zeros(_) => padded,
        Padding::Reflect(_) => fold(g, &padded),
    }
}

/// The gradient of the windows of `g`, at their places among those of `dense`.
fn dilate(g: &Geometry, dense: &Geometry, gradient: &[f32]) -> Vec<f32> {
    let (width, from, to) = (dense.out_width(), g.out_height() * g.out_width(), dense.out_height() * dense.out_width());
    let mut out = vec![0.0; g.batch * g.outputs * to];
    out.par_chunks_mut(to).zip(gradient.par_chunks(from)).for_each(|(to, from)| {
        for (y, line) in from.chunks_exact(g.out_width()).enumerate() {
            let to = &mut to[y * g.stride * width..][..width];
            to.iter_mut().step_by(g.stride).zip(line).for_each(|(to, &v)| *to = v);
        }
    });
    out
}

/// Adds the gradient of mirrored pixels to that of the pixels they mirror.
fn fold(g: &Geometry, padded: &[f32]) -> Vec<f32> {
    let (size, height, width) = (g.padding.size(), g.height, g.width);
    let mut out = vec![0.0; g.batch * g.inputs * height * width];
    let planes = padded.par_chunks(g.padded_height() * g.padded_width());
    out.par_chunks_mut(height * width).zip(planes).for_each(|(to, from)| {
        for (y, line) in from.chunks_exact(g.padded_width()).enumerate() {
            let to = &mut to[mirrored(y, size, height) * width..][..width];
            line.iter().enumerate().for_each(|(x, v)| to[mirrored(x, size, width)] += v);
        }
    });
    out
}

/// Rows x columns of the register tile of the weight gradient.
const ROWS: usize = 4;

/// The weight gradient of `ROWS` output channels from one picture: dot products of planes, one for every tap.
///
/// # Safety
/// `L`'s instruction set is there; `gradient` holds `rows` planes of `length` (a multiple of `L::N`) and `x` the padded
/// channels of the same picture with slack.
#[inline(always)]
unsafe fn weight_rows<L: Lanes, const COLUMNS: usize>(
    g: &Geometry,
    x: &[f32],
    gradient: &[f32],
    length: usize,
    rows: usize,
    out: &mut [f32],
) {
    let (taps, channel) = (g.taps(), g.channel());
    let offsets = g.tap_offsets();
    let columns = g.inputs * taps;
    // A missing row or column repeats the last one: computed, not stored.
    let from_row = |r: usize| gradient[r.min(rows - 1) * length..].as_ptr();
    let row_start: [*const f32; ROWS] = std::array::from_fn(from_row);
    for first in (0..columns).step_by(COLUMNS) {
        let column_start: [*const f32; COLUMNS] = std::array::from_fn(|j| {
            let column = (first + j).min(columns - 1);
            x[column / taps * channel + offsets[column % taps]..].as_ptr()
        });
        // SAFETY: `length` is at most the positions rounded up to a vector, and the last tap ends inside the plane plus slack.
        unsafe {
            let mut acc = [[L::splat(0.0); COLUMNS]; ROWS];
            for at in (0..length).step_by(L::N) {
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
                    out[r * columns + first + j] = L::sum(acc);
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn weight_rows_avx512(g: &Geometry, x: &[f32], gradient: &[f32], length: usize, rows: usize, out: &mut [f32]) {
    unsafe { weight_rows::<super::lanes::Avx512, 6>(g, x, gradient, length, rows, out) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn weight_rows_avx2(g: &Geometry, x: &[f32], gradient: &[f32], length: usize, rows: usize, out: &mut [f32]) {
    unsafe { weight_rows::<super::lanes::Avx2, 3>(g, x, gradient, length, rows, out) }
}

/// The gradient with respect to the weights, `[O, I, K, K]`. The same whatever the number of threads: every picture's share is
/// computed by itself and the shares are added in order.
pub fn weight_gradient(g: &Geometry, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let level = level();
    let length = g.positions().next_multiple_of(16);
    let padded = spread(g, x);
    let gradient = apart(gradient, g.out_height(), g.out_width(), g.row(), length);
    let columns = g.inputs * g.taps();
    let tiles = g.outputs.div_ceil(ROWS);

    let mut shares = vec![0.0; g.batch * g.outputs * columns];
    let per_image = shares.par_chunks_mut(g.outputs * columns).enumerate();
    per_image.for_each(|(image, share)| {
        let x = &padded[image * g.inputs * g.channel()..];
        let gradient = &gradient[image * g.outputs * length..];
        share.par_chunks_mut(ROWS * columns).enumerate().take(tiles).for_each(|(tile, out)| {
            let rows = out.len() / columns;
            let gradient = &gradient[tile * ROWS * length..];
            // SAFETY: `level` found the instruction set; lengths as documented.
            unsafe {
                match level {
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512 => weight_rows_avx512(g, x, gradient, length, rows, out),
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => weight_rows_avx2(g, x, gradient, length, rows, out),
                    #[cfg(target_arch = "wasm32")]
                    Level::Simd128 => weight_rows::<super::lanes::Simd128, 2>(g, x, gradient, length, rows, out),
                    Level::Portable => weight_rows::<Portable, 2>(g, x, gradient, length, rows, out),
                }
            }
        });
    });
    let (total, rest) = shares.split_at_mut(g.outputs * columns);
    for share in rest.chunks_exact(g.outputs * columns) {
        total.iter_mut().zip(share).for_each(|(t, s)| *t += s);
    }
    total.to_vec()
}
