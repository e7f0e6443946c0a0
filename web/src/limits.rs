//! What a browser can hold.

use crate::text;

/// The longest side of a canvas in Chromium and WebKit; Firefox allows more.
const SIDE: usize = 16_384;

/// The largest result in pixels: 400 MB as RGBA here and once more in the worker, whose wasm memory ends at 4 GB.
const AREA: usize = 100_000_000;

/// Refuses sizes that no browser holds. Some hold less, which only trying shows.
///
/// # Errors
/// A sentence.
pub fn check(width: usize, height: usize) -> Result<(), String> {
    let area = width.checked_mul(height);
    if width <= SIDE && height <= SIDE && area.is_some_and(|area| area <= AREA) {
        return Ok(());
    }
    let (most, side) = (AREA / 1_000_000, SIDE);
    let size = text::size(width, height);
    Err(format!("{size} pixels are more than a browser can hold ({most} megapixels, {side} a side)."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_is_fine_and_too_large_is_refused() {
        assert!(check(8000, 6000).is_ok());
        assert!(check(16_384, 6_000).is_ok());
        assert!(check(16_385, 1).is_err());
        assert!(check(16_000, 12_000).unwrap_err().contains("16000\u{a0}×\u{a0}12000"));
        assert!(check(usize::MAX, 2).is_err());
    }
}
