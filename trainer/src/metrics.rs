//! PSNR and SSIM by the protocol of the super-resolution papers: luma of BT.601, a border as wide as the scale cropped away.

/// Luma of planar RGB in 0..1, as MATLAB's `rgb2ycbcr` gives it, in 16..235.
pub fn luma(rgb: &[f32]) -> Vec<f64> {
    let (r, rest) = rgb.split_at(rgb.len() / 3);
    let (g, b) = rest.split_at(rgb.len() / 3);
    let y = |((&r, &g), &b): ((&f32, &f32), &f32)| 16.0 + 65.481 * f64::from(r) + 128.553 * f64::from(g) + 24.966 * f64::from(b);
    r.iter().zip(g).zip(b).map(y).collect()
}

/// PSNR in dB and SSIM of two pictures `[3, height, width]` in 0..1, both rounded to 8 bits by the caller.
///
/// `None` when cropping leaves less than SSIM's window of 11 x 11.
pub fn compare(a: &[f32], b: &[f32], [height, width]: [usize; 2], border: usize) -> Option<(f64, f64)> {
    let (h, w) = (height.checked_sub(2 * border)?, width.checked_sub(2 * border)?);
    if h < WINDOW || w < WINDOW {
        return None;
    }
    let crop = |x: &[f32]| -> Vec<f64> {
        let y = luma(x);
        (border..border + h).flat_map(|row| y[row * width + border..][..w].to_vec()).collect()
    };
    let (a, b) = (crop(a), crop(b));
    Some((psnr(&a, &b), ssim(&a, &b, h, w)))
}

/// Peak signal-to-noise ratio in dB, peak 255. Equal pictures give infinity.
pub fn psnr(a: &[f64], b: &[f64]) -> f64 {
    let mse = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.len() as f64;
    10.0 * (255.0 * 255.0 / mse).log10()
}

/// Side of SSIM's Gaussian window.
const WINDOW: usize = 11;

/// Structural similarity (Wang et al. 2004): Gaussian window 11 x 11 of deviation 1.5, valid positions only.
fn ssim(a: &[f64], b: &[f64], height: usize, width: usize) -> f64 {
    const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
    const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);
    let weights: [f64; WINDOW] = std::array::from_fn(|i| (-(i as f64 - 5.0).powi(2) / (2.0 * 1.5 * 1.5)).exp());
    let total: f64 = weights.iter().sum();
    let weights = weights.map(|w| w / total);
    let (out_h, out_w) = (height - WINDOW + 1, width - WINDOW + 1);
    let blur = |of: &dyn Fn(usize) -> f64| -> Vec<f64> {
        let row = |i: usize| (0..WINDOW).map(|k| weights[k] * of(i / out_w * width + i % out_w + k)).sum();
        let rows: Vec<f64> = (0..height * out_w).map(row).collect();
        (0..out_h * out_w).map(|i| (0..WINDOW).map(|k| weights[k] * rows[i + k * out_w]).sum()).collect()
    };
    let (mean_a, mean_b) = (blur(&|i| a[i]), blur(&|i| b[i]));
    let (aa, bb, ab) = (blur(&|i| a[i] * a[i]), blur(&|i| b[i] * b[i]), blur(&|i| a[i] * b[i]));
    let at = |i: usize| {
        let (ma, mb) = (mean_a[i], mean_b[i]);
        let (va, vb, cov) = (aa[i] - ma * ma, bb[i] - mb * mb, ab[i] - ma * mb);
        ((2.0 * ma * mb + C1) * (2.0 * cov + C2)) / ((ma * ma + mb * mb + C1) * (va + vb + C2))
    };
    (0..mean_a.len()).map(at).sum::<f64>() / mean_a.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_error_has_its_psnr_and_equal_pictures_are_similar() {
        let a: Vec<f32> = (0..3 * 20 * 20).map(|i| (i % 97) as f32 / 97.0).collect();
        let b: Vec<f32> = a.iter().map(|v| v + 1.0 / 219.0).collect();
        let (psnr, ssim) = compare(&a, &b, [20, 20], 2).unwrap();
        assert!((psnr - 20.0 * 255f64.log10()).abs() < 1e-3, "an error of one grey level is 48.13 dB, not {psnr}");
        assert!(ssim > 0.999 && ssim < 1.0);
        assert!((compare(&a, &a, [20, 20], 2).unwrap().1 - 1.0).abs() < 1e-12);
        assert_eq!(compare(&a, &a, [20, 20], 5), None);
    }
}
