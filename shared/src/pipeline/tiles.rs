//! Windows of one size that cover a picture, with a halo.
//!
//! A network run on a window computes, away from the window's cut edges, what it computes on the whole picture. How far away is
//! its receptive field: the halo. At the picture's own border nothing is cut, and the network pads there as it does untiled. So
//! windows overlap by two halos and each keeps its middle. All windows of a picture have the same size (the last one of a row
//! moves back), so that a GPU plan is made once.

use std::ops::Range;

/// A stretch of one axis: `window` is read, `keep` of it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What the network sees.
    pub window: Range<usize>,
    /// What of its result is used; lies inside `window`.
    pub keep: Range<usize>,
}

/// Windows along one axis of `size` pixels, at most `window` long and all of one length. The `keep` ranges follow one another
/// and cover the axis. A `window` that leaves nothing between its halos is enlarged to keep one pixel.
pub fn spans(size: usize, window: usize, halo: usize) -> Vec<Span> {
    let window = window.max(2 * halo + 1);
    if size <= window {
        return vec![Span { window: 0..size, keep: 0..size }];
    }
    let mut spans = Vec::new();
    let mut from = 0;
    while from < size {
        let start = from.saturating_sub(halo).min(size - window);
        let end = start + window;
        let to = if end == size { size } else { end - halo };
        spans.push(Span { window: start..end, keep: from..to });
        from = to;
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn spans_cover_the_axis_once_and_keep_their_halo(size in 1usize..5000, window in 1usize..300, halo in 0usize..60) {
            let spans = spans(size, window, halo);
            let mut at = 0;
            for Span { window, keep } in &spans {
                prop_assert_eq!(keep.start, at);
                prop_assert!(keep.end > keep.start);
                prop_assert_eq!(window.len(), spans[0].window.len());
                prop_assert!(window.start == 0 || keep.start - window.start >= halo);
                prop_assert!(window.end == size || window.end - keep.end >= halo);
                at = keep.end;
            }
            prop_assert_eq!(at, size);
        }
    }
}
