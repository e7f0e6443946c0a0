//! A picture in the style of others.

use crate::checkpoint::Style;
use crate::picture::Picture;
use crate::session::Session;
use crate::{Error, Result};

/// The network halves twice.
const MULTIPLE: usize = 4;

/// The widest border that the network mirrors, and one more for what is mirrored in it; at a quarter of the size, one.
const SMALLEST: usize = 8;

/// How a picture is redrawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// How much of each of the network's styles; sums to one.
    pub mixture: Vec<f32>,
    /// How much of the result, 0 to 1; the rest is the picture as it was.
    pub strength: f32,
    /// Only the light changes, and every pixel keeps its hue.
    pub keep_colours: bool,
}

impl Look {
    /// Parts of styles by name, made to sum to one; colours change.
    ///
    /// Strength is not part of the mixture: no scales and shifts give a photo back, because the first norm has taken its brightness
    /// and contrast. A style that was trained to change nothing, beside seven others, came out brown.
    ///
    /// # Errors
    /// [`Error::Picture`] naming a style that is not among `styles`, or a part or strength that is none.
    pub fn new(styles: &[Style], parts: &[(String, f32)], strength: f32) -> Result<Self> {
        let wrong = |why: String| Error::Picture(why);
        if !(0.0..=1.0).contains(&strength) {
            return Err(wrong(format!("a strength of {strength}; it must lie between 0 and 1")));
        }
        let sum: f32 = parts.iter().map(|(_, part)| part).sum();
        let mut mixture = vec![0.0; styles.len()];
        for (name, part) in parts {
            let known = || styles.iter().map(|style| style.name.as_str()).collect::<Vec<_>>().join(", ");
            let at = styles.iter().position(|style| style.name == *name);
            let at = at.ok_or_else(|| wrong(format!("there is no style “{name}”; there are {}", known())))?;
            if !(part.is_finite() && *part >= 0.0 && sum > 0.0 && sum.is_finite()) {
                return Err(wrong(format!("{part} of “{name}”; parts must be above 0")));
            }
            mixture[at] += part / sum;
        }
        if parts.is_empty() {
            return Err(wrong("no style is named".to_owned()));
        }
        Ok(Self { mixture, strength, keep_colours: false })
    }
}

/// Redraws `picture`, whole: the network's norms see all of it, so there are no tiles. Any size will do; alpha stays.
///
/// # Errors
/// [`Error::Shape`] when the network has not as many styles as the mixture, or the engine's own: [`Error::Memory`] where a smaller
/// picture may fit.
pub async fn restyle(session: &Session, picture: &Picture, look: &Look) -> Result<Picture> {
    let (width, height) = (picture.width(), picture.height());
    let source = picture.planes(picture.bounds(), 0, 3);
    let (input, [h, w]) = framed(&source, [height, width]);
    let output = session.restyle(&input, h, w, &look.mixture).await?;
    let mut rgb = cut(&output, [h, w], [height, width]);
    if look.keep_colours {
        recolour(&mut rgb, &source);
    }
    rgb.iter_mut().zip(&source).for_each(|(new, old)| *new = old + look.strength * (new.clamp(0.0, 1.0) - old));
    let mut result = Picture::blank(width, height, picture)?;
    result.write_planes(picture.bounds(), 0, 3, &rgb);
    if picture.has_alpha() {
        result.write_planes(picture.bounds(), 3, 1, &picture.planes(picture.bounds(), 3, 1));
    }
    Ok(result)
}

/// Planes of this height and width, filled up to a size that the networks take, and that size.
pub(super) fn framed(planes: &[f32], size: [usize; 2]) -> (Vec<f32>, [usize; 2]) {
    let framed = size.map(|side| side.next_multiple_of(MULTIPLE).max(SMALLEST));
    (stretch(planes, size, framed), framed)
}

/// Planes with their last row and column repeated to a larger size.
fn stretch(planes: &[f32], [height, width]: [usize; 2], [h, w]: [usize; 2]) -> Vec<f32> {
    let rows = planes.chunks_exact(width * height).flat_map(|plane| {
        (0..h).map(move |y| {
            let start = y.min(height - 1) * width;
            &plane[start..start + width]
        })
    });
    rows.flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(row[width - 1], w - width))).collect()
}

/// The upper left corner of planes.
fn cut(planes: &[f32], [h, w]: [usize; 2], [height, width]: [usize; 2]) -> Vec<f32> {
    let rows = planes.chunks_exact(h * w).flat_map(|plane| plane.chunks_exact(w).take(height));
    rows.flat_map(|row| &row[..width]).copied().collect()
}

/// Gives planar RGB the colours of `source`: Y of BT.601 stays, its differences to red and blue are those of `source`.
pub fn recolour(rgb: &mut [f32], source: &[f32]) {
    let plane = rgb.len() / 3;
    let light = |rgb: &[f32], i: usize| 0.299 * rgb[i] + 0.587 * rgb[plane + i] + 0.114 * rgb[2 * plane + i];
    for i in 0..plane {
        let change = light(rgb, i).clamp(0.0, 1.0) - light(source, i);
        for at in [i, plane + i, 2 * plane + i] {
            rgb[at] = source[at] + change;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mixtures_sum_to_one() {
        let styles = ["night", "wave", "scream"].map(|name| Style { name: name.into(), title: String::new() });
        let part = |name: &str, part| (name.to_owned(), part);
        let mixture = |parts: &[(String, f32)]| Look::new(&styles, parts, 0.5).unwrap().mixture;
        assert_eq!(mixture(&[part("wave", 3.0), part("scream", 1.0)]), [0.0, 0.75, 0.25]);
        assert_eq!(mixture(&[part("scream", 0.2)]), [0.0, 0.0, 1.0]);
        for (parts, strength, word) in [
            (vec![part("monet", 1.0)], 1.0, "monet"),
            (vec![part("wave", -1.0), part("scream", 2.0)], 1.0, "-1"),
            (vec![part("wave", 0.0)], 1.0, "above 0"),
            (vec![part("wave", f32::NAN)], 1.0, "NaN"),
            (vec![part("wave", f32::MAX), part("wave", f32::MAX)], 1.0, "above 0"),
            (vec![part("wave", 1.0)], 1.5, "1.5"),
            (vec![], 1.0, "no style"),
        ] {
            let error = Look::new(&styles, &parts, strength).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_stretched_is_cut_again(height in 1usize..9, width in 1usize..9, more in 0usize..5) {
            let planes: Vec<f32> = (0..3 * height * width).map(|i| i as f32).collect();
            let size = [height + more, width + 2 * more];
            let large = stretch(&planes, [height, width], size);
            prop_assert_eq!(large.len(), 3 * size[0] * size[1]);
            prop_assert_eq!(cut(&large, size, [height, width]), planes);
        }
    }

    #[test]
    fn recoloured_grey_has_the_light_of_the_result() {
        let mut rgb = vec![0.9, 0.1, 0.4];
        recolour(&mut rgb, &[0.5, 0.5, 0.5]);
        let light = 0.299 * 0.9 + 0.587 * 0.1 + 0.114 * 0.4;
        assert!(rgb.iter().all(|v| (v - light).abs() < 1e-6), "{rgb:?}");
    }
}
