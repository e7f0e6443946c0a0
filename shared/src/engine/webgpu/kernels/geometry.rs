//! How kernels are cut into threads.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Channel blocks that a workgroup of 1x1 convolutions brings into its memory at once; of larger windows it is one, which has
/// as many products between two barriers.
const DEPTH: usize = 2;

/// How kernels are cut into threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Geometry {
    /// Threads in a workgroup.
    pub workgroup: usize,
    /// Rows that a thread of a convolution computes.
    pub pixels: usize,
    /// Blocks of four output channels that a thread of a convolution computes.
    pub outputs: usize,
    /// What the threads of a convolution with a small window and no stride load for each other, where they do.
    pub shared: Option<Shared>,
    /// Whether the threads of a workgroup add up one sum together: of a row of features or scores, and of a product of few rows.
    pub joint: bool,
}

/// The threads of a workgroup that loads pixels and weights once, for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shared {
    /// Threads beside each other: columns of the picture.
    pub columns: usize,
    /// Threads below each other, each with its rows.
    pub strips: usize,
    /// Threads with other output channels of the same pixels.
    pub sets: usize,
}

impl Geometry {
    /// For adapters that are programs on the CPU. SwiftShader gathers every load lane by lane, so reuse is everything: a 3x3
    /// convolution 64 to 64 takes 926 ms with 4 x 1, 522 with 8 x 1, 433 with 8 x 2.
    pub const SOFTWARE: Self = Self::apart(8, 2);
    /// For GPUs that have not been measured: more threads, and none that works through a row while the others are idle. On
    /// SwiftShader, whose barriers are slow, a sentence of 16 words is decoded in 7.6 s so, in 5.8 s where each works for itself.
    pub const HARDWARE: Self = Self { joint: true, ..Self::apart(4, 2) };

    /// Every thread for itself: `pixels` rows, `outputs` blocks of channels.
    pub const fn apart(pixels: usize, outputs: usize) -> Self {
        Self { workgroup: 64, pixels, outputs, shared: None, joint: false }
    }

    /// `columns` x `strips` x `sets` threads that share.
    const fn together(columns: usize, strips: usize, sets: usize, pixels: usize, outputs: usize) -> Self {
        let shared = Some(Shared { columns, strips, sets });
        Self { workgroup: columns * strips * sets, pixels, outputs, shared, joint: false }
    }

    /// The better one for an adapter that has not been measured.
    pub fn of_adapter(software: bool) -> Self {
        if software { Self::SOFTWARE } else { Self::HARDWARE }
    }

    /// What a measurement tries: threads for themselves, then threads that share, from many pixels of few channels to few pixels of
    /// many. Three blocks a thread divide networks of 12, 24 and 48 channels, four those of 16, 32 and 64.
    pub const CANDIDATES: [Self; 12] = [
        Self::HARDWARE,
        Self::SOFTWARE,
        Self::apart(8, 1),
        Self::apart(4, 3),
        Self::apart(4, 4),
        Self::together(16, 4, 1, 4, 2),
        Self::together(16, 6, 1, 4, 3),
        Self::together(16, 4, 2, 4, 3),
        Self::together(16, 2, 4, 4, 3),
        Self::together(16, 1, 4, 4, 4),
        Self::together(16, 2, 4, 4, 4),
        Self::together(16, 4, 4, 4, 2),
    ];

    /// For a convolution: no more rows than there are, in steps of two, so that variants stay few.
    pub(super) fn pixels(self, height: usize) -> usize {
        self.pixels.min(height.next_power_of_two()).max(1)
    }

    /// For a convolution: no more blocks than there are.
    pub(super) fn outputs(self, channels: usize) -> usize {
        self.outputs.min(channels.div_ceil(4)).max(1)
    }

    /// For a convolution with a window of `kernel` that slides over a picture `height` x `width` into so many channels: what a
    /// workgroup holds. `None` where threads do not share, which is so of pictures much narrower than a workgroup.
    pub(super) fn tile(self, kernel: usize, channels: usize, height: usize, width: usize) -> Option<Tile> {
        let shared = self.shared.filter(|shared| 2 * width > shared.columns)?;
        let depth = if kernel == 1 { DEPTH } else { 1 };
        let rows = shared.strips * self.pixels(height);
        let (outputs, weights) = (self.outputs(channels), 4 * kernel * kernel);
        Some(Tile { shared, depth, rows, patch: [rows + kernel - 1, shared.columns + kernel - 1], outputs, weights })
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.shared {
            Some(Shared { columns, strips, sets }) => write!(f, "{columns}x{strips}x{sets} threads that share")?,
            None => write!(f, "{} threads", self.workgroup)?,
        }
        write!(f, ", {} rows x {} blocks", self.pixels, self.outputs)
    }
}

/// What a workgroup that shares holds at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tile {
    pub shared: Shared,
    /// Blocks of input channels.
    pub depth: usize,
    /// Rows of the result.
    pub rows: usize,
    /// Rows and columns of the source.
    pub patch: [usize; 2],
    /// Blocks of output channels that a thread has.
    pub outputs: usize,
    /// `vec4`s of weights from a block to a block.
    pub weights: usize,
}

impl Tile {
    /// `vec4`s of the source.
    pub fn patch_length(&self) -> usize {
        self.depth * self.patch[0] * self.patch[1]
    }

    /// Blocks of output channels of the workgroup.
    pub fn blocks(&self) -> usize {
        self.shared.sets * self.outputs
    }

    /// `vec4`s of weights.
    pub fn weights_length(&self) -> usize {
        self.depth * self.blocks() * self.weights
    }

    /// Workgroups of a picture for every set of output channels.
    pub fn tiles(&self, height: usize, width: usize) -> usize {
        height.div_ceil(self.rows) * width.div_ceil(self.shared.columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_candidate_fits_any_adapter() {
        for geometry in Geometry::CANDIDATES {
            assert!(geometry.workgroup <= 256, "{geometry:?}");
            // A tree adds up what the threads have.
            assert!(!geometry.joint || geometry.workgroup.is_power_of_two(), "{geometry:?}");
            for kernel in [1, 2, 3] {
                let Some(tile) = geometry.tile(kernel, 4096, 4096, 4096) else { continue };
                let bytes = 16 * (tile.patch_length() + tile.weights_length());
                // What WebGPU grants everywhere.
                assert!(bytes <= 16 << 10, "{geometry:?} holds {bytes} bytes for a window of {kernel}");
            }
        }
    }
}
