//! Crops of photos, at many scales.

use anyhow::{Result, ensure};
use rand::RngExt;
use shared::imresize::imresize;
use shared::picture::{Picture, Region};

use crate::seed;

/// Draws square crops.
pub struct Crops {
    pictures: Vec<Picture>,
    size: usize,
    seed: u64,
}

impl Crops {
    /// Crops of `size` x `size`. Pictures that are smaller are left out.
    ///
    /// # Errors
    /// When none is left.
    pub fn new(pictures: Vec<Picture>, size: usize, seed: u64) -> Result<Self> {
        let total = pictures.len();
        let pictures: Vec<Picture> = pictures.into_iter().filter(|p| p.width().min(p.height()) >= size).collect();
        ensure!(!pictures.is_empty(), "none of the {total} pictures has {size} x {size} pixels");
        Ok(Self { pictures, size, seed })
    }

    /// How many pictures there are.
    pub fn pictures(&self) -> usize {
        self.pictures.len()
    }

    /// Side of a crop.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The seed that crops come from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Crop `index` of `step`: planar RGB of a random square of a random picture, anything from a crop to all of it, shrunk to the
    /// size of a crop and perhaps mirrored. The same for the same arguments.
    pub fn crop(&self, step: u64, index: usize) -> Vec<f32> {
        let rng = &mut seed::rng(self.seed, &format!("crop {index}"), step);
        let picture = &self.pictures[rng.random_range(0..self.pictures.len())];
        let side = rng.random_range(self.size..=picture.width().min(picture.height()));
        let x = rng.random_range(0..=picture.width() - side);
        let y = rng.random_range(0..=picture.height() - side);
        let mirrored: bool = rng.random();
        let mut planes = picture.planes(Region { x, y, width: side, height: side }, 0, 3);
        if side > self.size {
            planes = planes.chunks_exact(side * side).flat_map(|plane| imresize(plane, [side; 2], [self.size; 2])).collect();
        }
        if mirrored {
            planes.chunks_exact_mut(self.size).for_each(<[f32]>::reverse);
        }
        planes
    }
}
