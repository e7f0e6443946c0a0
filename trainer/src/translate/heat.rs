//! Which word came from which, as a picture.

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::FontTransform;
use shared::pipeline::translate::{Alignment, Translation, Translator};

use crate::runs::plot::{self, INK};

/// Pixels of a cell, and for the words beside and above. Drawn at twice the size: the backends know whole pixels only.
const CELL: i32 = 48;
const MARGIN: i32 = 220;
const FULL: RGBColor = RGBColor(0, 90, 160);

/// The attention of the decoder's last layer, the mean of its heads: a row a word of the translation, a column a word of the
/// source. As SVG and as PNG.
///
/// # Errors
/// When it cannot be drawn.
pub fn draw(translator: &Translator, sentence: &str, translation: &Translation) -> Result<(String, Vec<u8>)> {
    let alignment = translator.alignment(sentence, translation)?;
    let size = |words: usize| (MARGIN + CELL * words as i32 + CELL) as u32;
    let (width, height) = (size(alignment.source.len()), size(alignment.target.len()));
    let mut svg = String::new();
    paint(&SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area(), &alignment)?;
    let mut rgb = vec![255; 3 * width as usize * height as usize];
    paint(&BitMapBackend::with_buffer(&mut rgb, (width, height)).into_drawing_area(), &alignment)?;
    Ok((svg, plot::encode(&rgb, (width, height))?))
}

fn paint<B: DrawingBackend>(root: &DrawingArea<B, plotters::coord::Shift>, alignment: &Alignment) -> Result<()>
where
    B::ErrorType: 'static,
{
    plot::register();
    let drawn = || -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        root.fill(&WHITE)?;
        let text = ("sans-serif", 24).into_font().color(&INK);
        let upright = ("sans-serif", 24).into_font().transform(FontTransform::Rotate270).color(&INK);
        for (i, word) in alignment.source.iter().enumerate() {
            root.draw_text(&shortened(word), &upright, (MARGIN + CELL * i as i32 + 10, MARGIN - 12))?;
        }
        for (i, (word, row)) in alignment.target.iter().zip(&alignment.weights).enumerate() {
            let y = MARGIN + CELL * i as i32;
            let word = shortened(word);
            let (width, _) = root.estimate_text_size(&word, &text)?;
            root.draw_text(&word, &text, (MARGIN - 12 - width as i32, y + 10))?;
            for (j, &weight) in row.iter().enumerate() {
                let x = MARGIN + CELL * j as i32;
                let shade = |full: u8| (255.0 + (f32::from(full) - 255.0) * weight.clamp(0.0, 1.0)).round() as u8;
                let colour = RGBColor(shade(FULL.0), shade(FULL.1), shade(FULL.2));
                root.draw(&Rectangle::new([(x, y), (x + CELL - 2, y + CELL - 2)], colour.filled()))?;
            }
        }
        root.present()
    };
    drawn().map_err(|e| anyhow!("cannot draw the attention: {e}"))
}

fn shortened(word: &str) -> String {
    const MOST: usize = 14;
    if word.chars().count() <= MOST { word.to_owned() } else { word.chars().take(MOST - 1).chain(['…']).collect() }
}
