//! Pictures made up, for training without data: dead leaves (Lee, Mumford and Huang 2001), discs and polygons that occlude one
//! another with sizes that follow a power law, which gives edges and a spectrum like those of photographs; filled with colours,
//! gradients, stripes and grain, and written over.

use rand::{Rng, RngExt};
use shared::picture::Picture;

use crate::seed;

/// How a leaf is filled.
enum Fill {
    Plain,
    Gradient { dx: f32, dy: f32 },
    Stripes { dx: f32, dy: f32, second: [f32; 3] },
    Grain { amount: f32 },
}

/// Letters of 5 x 7 dots, a row in 5 bits: enough strokes to learn how writing looks.
const LETTERS: [[u8; 7]; 10] = [
    [0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11], // A
    [0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f], // E
    [0x11, 0x12, 0x14, 0x18, 0x14, 0x12, 0x11], // K
    [0x11, 0x1b, 0x15, 0x15, 0x11, 0x11, 0x11], // M
    [0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e], // O
    [0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11], // R
    [0x0f, 0x10, 0x10, 0x0e, 0x01, 0x01, 0x1e], // S
    [0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04], // T
    [0x11, 0x11, 0x0a, 0x04, 0x0a, 0x11, 0x11], // X
    [0x1f, 0x01, 0x02, 0x04, 0x08, 0x10, 0x1f], // Z
];

/// A canvas of twice the size, so that edges come out smooth.
struct Canvas {
    size: usize,
    pixels: Vec<[f32; 3]>,
}

/// `count` pictures of `size` x `size`; the same for the same seed.
pub fn pictures(count: usize, size: usize, seed: u64) -> Vec<Picture> {
    use rayon::prelude::*;
    (0..count as u64).into_par_iter().filter_map(|i| picture(size, &mut seed::rng(seed, "dead leaves", i))).collect()
}

fn picture(size: usize, rng: &mut impl Rng) -> Option<Picture> {
    let side = 2 * size;
    let background = color(rng);
    let mut canvas = Canvas { size: side, pixels: vec![background; side * side] };
    for _ in 0..260 {
        leaf(&mut canvas, rng);
    }
    for _ in 0..6 {
        writing(&mut canvas, rng);
    }
    // Four pixels to one.
    let mut planes = vec![0.0; 3 * size * size];
    for (i, p) in canvas.pixels.iter().enumerate() {
        let at = i / side / 2 * size + i % side / 2;
        (0..3).for_each(|c| planes[c * size * size + at] += p[c] / 4.0);
    }
    Picture::from_planes(size, size, &planes).ok()
}

fn color(rng: &mut impl Rng) -> [f32; 3] {
    let grey: f32 = rng.random();
    std::array::from_fn(|_| (grey + rng.random_range(-0.3..0.3f32)).clamp(0.0, 1.0))
}

fn leaf(canvas: &mut Canvas, rng: &mut impl Rng) {
    let side = canvas.size as f32;
    // Density proportional to r^-3 between the smallest and the largest radius.
    let (small, large) = (4.0f32, side / 3.0);
    let u: f32 = rng.random();
    let radius = (u / (large * large) + (1.0 - u) / (small * small)).powf(-0.5);
    let (cx, cy) = (rng.random_range(0.0..side), rng.random_range(0.0..side));
    let color = color(rng);
    let angle = rng.random_range(0.0..std::f32::consts::TAU);
    let (sin, cos) = angle.sin_cos();
    let fill = match rng.random_range(0..10) {
        0..3 => Fill::Plain,
        3..6 => Fill::Gradient { dx: 0.4 * cos / radius, dy: 0.4 * sin / radius },
        6..8 => {
            let frequency = std::f32::consts::TAU / rng.random_range(5.0..24.0);
            Fill::Stripes { dx: frequency * cos, dy: frequency * sin, second: self::color(rng) }
        }
        _ => Fill::Grain { amount: rng.random_range(0.05..0.3) },
    };
    // A regular polygon, stretched and turned; with no corners an ellipse.
    let corners = rng.random_range(0..7);
    let stretch = rng.random_range(0.3..1.0f32);
    let inside = |x: f32, y: f32| {
        let (u, v) = (x * cos + y * sin, (y * cos - x * sin) / stretch);
        let distance = u.hypot(v);
        if corners < 3 {
            return distance < radius;
        }
        let wedge = std::f32::consts::TAU / corners as f32;
        let off = v.atan2(u).rem_euclid(wedge) - wedge / 2.0;
        distance * off.cos() < radius * (wedge / 2.0).cos()
    };
    let range = |centre: f32| (centre - radius).max(0.0) as usize..((centre + radius).max(0.0) as usize + 1).min(canvas.size);
    for y in range(cy) {
        for x in range(cx) {
            let (dx, dy) = (x as f32 - cx, y as f32 - cy);
            if !inside(dx, dy) {
                continue;
            }
            let at = y * canvas.size + x;
            canvas.pixels[at] = match &fill {
                Fill::Plain => color,
                Fill::Gradient { dx: gx, dy: gy } => color.map(|c| c + dx * gx + dy * gy),
                Fill::Stripes { dx: fx, dy: fy, second } => {
                    let part = 0.5 + 0.5 * (dx * fx + dy * fy).sin();
                    std::array::from_fn(|c| color[c] * part + second[c] * (1.0 - part))
                }
                Fill::Grain { amount } => {
                    let noise = rng.random_range(-amount..*amount);
                    color.map(|c| c + noise)
                }
            };
        }
    }
}

fn writing(canvas: &mut Canvas, rng: &mut impl Rng) {
    let dot = rng.random_range(1..5usize);
    let color = color(rng);
    let (left, top) = (rng.random_range(0..canvas.size), rng.random_range(0..canvas.size));
    for letter in 0..rng.random_range(3..14usize) {
        let glyph = LETTERS[rng.random_range(0..LETTERS.len())];
        for (row, bits) in glyph.iter().enumerate() {
            for column in (0..5).filter(|c| bits >> (4 - c) & 1 == 1) {
                let (x, y) = (left + (letter * 6 + column) * dot, top + row * dot);
                for y in y..(y + dot).min(canvas.size) {
                    for x in x..(x + dot).min(canvas.size) {
                        canvas.pixels[y * canvas.size + x] = color;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_same_seed_gives_the_same_pictures_and_another_gives_others() {
        let all = super::pictures(2, 48, 7);
        assert_eq!(all, super::pictures(2, 48, 7));
        assert_ne!(all[0], all[1]);
        assert_ne!(all, super::pictures(2, 48, 8));
    }
}
