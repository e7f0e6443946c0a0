//! Mean and standard deviation of a set of pictures, for each channel: what networks' inputs are normalised by.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use indicatif::ProgressBar;
use rayon::prelude::*;
use serde::Serialize;
use shared::picture::{Picture, Region};

use super::folder;
use super::packed::Packed;

/// Samples are counted in 65535ths: whole numbers for 8 and 16 bits alike.
const WHITE: f64 = 65535.0;
/// Rows of a picture that are converted at once.
const BAND: usize = 64;

/// Statistics of a set of pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statistics {
    /// How many pictures there are.
    pub pictures: usize,
    /// Their pixels, all together.
    pub pixels: u64,
    /// Mean of red, green and blue over all pixels, in 0..1.
    pub mean: [f64; 3],
    /// Standard deviation of red, green and blue over all pixels (divided by their number), in 0..1.
    pub std: [f64; 3],
    /// Pixels across.
    pub width: Spread,
    /// Pixels down.
    pub height: Spread,
    /// What could not be read, and why.
    pub broken: Vec<String>,
}

/// How sizes are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// The smallest.
    pub min: usize,
    /// The middle one; the lower of two.
    pub median: usize,
    /// The largest.
    pub max: usize,
}

/// Sums of whole numbers are exact: whatever the threads do and however many pixels there are, the result is the same.
#[derive(Default)]
struct Sums {
    pixels: u64,
    values: [u64; 3],
    squares: [u128; 3],
    sizes: Vec<(usize, usize)>,
    broken: Vec<String>,
}

impl Statistics {
    /// Reads all pictures and packed files (see [`Packed`]) under these paths. Alpha is left out.
    ///
    /// # Errors
    /// When a path does not exist or holds none, or none of them can be read.
    pub fn of(paths: &[PathBuf], bar: &ProgressBar) -> Result<Self> {
        let endings = [folder::ENDINGS.as_slice(), &super::packed::ENDINGS].concat();
        let mut files = Vec::new();
        for path in paths {
            files.extend(folder::find_endings(path, &endings)?);
        }
        bar.set_length(files.len() as u64);
        let sums = files.par_iter().map(|file| Sums::of_file(file, bar)).reduce(Sums::default, Sums::plus);
        bar.finish_and_clear();
        sums.finish()
    }
}

impl Sums {
    fn of_file(file: &Path, bar: &ProgressBar) -> Self {
        let sums = if Packed::is(file) {
            match Packed::read(file) {
                Ok(packed) => {
                    bar.inc_length(packed.len() as u64);
                    let one = |i| {
                        bar.inc(1);
                        Self::of_picture(packed.picture(i).map_err(|e| format!("{}, picture {i}: {e}", file.display())))
                    };
                    (0..packed.len()).into_par_iter().map(one).reduce(Self::default, Self::plus)
                }
                Err(e) => Self::of_picture(Err(format!("{e:#}"))),
            }
        } else {
            Self::of_picture(folder::read(file).map_err(|e| format!("{e:#}")))
        };
        bar.inc(1);
        sums
    }

    fn of_picture(picture: Result<Picture, String>) -> Self {
        let picture = match picture {
            Ok(picture) => picture,
            Err(why) => return Self { broken: vec![why], ..Self::default() },
        };
        let (width, height) = (picture.width(), picture.height());
        let mut sums = Self { pixels: (width * height) as u64, sizes: vec![(width, height)], ..Self::default() };
        for y in (0..height).step_by(BAND) {
            let band = Region { x: 0, y, width, height: BAND.min(height - y) };
            let planes = picture.planes(band, 0, 3);
            for (channel, plane) in planes.chunks_exact(width * band.height).enumerate() {
                let counts = plane.iter().map(|v| (f64::from(*v) * WHITE).round() as u64);
                let (values, squares) = counts.fold((0, 0), |(sum, squares), v| (sum + v, squares + v * v));
                sums.values[channel] += values;
                sums.squares[channel] += u128::from(squares);
            }
        }
        sums
    }

    fn plus(mut self, other: Self) -> Self {
        self.pixels += other.pixels;
        for channel in 0..3 {
            self.values[channel] += other.values[channel];
            self.squares[channel] += other.squares[channel];
        }
        self.sizes.extend(other.sizes);
        self.broken.extend(other.broken);
        self
    }

    fn finish(self) -> Result<Statistics> {
        let (Some(width), Some(height)) = (spread(self.sizes.iter().map(|s| s.0)), spread(self.sizes.iter().map(|s| s.1))) else {
            bail!("none of the pictures can be read\n{}", self.broken.join("\n"));
        };
        let count = u128::from(self.pixels);
        let mean = self.values.map(|sum| sum as f64 / self.pixels as f64 / WHITE);
        let std = std::array::from_fn(|channel| {
            // The variance times the square of the number of pixels, exactly: nothing cancels.
            let spread = count * self.squares[channel] - u128::from(self.values[channel]).pow(2);
            (spread as f64).sqrt() / self.pixels as f64 / WHITE
        });
        let Self { pixels, sizes, broken, .. } = self;
        Ok(Statistics { pictures: sizes.len(), pixels, mean, std, width, height, broken })
    }
}

fn spread(sizes: impl Iterator<Item = usize>) -> Option<Spread> {
    let mut sizes: Vec<usize> = sizes.collect();
    sizes.sort_unstable();
    let median = *sizes.get(sizes.len().checked_sub(1)? / 2)?;
    Some(Spread { min: *sizes.first()?, median, max: *sizes.last()? })
}
