//! Plots, as SVG for pages and as PNG for everything else.

use std::sync::Once;

use anyhow::{Result, anyhow, ensure};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use shared::picture::{Format, Picture};

use super::Record;
use super::axis::Axis;

/// Lines in one system of axes.
pub struct Panel {
    title: String,
    x_label: &'static str,
    /// Which of x and y is logarithmic.
    log: [bool; 2],
    lines: Vec<Line>,
    /// A value of x to point at.
    mark: Option<f64>,
}

impl Panel {
    /// What the lines show.
    pub fn title(&self) -> &str {
        &self.title
    }
}

#[derive(Clone)]
struct Line {
    label: String,
    points: Vec<(f64, f64)>,
    colour: RGBColor,
    stroke: Stroke,
}

#[derive(Clone, Copy, PartialEq)]
enum Stroke {
    /// A result.
    Solid,
    /// What a result stands beside.
    Faint,
    /// A reference from elsewhere.
    Dashed,
}

/// Pixels of a panel. Drawn at twice the size: the backends know whole pixels only.
const SIZE: (u32, u32) = (520, 300);
const UNIT: i32 = 2;

/// Okabe and Ito's colours, told apart with any colour vision, on white as on black; their black is the ink.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    INK,
];

/// Text, axes and references on white; in SVG they take the colour of the text around.
pub const INK: RGBColor = RGBColor(60, 64, 72);
const INK_IN_SVG: &str = "#3C4048";

/// A loss is drawn on a logarithmic axis when its highest value is more than so many times its lowest.
const WIDE: f64 = 5.0;

/// The curves of one run or several: losses, every metric, the learning rate.
///
/// # Errors
/// When there are more runs than colours.
pub fn curves(records: &[&Record]) -> Result<Vec<Panel>> {
    ensure!(records.len() <= COLOURS.len(), "at most {} runs can be told apart in one plot; name fewer", COLOURS.len());
    let several = records.len() > 1;
    let lines = |column: &str, colour: usize, stroke: Stroke| -> Vec<Line> {
        let name = column.replace('_', " ");
        let line = |(i, record): (usize, &&Record)| Line {
            label: if several { format!("{}: {name}", record.name) } else { name.clone() },
            points: record.series(column),
            colour: COLOURS[(colour + i) % COLOURS.len()],
            stroke,
        };
        records.iter().enumerate().map(line).filter(|line| !line.points.is_empty()).collect()
    };
    let panel = |title: &str, log: bool, lines: Vec<Line>| {
        let panel = Panel { title: title.to_owned(), x_label: "step", log: [false, log], lines, mark: None };
        Some(panel).filter(|panel| !panel.lines.is_empty())
    };

    // Of several runs each has one colour, and its training losses are faint.
    let (colour, stroke) = if several { (0, Stroke::Faint) } else { (1, Stroke::Solid) };
    let losses = [lines("valid_loss", 0, Stroke::Solid), lines("train_loss", colour, stroke)].concat();
    let values = || losses.iter().flat_map(|line| line.points.iter().map(|(_, loss)| *loss));
    let (lowest, highest) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let mut panels = vec![panel("loss", lowest > 0.0 && highest > WIDE * lowest, losses)];

    let mut metrics: Vec<&String> = Vec::new();
    for metric in records.iter().flat_map(|record| record.metrics()) {
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    for metric in metrics {
        let mut lines = lines(metric, 0, Stroke::Solid);
        lines.extend(references(records, metric));
        panels.push(panel(&metric.replace('_', " "), false, lines));
    }
    panels.push(panel("learning rate", false, lines("rate", 0, Stroke::Solid)));
    Ok(panels.into_iter().flatten().collect())
}

/// Lines of some colour each, with their names; `log` says which of x and y is logarithmic.
///
/// # Errors
/// When there are more lines than colours.
pub fn lines(title: &str, x_label: &'static str, log: [bool; 2], lines: Vec<(String, Vec<(f64, f64)>)>) -> Result<Panel> {
    ensure!(lines.len() <= COLOURS.len(), "at most {} lines can be told apart in one plot", COLOURS.len());
    let line = |((label, points), colour)| Line { label, points, colour, stroke: Stroke::Solid };
    let lines = lines.into_iter().zip(COLOURS).map(line).collect();
    Ok(Panel { title: title.to_owned(), x_label, log, lines, mark: None })
}

/// What bicubic enlargement reaches, as a level; once where runs share it.
fn references(records: &[&Record], metric: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let steps = || records.iter().flat_map(|record| record.series(metric)).map(|(step, _)| step);
    let (first, last) = (steps().fold(f64::INFINITY, f64::min), steps().fold(f64::NEG_INFINITY, f64::max));
    for level in records.iter().filter_map(|record| record.last(&format!("bicubic_{metric}"))) {
        if first <= last && lines.iter().all(|line| line.points[0].1 != level) {
            let points = vec![(first, level), (last, level)];
            lines.push(Line { label: "bicubic".into(), points, colour: INK, stroke: Stroke::Dashed });
        }
    }
    lines
}

/// The plot of a search for a learning rate, loss by rate, as SVG and PNG.
///
/// # Errors
/// When it cannot be drawn.
pub fn lr_find(points: &[(f64, f64)], suggestion: f64) -> Result<(String, Vec<u8>)> {
    let points = sound(points);
    let line = |label: &str, points, stroke| Line { label: label.to_owned(), points, colour: COLOURS[0], stroke };
    let lines = vec![line("smoothed", smoothed(&points), Stroke::Solid), line("loss", points, Stroke::Faint)];
    let title = format!("suggested learning rate: {suggestion:.1e}");
    let panels = [Panel { title, x_label: "learning rate", log: [true, false], lines, mark: Some(suggestion) }];
    Ok((svg(&panels)?, png(&panels)?))
}

/// A learning rate from the losses `(rate, loss)` that rising rates gave: a tenth of the one where the smoothed loss is lowest, so
/// that there is room before learning breaks (fast.ai's rule). The steepest descent, its other rule, follows the noise of the first
/// batches when a network starts as well as ours, which add to a picture that is already there. `None` when the loss fell by less
/// than 5 %.
pub fn suggest(points: &[(f64, f64)]) -> Option<f64> {
    let curve = smoothed(&sound(points));
    let (rate, lowest) = curve.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1))?;
    (lowest < 0.95 * curve.first()?.1).then_some(rate / 10.0)
}

/// What a logarithmic axis and a mean can take.
fn sound(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    points.iter().copied().filter(|(rate, loss)| *rate > 0.0 && rate.is_finite() && loss.is_finite()).collect()
}

/// An exponential moving average in both directions, so that it does not lag.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    const KEEP: f64 = 0.85;
    let pass = |values: &mut dyn Iterator<Item = f64>| -> Vec<f64> {
        let mut mean = None;
        values.map(|v| *mean.insert(mean.map_or(v, |m| KEEP * m + (1.0 - KEEP) * v))).collect()
    };
    let forward = pass(&mut points.iter().map(|(_, y)| *y));
    let backward = pass(&mut points.iter().rev().map(|(_, y)| *y));
    points.iter().zip(forward.iter().zip(backward.iter().rev())).map(|((x, _), (a, b))| (*x, (a + b) / 2.0)).collect()
}

/// As SVG without a background, for light and dark pages.
///
/// # Errors
/// When it cannot be drawn.
pub fn svg(panels: &[Panel]) -> Result<String> {
    let (width, height) = size(panels);
    let mut text = String::new();
    let root = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
    draw(&root, panels)?;
    drop(root);
    let unit = UNIT as u32;
    let shown = format!(r#"width="{}" height="{}""#, width / unit, height / unit);
    Ok(text.replacen(&format!(r#"width="{width}" height="{height}""#), &shown, 1).replace(INK_IN_SVG, "currentColor"))
}

/// As PNG, on white.
///
/// # Errors
/// When it cannot be drawn.
pub fn png(panels: &[Panel]) -> Result<Vec<u8>> {
    let (width, height) = size(panels);
    let mut rgb = vec![255; 3 * width as usize * height as usize];
    let root = BitMapBackend::with_buffer(&mut rgb, (width, height)).into_drawing_area();
    draw(&root, panels)?;
    drop(root);
    encode(&rgb, (width, height))
}

/// What was drawn into a buffer, as PNG.
///
/// # Errors
/// When the buffer has not this size.
pub fn encode(rgb: &[u8], (width, height): (u32, u32)) -> Result<Vec<u8>> {
    let rgba = rgb.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
    Ok(Picture::from_rgba8(width as usize, height as usize, rgba)?.encode(Format::Png)?)
}

/// Makes the program's own font known, so that pictures look the same on every machine.
pub fn register() {
    static FONT: Once = Once::new();
    FONT.call_once(|| {
        let _ = register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular());
    });
}

/// Rows and columns of panels.
fn grid(panels: &[Panel]) -> (usize, usize) {
    (panels.len().div_ceil(2).max(1), panels.len().clamp(1, 2))
}

fn size(panels: &[Panel]) -> (u32, u32) {
    let (rows, columns) = grid(panels);
    (UNIT as u32 * SIZE.0 * columns as u32, UNIT as u32 * SIZE.1 * rows as u32)
}

fn draw<B: DrawingBackend>(root: &DrawingArea<B, Shift>, panels: &[Panel]) -> Result<()>
where
    B::ErrorType: 'static,
{
    register();
    for (area, panel) in root.split_evenly(grid(panels)).iter().zip(panels) {
        draw_panel(area, panel).map_err(|e| anyhow!("cannot plot {}: {e}", panel.title))?;
    }
    root.present().map_err(|e| anyhow!("cannot plot: {e}"))
}

fn text(size: i32) -> TextStyle<'static> {
    ("sans-serif", UNIT * size).into_font().color(&INK)
}

type Drawn<B, T> = Result<T, DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

fn draw_panel<B: DrawingBackend>(area: &DrawingArea<B, Shift>, panel: &Panel) -> Drawn<B, ()> {
    area.draw_text(&panel.title, &text(17), (14 * UNIT, 8 * UNIT))?;
    let (_, body) = area.split_vertically(legend(area, panel)?);
    let points = || panel.lines.iter().flat_map(|line| line.points.iter());
    let x = Axis::new(points().map(|p| p.0), panel.log[0], 0.0, 6);
    let y = Axis::new(points().map(|p| p.1), panel.log[1], 0.05, 5);
    let mut chart = ChartBuilder::on(&body)
        .margin_right(24 * UNIT)
        .margin_top(6 * UNIT)
        .x_label_area_size(40 * UNIT)
        .y_label_area_size(62 * UNIT)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .bold_line_style(INK.mix(0.15))
        .light_line_style(TRANSPARENT)
        .axis_style(INK.mix(0.5))
        .set_all_tick_mark_size(4 * UNIT)
        .label_style(text(13))
        .x_desc(panel.x_label)
        .draw()?;
    for line in &panel.lines {
        let (points, style) = (line.points.iter().copied(), style(line));
        match line.stroke {
            _ if line.points.len() == 1 => chart.draw_series(points.map(|p| Circle::new(p, 3 * UNIT, style.filled())))?,
            Stroke::Dashed => chart.draw_series(DashedLineSeries::new(points, 6 * UNIT, 4 * UNIT, style))?,
            _ => chart.draw_series(LineSeries::new(points, style))?,
        };
    }
    if let Some(mark) = panel.mark {
        let y = chart.y_range();
        let column = [(mark, y.start), (mark, y.end)];
        chart.draw_series(DashedLineSeries::new(column, 6 * UNIT, 4 * UNIT, COLOURS[1].stroke_width(2 * UNIT as u32)))?;
    }
    Ok(())
}

fn style(line: &Line) -> ShapeStyle {
    let unit = UNIT as u32;
    match line.stroke {
        Stroke::Solid => line.colour.stroke_width(2 * unit),
        Stroke::Faint => line.colour.mix(0.5).stroke_width(unit),
        Stroke::Dashed => line.colour.mix(0.7).stroke_width(unit),
    }
}

/// Names the lines below the title, in as many rows as they need. Returns where the plot may begin.
fn legend<B: DrawingBackend>(area: &DrawingArea<B, Shift>, panel: &Panel) -> Drawn<B, i32> {
    const SWATCH: i32 = 20 * UNIT;
    const ROW: i32 = 17 * UNIT;
    let left = 14 * UNIT;
    let (mut x, mut y) = (left, 40 * UNIT);
    if panel.lines.len() < 2 {
        return Ok(34 * UNIT);
    }
    for line in &panel.lines {
        let label = shortened(&line.label, 48);
        let width = area.estimate_text_size(&label, &text(13))?.0 as i32;
        if x > left && x + SWATCH + width > area.dim_in_pixel().0 as i32 - left {
            (x, y) = (left, y + ROW);
        }
        let dashes: &[(i32, i32)] = if line.stroke == Stroke::Dashed { &[(0, 6), (10, 16)] } else { &[(0, 16)] };
        for (from, to) in dashes {
            area.draw(&PathElement::new([(x + from * UNIT, y), (x + to * UNIT, y)], style(line)))?;
        }
        area.draw_text(&label, &text(13), (x + SWATCH, y - 6 * UNIT))?;
        x += SWATCH + width + 14 * UNIT;
    }
    Ok(y + 10 * UNIT)
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most - 1).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loss that is flat, falls around 1e-3 and rises after 3e-2, where the search ends, with noise.
    fn curve(noise: f64) -> Vec<(f64, f64)> {
        let rate = |i: i32| 10f64.powf(-6.0 + 0.06 * f64::from(i));
        let loss = |lr: f64| 1.0 / (1.0 + (lr / 1e-3).powi(2)) + (lr / 0.3).powi(4);
        (0..80).map(|i| (rate(i), loss(rate(i)) + noise * (f64::from(i) * 2.4).sin())).collect()
    }

    #[test]
    fn the_suggestion_keeps_away_from_where_learning_breaks() {
        for noise in [0.0, 0.05] {
            let rate = suggest(&curve(noise)).unwrap();
            assert!((1e-3..1e-2).contains(&rate), "{rate} at noise {noise}");
        }
        let mut broken = curve(0.0);
        broken.extend([(2.0, f64::NAN), (3.0, f64::INFINITY), (0.0, 1.0)]);
        assert_eq!(suggest(&broken), suggest(&curve(0.0)));
        let rising: Vec<(f64, f64)> = curve(0.0).into_iter().map(|(lr, _)| (lr, 1.0 + lr)).collect();
        assert_eq!(suggest(&rising), None);
        assert_eq!(suggest(&[]), None);
    }
}
