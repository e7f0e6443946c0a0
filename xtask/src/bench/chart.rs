//! The warm runs as a chart: a line a network and size, a dot a runtime, on a logarithmic axis, where a distance is a ratio.

use std::sync::Once;

use anyhow::{Result, anyhow, ensure};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use super::case::{Backend, Runtime};
use super::report::{Outcome, Row};

/// Drawn at twice the size: the backends know whole pixels only.
const UNIT: i32 = 2;
const WIDTH: i32 = 760;
/// A line of the chart, its title with the names of the runtimes, and the axis below.
const LINE: i32 = 22;
const TITLE: i32 = 66;
const AXIS: i32 = 44;
const LEFT: i32 = 190;
const RIGHT: i32 = 40;

/// Okabe and Ito's first four, as in the trainer's plots.
const COLOURS: [RGBColor; 4] = [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];

/// Text and axes on white; in SVG they take the colour of the text around.
const INK: RGBColor = RGBColor(60, 64, 72);
const INK_IN_SVG: &str = "#3C4048";

/// What one backend's part of the chart shows.
struct Panel {
    title: &'static str,
    lines: Vec<Line>,
}

/// A network at a size.
struct Line {
    label: String,
    /// Median of the warm runs in milliseconds, by runtime.
    times: Vec<(Runtime, f64)>,
}

impl Panel {
    fn height(&self) -> i32 {
        TITLE + LINE * self.lines.len() as i32 + AXIS
    }

    /// Powers of ten around all times.
    fn range(&self) -> (i32, i32) {
        let times = || self.lines.iter().flat_map(|line| &line.times).map(|(_, ms)| ms.log10());
        let low = times().fold(f64::INFINITY, f64::min).floor() as i32;
        let high = times().fold(f64::NEG_INFINITY, f64::max).ceil() as i32;
        (low, high.max(low + 1))
    }
}

fn panels(rows: &[Row]) -> Vec<Panel> {
    let panel = |backend: Backend| {
        let mut lines: Vec<Line> = Vec::new();
        for Row { case, outcome } in rows.iter().filter(|row| row.case.backend == backend) {
            let Outcome::Measured(measured) = outcome else { continue };
            // A clock that saw nothing pass has no place on this axis.
            let ms = measured.median_ms();
            if !(ms > 0.0 && ms.is_finite()) {
                continue;
            }
            let label = format!("{}  {} px", case.network, case.size);
            match lines.iter_mut().find(|line| line.label == label) {
                Some(line) => line.times.push((case.runtime, ms)),
                None => lines.push(Line { label, times: vec![(case.runtime, ms)] }),
            }
        }
        let title = match backend {
            Backend::Webgpu => "WebGPU: time of a warm run",
            Backend::Wasm => "WebAssembly: time of a warm run",
        };
        Panel { title, lines }
    };
    Backend::ALL.into_iter().map(panel).filter(|panel| !panel.lines.is_empty()).collect()
}

/// As SVG without a background, for light and dark pages, and as PNG on white.
///
/// # Errors
/// When nothing ran.
pub fn draw(rows: &[Row]) -> Result<(String, Vec<u8>)> {
    let panels = panels(rows);
    ensure!(!panels.is_empty(), "nothing ran, so there is nothing to draw");
    static FONT: Once = Once::new();
    // The program's own, so that charts look the same on every machine.
    FONT.call_once(|| {
        let _ = register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular());
    });
    let height = panels.iter().map(Panel::height).sum::<i32>();
    let (width, height) = ((UNIT * WIDTH) as u32, (UNIT * height) as u32);

    let mut text = String::new();
    let root = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
    draw_all(&root, &panels)?;
    drop(root);
    let unit = UNIT as u32;
    let shown = format!(r#"width="{}" height="{}""#, width / unit, height / unit);
    let svg = text.replacen(&format!(r#"width="{width}" height="{height}""#), &shown, 1).replace(INK_IN_SVG, "currentColor");

    let mut rgb = vec![255; 3 * width as usize * height as usize];
    let root = BitMapBackend::with_buffer(&mut rgb, (width, height)).into_drawing_area();
    draw_all(&root, &panels)?;
    drop(root);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&rgb)?;
    Ok((svg, file))
}

fn draw_all<B: DrawingBackend>(root: &DrawingArea<B, Shift>, panels: &[Panel]) -> Result<()>
where
    B::ErrorType: 'static,
{
    let mut rest = root.clone();
    for panel in panels {
        let (area, below) = rest.split_vertically(UNIT * panel.height());
        draw_panel(&area, panel).map_err(|e| anyhow!("cannot draw the chart: {e}"))?;
        rest = below;
    }
    root.present().map_err(|e| anyhow!("cannot draw the chart: {e}"))
}

type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

fn draw_panel<B: DrawingBackend>(area: &DrawingArea<B, Shift>, panel: &Panel) -> Drawn<B> {
    let text = |size: i32, horizontal| ("sans-serif", UNIT * size).into_font().color(&INK).pos(Pos::new(horizontal, VPos::Top));
    // Raised by half a letter, as in the trainer's plots: what plotters takes for the centre is too high in bitmaps.
    let point = |x: i32, y: i32| (UNIT * x, UNIT * y);
    area.draw_text(panel.title, &text(17, HPos::Left), point(14, 20 - 8))?;
    let shown = |runtime: &Runtime| panel.lines.iter().any(|line| line.times.iter().any(|(shown, _)| shown == runtime));
    for (i, runtime) in Runtime::ALL.into_iter().filter(shown).enumerate() {
        let x = 20 + 180 * i as i32;
        area.draw(&Circle::new(point(x, 46), 5 * UNIT, colour(runtime).filled()))?;
        area.draw_text(runtime.title(), &text(13, HPos::Left), point(x + 12, 46 - 6))?;
    }

    let (low, high) = panel.range();
    let x = |ms: f64| {
        let part = (ms.log10() - f64::from(low)) / f64::from(high - low);
        (f64::from(UNIT) * (f64::from(LEFT) + part * f64::from(WIDTH - LEFT - RIGHT))).round() as i32
    };
    let bottom = UNIT * (TITLE + LINE * panel.lines.len() as i32 + 4);
    for power in low..=high {
        let ms = 10f64.powi(power);
        area.draw(&PathElement::new([(x(ms), UNIT * TITLE), (x(ms), bottom)], INK.mix(0.15)))?;
        let label = if power < 3 { format!("{ms} ms") } else { format!("{} s", ms / 1e3) };
        area.draw_text(&label, &text(13, HPos::Center), (x(ms), bottom + (12 - 6) * UNIT))?;
    }
    for (i, line) in panel.lines.iter().enumerate() {
        let y = UNIT * (TITLE + LINE * i as i32 + LINE / 2);
        area.draw_text(&line.label, &text(13, HPos::Right), (UNIT * (LEFT - 12), y - 6 * UNIT))?;
        let times = || line.times.iter().map(|(_, ms)| *ms);
        let (first, last) = (times().fold(f64::INFINITY, f64::min), times().fold(0.0, f64::max));
        area.draw(&PathElement::new([(x(first), y), (x(last), y)], INK.mix(0.35).stroke_width(UNIT as u32)))?;
        for (runtime, ms) in &line.times {
            area.draw(&Circle::new((x(*ms), y), 5 * UNIT, colour(*runtime).filled()))?;
        }
    }
    Ok(())
}

fn colour(runtime: Runtime) -> RGBColor {
    match runtime {
        Runtime::Atelier => COLOURS[0],
        Runtime::Ort => COLOURS[1],
        Runtime::Tfjs => COLOURS[2],
        Runtime::OrtJspi => COLOURS[3],
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::row;
    use super::*;

    #[test]
    fn every_result_has_a_dot() {
        let rows = [
            row(Runtime::Atelier, Backend::Wasm, &[9.0]),
            row(Runtime::Ort, Backend::Wasm, &[57.0]),
            row(Runtime::Tfjs, Backend::Webgpu, &[2000.0]),
            row(Runtime::Ort, Backend::Webgpu, &[]),
        ];
        let (svg, png) = draw(&rows).unwrap();
        // Each names its runtime in the legend of its panel too.
        assert_eq!(svg.matches("<circle").count(), 2 * 3, "{svg}");
        assert_eq!(svg.matches("sr  32 px").count(), 2, "{svg}");
        assert!(svg.contains("currentColor"));
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let has = |colour: RGBColor| pixels.chunks_exact(3).any(|p| p == [colour.0, colour.1, colour.2]);
        assert!([Runtime::Atelier, Runtime::Ort, Runtime::Tfjs].map(colour).into_iter().all(has));
    }

    #[test]
    fn without_results_there_is_no_chart() {
        assert!(draw(&[]).is_err());
        assert!(draw(&[row(Runtime::Ort, Backend::Wasm, &[0.0])]).is_err());
    }
}
