//! Convolution with windows of 3x3 in Winograd's way, with a fourth of the multiplications (Lavin and Gray 2015, "Fast algorithms
//! for convolutional neural networks", arXiv:1509.09308; F(4x4, 3x3)).
//!
//! The output is cut into tiles of 4x4, which read 6x6. Tile, window and result are polynomials of degree 5, 2 and 3, and a
//! product of polynomials is cheap where they are known by their values: at six points, one of them infinity, in both
//! directions. So a panel of tiles is taken to its 36 values, those are multiplied, one product of matrices (outputs x inputs) x
//! (inputs x tiles) for each, and what comes out is taken back. All three work on many tiles at once, one in each lane.
//!
//! # Safety
//! Unsafe for the vector loads and for the output that many tasks write. A panel is a whole number of register tiles wide, and what
//! lies behind its last tile of outputs is computed and dropped.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::direct::{Epilogue, Output, sum_tile};
use super::lanes::{Lanes, Level, Tiled};
use super::pieces::pieces;
use super::planes::{Geometry, WIDEST, mirrored};

/// A side of a tile of outputs.
const OUT: usize = 4;
/// A side of what it reads, and points in one direction.
const IN: usize = 6;
/// The points are 0, A, -A, B, -B and infinity. With 1 and 2, as in the paper, errors of 64 channels reach 2.3e-4 where outputs are
/// about 8, with these, whose product is 1, 4.6e-5; summed directly 3.6e-5.
const A: f32 = 2.0 / 3.0;
const B: f32 = 3.0 / 2.0;
/// Values that a tile is known by.
const POINTS: usize = IN * IN;
/// The most lanes of a vector.
const MAX_LANES: usize = 16;
/// A line of a panel's tiles, in whole vectors, and what the last of them reads beyond it.
const LINE: usize = OUT * (WIDEST + MAX_LANES) + OUT * MAX_LANES;
/// Register tiles of output channels that are taken back together: what they need stays in a second-level cache.
const GROUP: usize = 4;

/// Whether this convolution is faster so. With AVX-512 eight layers of 64 to 64 channels take 6.1 ms instead of 7.2 on 24x24, but 4.4
/// instead of 3.7 on 16x16; of 12 to 12, 2.3 instead of 3.6 on 64x64; of 8 to 8, 1.6 instead of 1.3.
pub fn chosen(g: &Geometry) -> bool {
    g.kernel == 3 && g.stride == 1 && g.inputs.min(g.outputs) >= 12 && Tiles::of(g).count >= 24
}

/// How the outputs are cut into tiles.
#[derive(Clone, Copy)]
struct Tiles {
    /// Of one picture.
    rows: usize,
    columns: usize,
    /// Of the batch.
    count: usize,
}

/// Some tiles of one row of one picture, which go to the panel from tile `at` on.
struct Run {
    image: usize,
    row: usize,
    column: usize,
    count: usize,
    at: usize,
}

impl Tiles {
    fn of(g: &Geometry) -> Self {
        let (rows, columns) = (g.out_height().div_ceil(OUT), g.out_width().div_ceil(OUT));
        Self { rows, columns, count: g.batch * rows * columns }
    }

    fn runs(self, range: Range<usize>) -> Vec<Run> {
        let mut runs = Vec::new();
        let mut next = range.start;
        while next < range.end {
            let (line, column) = (next / self.columns, next % self.columns);
            let count = (self.columns - column).min(range.end - next);
            runs.push(Run { image: line / self.rows, row: line % self.rows, column, count, at: next - range.start });
            next += count;
        }
        runs
    }
}

/// The values of a row of a tile at the points.
#[inline(always)]
unsafe fn tile_points<L: Lanes>(d: [L::V; IN]) -> [L::V; IN] {
    // SAFETY: `L`'s instruction set is there.
    unsafe {
        let times = |factor: f32, a| L::mul(L::splat(factor), a);
        let plus = |a, factor: f32, b| L::mul_add(L::splat(factor), b, a);
        let (near_even, near_odd) = (plus(d[4], -B * B, d[2]), plus(times(-B, d[1]), A, d[3]));
        let (far_even, far_odd) = (plus(d[4], -A * A, d[2]), plus(times(-A, d[1]), B, d[3]));
        [
            plus(L::add(d[0], d[4]), -A * A - B * B, d[2]),
            L::add(near_even, near_odd),
            L::sub(near_even, near_odd),
            L::add(far_even, far_odd),
            L::sub(far_even, far_odd),
            plus(L::add(d[1], d[5]), -A * A - B * B, d[3]),
        ]
    }
}

/// A row of outputs from its values at the points.
#[inline(always)]
unsafe fn outputs<L: Lanes>(m: [L::V; IN]) -> [L::V; OUT] {
    // SAFETY: `L`'s instruction set is there.
    unsafe {
        let times = |factor: f32, a| L::mul(L::splat(factor), a);
        let plus = |a, factor: f32, b| L::mul_add(L::splat(factor), b, a);
        let (near_even, near_odd) = (L::add(m[1], m[2]), L::sub(m[1], m[2]));
        let (far_even, far_odd) = (L::add(m[3], m[4]), L::sub(m[3], m[4]));
        [
            L::add(L::add(m[0], near_even), far_even),
            plus(times(A, near_odd), B, far_odd),
            plus(times(A * A, near_even), B * B, far_even),
            plus(plus(m[5], A * A * A, near_odd), B * B * B, far_odd),
        ]
    }
}

/// The values of a row of a window at the points.
#[inline(always)]
unsafe fn window_points<L: Lanes>([a, b, c]: [L::V; 3]) -> [L::V; IN] {
    // Divided by what the tile's values are too large.
    const NEAR: f32 = 1.0 / (2.0 * A * A * (A * A - B * B));
    const FAR: f32 = 1.0 / (2.0 * B * B * (B * B - A * A));
    // SAFETY: `L`'s instruction set is there.
    unsafe {
        let times = |factor: f32, a| L::mul(L::splat(factor), a);
        let even = |square: f32, scale: f32| times(scale, L::mul_add(L::splat(square), c, a));
        let (near_even, near_odd) = (even(A * A, NEAR), times(A * NEAR, b));
        let (far_even, far_odd) = (even(B * B, FAR), times(B * FAR, b));
        [a, L::add(near_even, near_odd), L::sub(near_even, near_odd), L::add(far_even, far_odd), L::sub(far_even, far_odd), c]
    }
}

/// Weights `[O, I, 3, 3]` at the points, for one register tile of output channels: `[36, I, CO]`, zeros behind the last output.
struct Pack<'a> {
    g: &'a Geometry,
    weight: &'a [f32],
    /// Which register tile.
    number: usize,
    to: &'a mut [f32],
}

impl Tiled for Pack<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes, const CO: usize, const PX: usize>(self) {
        let Self { g, weight, number, to } = self;
        // All its outputs are lanes of one vector, on every machine.
        const { assert!(CO <= L::N && L::N <= MAX_LANES) };
        let outputs = number * CO..g.outputs.min((number + 1) * CO);
        let (mut windows, mut values) = ([[0.0; MAX_LANES]; 9], [0.0; MAX_LANES]);
        for input in 0..g.inputs {
            for (lane, output) in outputs.clone().enumerate() {
                let window = &weight[(output * g.inputs + input) * 9..][..9];
                windows.iter_mut().zip(window).for_each(|(lanes, &w)| lanes[lane] = w);
            }
            // SAFETY: the caller's; vectors are at most `MAX_LANES` long.
            unsafe {
                let row = |y: usize| window_points::<L>(std::array::from_fn(|x| L::load(windows[3 * y + x].as_ptr())));
                let rows = [row(0), row(1), row(2)];
                for x in 0..IN {
                    for (y, value) in window_points::<L>(rows.map(|row| row[x])).into_iter().enumerate() {
                        L::store(values.as_mut_ptr(), value);
                        to[((y * IN + x) * g.inputs + input) * CO..][..CO].copy_from_slice(&values[..CO]);
                    }
                }
            }
        }
    }
}

/// Everything that the tasks read.
struct Forward<'a> {
    g: Geometry,
    tiles: Tiles,
    /// Tiles of a panel.
    panel: usize,
    x: &'a [f32],
    /// Packed.
    weight: &'a [f32],
    epilogue: &'a Epilogue<'a>,
    y: Output,
}

/// What a thread writes on its way, for every panel anew.
struct Scratch {
    /// A line of pixels.
    line: [f32; LINE],
    /// One channel of a panel: its tiles' rows at the points, `[36, pitch]`, or its tiles' outputs, `[16, pitch]`. The pitch is a
    /// panel and a spare vector.
    tiles: Vec<f32>,
    /// A panel at the points, `[36, I, panel]`.
    points: Vec<f32>,
    /// Products at the points, `[36, GROUP * CO, panel]`.
    products: Vec<f32>,
}

thread_local! {
    /// Kept, because clearing it anew for every few panels was 5 % of a step of style transfer.
    static SCRATCH: RefCell<Scratch> =
        const { RefCell::new(Scratch { line: [0.0; LINE], tiles: Vec::new(), points: Vec::new(), products: Vec::new() }) };
}

impl Scratch {
    /// Makes room.
    fn grow(&mut self, task: &Forward, co: usize) {
        let grow = |values: &mut Vec<f32>, length| values.resize(values.len().max(length), 0.0);
        grow(&mut self.tiles, POINTS * (task.panel + MAX_LANES));
        grow(&mut self.points, POINTS * task.g.inputs * task.panel);
        grow(&mut self.products, POINTS * GROUP * co * task.panel);
    }
}

/// All output channels of the tiles `range`, no more than a panel. No other task has them.
struct Panel<'a> {
    task: &'a Forward<'a>,
    range: Range<usize>,
    scratch: &'a mut Scratch,
}

impl Tiled for Panel<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes, const CO: usize, const PX: usize>(self) {
        let Self { task, range, scratch } = self;
        scratch.grow(task, CO);
        let (g, width, panel) = (&task.g, PX * L::N, task.panel);
        let used = range.len().next_multiple_of(width);
        let runs = task.tiles.runs(range);
        for channel in 0..g.inputs {
            // SAFETY: 36 rows are in `tiles`, whose overwritten tiles belong to the next run or to none, and as many,
            // `inputs * panel` apart, in `points`.
            unsafe {
                runs.iter().for_each(|run| task.gather::<L>(channel, run, &mut scratch.line, &mut scratch.tiles));
                task.to_points::<L>(used, &scratch.tiles, scratch.points[channel * panel..].as_mut_ptr());
            }
        }
        let group = GROUP * CO * panel;
        let weights_of_tile = POINTS * g.inputs * CO;
        for (first, weights) in task.weight.chunks(GROUP * weights_of_tile).enumerate() {
            // The group's register tiles take turns at a point, because they read the same of it.
            for point in 0..POINTS {
                for (tile, weights) in weights.chunks_exact(weights_of_tile).enumerate() {
                    let weights = &weights[point * g.inputs * CO..];
                    for start in (0..used).step_by(width) {
                        let from = scratch.points[point * g.inputs * panel + start..].as_ptr();
                        let to = scratch.products[point * group + tile * CO * panel + start..].as_mut_ptr();
                        // SAFETY: `panel` is a multiple of `width`; `inputs` rows of it are read, and `CO` written.
                        unsafe { sum_tile::<L, CO, PX>(g.inputs, from, panel, &[0], weights.as_ptr(), |_| 0.0, to, panel) };
                    }
                }
            }
            let first = first * GROUP * CO;
            for channel in 0..(g.outputs - first).min(GROUP * CO) {
                // SAFETY: as above; the tiles are this task's.
                unsafe {
                    task.to_outputs::<L>(used, scratch.products[channel * panel..].as_ptr(), group, &mut scratch.tiles);
                    task.finish(first + channel, &mut scratch.tiles[..OUT * OUT * task.pitch()]);
                    runs.iter().for_each(|run| task.store::<L>(first + channel, run, &mut scratch.line, &scratch.tiles));
                }
            }
        }
    }
}

impl Forward<'_> {
    fn pitch(&self) -> usize {
        self.panel + MAX_LANES
    }

    /// One channel of some tiles, whose rows are taken to the points: `[36, pitch]`, a tile is a column.
    ///
    /// # Safety
    /// `L`'s instruction set is there. Behind the last tile of each row of `rows`, a vector of others is overwritten.
    #[inline(always)]
    unsafe fn gather<L: Lanes>(&self, channel: usize, run: &Run, line: &mut [f32; LINE], rows: &mut [f32]) {
        let (g, size) = (&self.g, self.g.padding.size());
        let plane = &self.x[(run.image * g.inputs + channel) * g.height * g.width..][..g.height * g.width];
        let (first, length) = (OUT * run.column, OUT * run.count + IN - OUT);
        let (left, start) = (size.saturating_sub(first), first.saturating_sub(size));
        let middle = g.width.saturating_sub(start).min(length - left);
        let pitch = self.pitch();
        for (row, to) in rows[run.at..].chunks_mut(IN * pitch).enumerate().take(IN) {
            // What is below the last row and right of the last column concerns no output that is kept.
            let y = OUT * run.row + row;
            let y = match g.mirrors() {
                true => mirrored(y.min(g.padded_height() - 1), size, g.height),
                false => y.wrapping_sub(size),
            };
            match plane.get(y.saturating_mul(g.width)..y.saturating_add(1).saturating_mul(g.width)) {
                Some(from) => {
                    line[left..left + middle].copy_from_slice(&from[start..start + middle]);
                    for i in (0..left).chain(left + middle..length) {
                        line[i] = match g.mirrors() {
                            true => from[mirrored((first + i).min(g.padded_width() - 1), size, g.width)],
                            false => 0.0,
                        };
                    }
                }
                None => line[..length].fill(0.0),
            }
            for at in (0..run.count).step_by(L::N) {
                // SAFETY: `LINE` has room for whole vectors of tiles and what the last reads; the rest is the caller's.
                unsafe {
                    let from = line.as_ptr().add(OUT * at);
                    let ([a, b, c, d], [e, f, ..]) = (L::load_fours(from), L::load_fours(from.add(OUT)));
                    for (x, value) in tile_points::<L>([a, b, c, d, e, f]).into_iter().enumerate() {
                        L::store(to.as_mut_ptr().add(x * pitch + at), value);
                    }
                }
            }
        }
    }

    /// Writes one channel of some tiles, `[16, pitch]`, to the output.
    ///
    /// # Safety
    /// `L`'s instruction set is there; no other task has these tiles. Behind the last one, a vector of others is read.
    #[inline(always)]
    unsafe fn store<L: Lanes>(&self, channel: usize, run: &Run, line: &mut [f32; LINE], tiles: &[f32]) {
        let (g, height, width) = (&self.g, self.g.out_height(), self.g.out_width());
        let pitch = self.pitch();
        let keep = (OUT * run.count).min(width - OUT * run.column);
        for (row, tiles) in tiles[run.at..].chunks(OUT * pitch).enumerate().take(OUT.min(height - OUT * run.row)) {
            let to = ((run.image * g.outputs + channel) * height + OUT * run.row + row) * width + OUT * run.column;
            // SAFETY: `LINE` has room for whole vectors of tiles; `keep` pixels are in the row, and this task's.
            unsafe {
                for at in (0..run.count).step_by(L::N) {
                    let columns = std::array::from_fn(|x| L::load(tiles.as_ptr().add(x * pitch + at)));
                    L::store_fours(line.as_mut_ptr().add(OUT * at), columns);
                }
                std::ptr::copy_nonoverlapping(line.as_ptr(), self.y.0.add(to), keep);
            }
        }
    }

    /// The values at the points of a channel's tiles, from those of their rows, `[36, pitch]`; rows of the result are `inputs * panel`
    /// apart.
    ///
    /// # Safety
    /// `L`'s instruction set is there; `used` tiles are whole vectors of a panel; 36 rows can be written.
    #[inline(always)]
    unsafe fn to_points<L: Lanes>(&self, used: usize, rows: &[f32], to: *mut f32) {
        let (pitch, distance) = (self.pitch(), self.g.inputs * self.panel);
        for at in (0..used).step_by(L::N) {
            for x in 0..IN {
                // SAFETY: the caller's.
                unsafe {
                    let from = rows.as_ptr().add(x * pitch + at);
                    let column = tile_points::<L>(std::array::from_fn(|y| L::load(from.add(y * IN * pitch))));
                    for (y, value) in column.into_iter().enumerate() {
                        L::store(to.add((y * IN + x) * distance + at), value);
                    }
                }
            }
        }
    }

    /// A channel's tiles of outputs, `[16, pitch]`, from their values at the points, whose rows are `distance` apart.
    ///
    /// # Safety
    /// As for `to_points`; 36 rows can be read.
    #[inline(always)]
    unsafe fn to_outputs<L: Lanes>(&self, used: usize, from: *const f32, distance: usize, to: &mut [f32]) {
        let pitch = self.pitch();
        for at in (0..used).step_by(L::N) {
            // SAFETY: the caller's.
            unsafe {
                let mut rows = [[L::splat(0.0); OUT]; IN];
                for (y, row) in rows.iter_mut().enumerate() {
                    *row = outputs::<L>(std::array::from_fn(|x| L::load(from.add((y * IN + x) * distance + at))));
                }
                for x in 0..OUT {
                    let column = outputs::<L>(std::array::from_fn(|y| rows[y][x]));
                    for (y, value) in column.into_iter().enumerate() {
                        L::store(to.as_mut_ptr().add((y * OUT + x) * pitch + at), value);
                    }
                }
            }
        }
    }

    /// What becomes of the sums of one channel.
    #[inline(always)]
    fn finish(&self, channel: usize, sums: &mut [f32]) {
        let bias = self.epilogue.bias_of(channel);
        match self.epilogue.slope {
            None => sums.iter_mut().for_each(|y| *y += bias),
            Some(slope) => sums.iter_mut().for_each(|y| *y = if *y + bias > 0.0 { *y + bias } else { slope * (*y + bias) }),
        }
    }
}

/// As `direct::forward`, where [`chosen`].
pub fn forward(g: &Geometry, x: &[f32], weight: &[f32], epilogue: &Epilogue) -> Vec<f32> {
    forward_at(Level::best(), g, x, weight, epilogue)
}

fn forward_at(level: Level, g: &Geometry, x: &[f32], weight: &[f32], epilogue: &Epilogue) -> Vec<f32> {
    let tiles = Tiles::of(g);
    let (channels, width) = level.tile(g.outputs, tiles.count);
    let panel = width * (32 / width).max(1);
    let tile = POINTS * g.inputs * channels;
    let packed = pieces(g.outputs.div_ceil(channels) * tile, tile, |number, to| {
        // SAFETY: the machine has `level`.
        unsafe { level.run(channels, Pack { g, weight, number, to }) }
    });
    let count = g.batch * g.outputs * g.out_height() * g.out_width();
    let mut y = Vec::with_capacity(count);
    let task = Forward { g: *g, tiles, panel, x, weight: &packed, epilogue, y: Output(y.as_mut_ptr()) };
    (0..tiles.count.div_ceil(panel)).into_par_iter().for_each(|i| {
        let range = i * panel..((i + 1) * panel).min(tiles.count);
        // Not inside of what `level` runs: a closure there would be compiled without its instruction set.
        SCRATCH.with_borrow_mut(|scratch| {
            // SAFETY: the machine has `level`; the ranges do not overlap.
            unsafe { level.run(channels, Panel { task: &task, range, scratch }) }
        });
    });
    // SAFETY: the ranges cover all tiles, and every task writes all outputs of its own.
    unsafe { y.set_len(count) };
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::candle::direct;
    use crate::engine::candle::planes::random;
    use crate::tensor::Padding;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Odd sizes, tiles that are cut off, channels that fill no register tile, all borders, all instruction sets.
        #[test]
        fn equals_direct(
            batch in 1usize..3, inputs in 1usize..20, outputs in 1usize..40, height in 3usize..20, width in 3usize..70,
            size in 0usize..3, reflect: bool, slope in prop_oneof![Just(None), Just(Some(0.1f32))], seed: u32
        ) {
            let padding = if reflect { Padding::Reflect(size) } else { Padding::Zeros(size) };
            let g = Geometry { batch, inputs, outputs, height, width, kernel: 3, stride: 1, padding };
            let mut random = random(seed);
            let (x, weight, bias) = (random(batch * inputs * height * width), random(outputs * inputs * 9), random(outputs));
            let epilogue = Epilogue { bias: Some(&bias), slope };
            let wanted = direct::direct(&g, &x, &weight, &epilogue);
            for level in Level::all() {
                let ours = forward_at(level, &g, &x, &weight, &epilogue);
                prop_assert_eq!(ours.len(), wanted.len());
                for (ours, wanted) in ours.iter().zip(&wanted) {
                    prop_assert!((ours - wanted).abs() < 5e-5, "{:?}: {} instead of {}", level, ours, wanted);
                }
            }
        }
    }
}
