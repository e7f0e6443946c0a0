//! Where a convolution finds its pixels: channels as planes with a border.

use super::pieces::pieces;
use crate::tensor::Padding;

/// Positions of the widest register tile: so many spare elements lie behind the last plane.
pub const WIDEST: usize = 96;

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
    pub fn padded_height(&self) -> usize {
        self.height + 2 * self.padding.size()
    }
    pub fn padded_width(&self) -> usize {
        self.width + 2 * self.padding.size()
    }
    /// Whether the border is a mirror.
    pub fn mirrors(&self) -> bool {
        matches!(self.padding, Padding::Reflect(_))
    }
    /// Rows of a padded plane that hold something.
    pub fn rows(&self) -> std::ops::Range<usize> {
        let size = self.padding.size();
        if self.mirrors() { 0..self.padded_height() } else { size..size + self.height }
    }
    /// Columns of a padded row that are border.
    pub fn border(&self) -> impl Iterator<Item = usize> + use<> {
        let size = self.padding.size();
        (0..size).chain(size + self.width..self.padded_width())
    }
    pub fn taps(&self) -> usize {
        self.kernel * self.kernel
    }
    /// Length of a row of a plane: the stride of the flat positions.
    pub fn row(&self) -> usize {
        self.padded_width().div_ceil(self.stride)
    }
    /// Length of one of a channel's `stride * stride` planes.
    pub fn plane(&self) -> usize {
        self.padded_height().div_ceil(self.stride) * self.row()
    }
    /// Whether it is a product of matrices: its planes are those of the input.
    pub fn is_product(&self) -> bool {
        self.kernel == 1
    }
    pub fn channel(&self) -> usize {
        self.stride * self.stride * self.plane()
    }
    /// Flat positions that hold outputs, those between rows included.
    pub fn positions(&self) -> usize {
        (self.out_height() - 1) * self.row() + self.out_width()
    }
    /// The distance of every tap from its output position.
    pub fn tap_offsets(&self) -> [usize; MAX_TAPS] {
        let mut offsets = [0; MAX_TAPS];
        let (k, s) = (self.kernel, self.stride);
        for (tap, offset) in offsets.iter_mut().enumerate().take(self.taps()) {
            let (y, x) = (tap / k, tap % k);
            *offset = (y % s * s + x % s) * self.plane() + y / s * self.row() + x / s;
        }
        offsets
    }
    /// The convolution of stride 1 over all windows, padded with zeros; where the border is a mirror, over the padded input.
    pub fn dense(&self) -> Self {
        match self.padding {
            Padding::Zeros(_) => Self { stride: 1, ..*self },
            Padding::Reflect(_) => {
                Self { height: self.padded_height(), width: self.padded_width(), stride: 1, padding: Padding::Zeros(0), ..*self }
            }
        }
    }
    /// The geometry of the gradient with respect to the input of a [`Geometry::dense`] one: a convolution of the output's
    /// gradient.
    pub fn transposed(&self) -> Self {
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
pub fn spread(g: &Geometry, x: &[f32]) -> Vec<f32> {
    let (height, width, channel, row) = (g.height, g.width, g.channel(), g.row());
    let (size, s, plane) = (g.padding.size(), g.stride, g.plane());
    pieces(g.batch * g.inputs * channel + WIDEST, channel, |i, to| {
        // Behind the last channel there is nothing but spare elements.
        let Some(from) = x.get(i * height * width..(i + 1) * height * width) else { return };
        for y in g.rows() {
            let line = &from[mirrored(y, size, height) * width..][..width];
            let to = &mut to[y % s * s * plane + y / s * row..];
            if g.mirrors() {
                g.border().for_each(|x| to[x % s * plane + x / s] = line[mirrored(x, size, width)]);
            }
            if s == 1 {
                to[size..size + width].copy_from_slice(line);
            } else {
                // No division for a pixel: 64 channels of 512x512 take 12 ms this way and took 95.
                for first in 0..s.min(width) {
                    let to = &mut to[(size + first) % s * plane + (size + first) / s..];
                    to.iter_mut().zip(line[first..].iter().step_by(s)).for_each(|(to, &v)| *to = v);
                }
            }
        }
    })
}

/// Planes of `height` x `width` as planes of `length` elements with rows `row` apart, zeros between.
pub fn apart(x: &[f32], height: usize, width: usize, row: usize, length: usize) -> Vec<f32> {
    let planes = x.len() / (height * width);
    pieces(planes * length + WIDEST, length, |i, to| {
        let Some(from) = x.get(i * height * width..(i + 1) * height * width) else { return };
        for (y, line) in from.chunks_exact(width).enumerate() {
            to[y * row..y * row + width].copy_from_slice(line);
        }
    })
}

/// Values in -1..1 for a test: as many as are asked for, always the same from the same seed.
#[cfg(test)]
pub fn random(seed: u32) -> impl FnMut(usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    move |count| (0..count).map(|_| next()).collect()
}
