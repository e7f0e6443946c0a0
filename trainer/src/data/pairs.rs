//! Batches of low- and high-resolution patches, made on the fly as the benchmarks make their small pictures.

use candle_core::{Device, Tensor};
use rand::RngExt;
use rayon::prelude::*;
use shared::imresize::imresize;
use shared::picture::{Picture, Region};

use crate::seed;

/// Pixels around a small patch that imresize needs, so that a patch is what the whole picture shrunk would have there.
const MARGIN: usize = 3;

/// Draws batches from pictures.
pub struct Pairs {
    pictures: Vec<Picture>,
    /// Sums of the pictures' areas: a pixel of a large picture is as likely as one of a small picture.
    areas: Vec<usize>,
    scale: usize,
    seed: u64,
}

impl Pairs {
    /// Small patches of up to `patch` x `patch`, large ones `scale` times that. Pictures that are too small for it are left out.
    ///
    /// # Errors
    /// When none is left.
    pub fn new(pictures: Vec<Picture>, scale: usize, patch: usize, seed: u64) -> anyhow::Result<Self> {
        let side = scale * (patch + 2 * MARGIN);
        let total = pictures.len();
        let pictures: Vec<Picture> = pictures.into_iter().filter(|p| p.width().min(p.height()) >= side).collect();
        if pictures.is_empty() {
            anyhow::bail!("none of the {total} pictures has {side} x {side} pixels, which a patch of {patch} at x{scale} needs");
        }
        let areas = pictures.iter().scan(0, |sum, p| {
            *sum += p.width() * p.height();
            Some(*sum)
        });
        Ok(Self { areas: areas.collect(), pictures, scale, seed })
    }

    /// How many pictures there are.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Never: there is at least one picture.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// The seed that batches come from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The batch of `step`: `[count, 3, patch, patch]` and `[count, 3, patch * scale, patch * scale]`, row-major. Always the
    /// same for the same seed and arguments.
    pub fn batch(&self, step: u64, count: usize, patch: usize) -> Batch {
        let pairs: Vec<_> = (0..count).into_par_iter().map(|i| self.pair(step, i, patch)).collect();
        let (small, large): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let dims = |side| [count, 3, side, side];
        Batch { small: (small.concat(), dims(patch)), large: (large.concat(), dims(patch * self.scale)) }
    }

    fn pair(&self, step: u64, index: usize, patch: usize) -> (Vec<f32>, Vec<f32>) {
        let rng = &mut seed::rng(self.seed, &format!("pair {index}"), step);
        let total = self.areas.last().copied().unwrap_or(1);
        let spot = rng.random_range(0..total);
        let picture = &self.pictures[self.areas.partition_point(|&sum| sum <= spot)];
        let (scale, padded) = (self.scale, patch + 2 * MARGIN);
        let side = scale * padded;
        let x = rng.random_range(0..=picture.width() - side);
        let y = rng.random_range(0..=picture.height() - side);
        let planes = picture.planes(Region { x, y, width: side, height: side }, 0, 3);
        let turn: [bool; 3] = std::array::from_fn(|_| rng.random());

        let (mut small, mut large) = (Vec::new(), Vec::new());
        for plane in planes.chunks_exact(side * side) {
            let plane = dihedral(plane, side, turn);
            let shrunk = imresize(&plane, [side, side], [padded, padded]);
            // Stored small pictures have 8 bits.
            small.extend(middle(&shrunk, padded, MARGIN).map(|v| (v.clamp(0.0, 1.0) * 255.0).round() / 255.0));
            large.extend(middle(&plane, side, MARGIN * scale));
        }
        (small, large)
    }
}

/// Host memory of a batch.
pub struct Batch {
    small: (Vec<f32>, [usize; 4]),
    large: (Vec<f32>, [usize; 4]),
}

impl Batch {
    /// Input and target on the device.
    ///
    /// # Errors
    /// When the device fails.
    pub fn to_device(self, device: &Device) -> candle_core::Result<(Tensor, Tensor)> {
        let small = Tensor::from_vec(self.small.0, &self.small.1, device)?;
        Ok((small, Tensor::from_vec(self.large.0, &self.large.1, device)?))
    }
}

/// One of the eight ways to flip and turn a square: swap axes, mirror x, mirror y.
fn dihedral(plane: &[f32], side: usize, [swap, mirror_x, mirror_y]: [bool; 3]) -> Vec<f32> {
    let mirror = |i: usize, yes: bool| if yes { side - 1 - i } else { i };
    let at = |i: usize| {
        let (y, x) = (mirror(i / side, mirror_y), mirror(i % side, mirror_x));
        if swap { x * side + y } else { y * side + x }
    };
    (0..side * side).map(|i| plane[at(i)]).collect()
}

fn middle(plane: &[f32], side: usize, margin: usize) -> impl Iterator<Item = f32> + '_ {
    let inner = side - 2 * margin;
    (margin..margin + inner).flat_map(move |y| plane[y * side + margin..][..inner].iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::dead_leaves;

    /// A patch shrunk by itself is the same patch of the picture shrunk as a whole.
    #[test]
    fn a_patch_is_what_the_shrunk_picture_has_there() {
        let picture = dead_leaves::pictures(1, 96, 3).remove(0);
        let whole = imresize(&picture.planes(picture.bounds(), 1, 1), [96, 96], [24, 24]);
        let region = Region { x: 16, y: 32, width: 48, height: 48 };
        let part = imresize(&picture.planes(region, 1, 1), [48, 48], [12, 12]);
        let part: Vec<f32> = middle(&part, 12, MARGIN).collect();
        for (i, v) in part.iter().enumerate() {
            let (y, x) = (i / 6 + MARGIN + 8, i % 6 + MARGIN + 4);
            assert!((v - whole[y * 24 + x]).abs() < 1e-5);
        }
    }
}
