//! Plots, as SVG for pages and as PNG for everything else.

use std::sync::Once;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use shared::picture::{Format, Picture};

use super::Record;

/// Lines in one system of axes.
pub struct Panel {
    title: String,
    x_label: &'static str,
    /// Axes whose values are drawn as their decimal logarithm.
    log: [bool; 2],
    lines: Vec<Line>,
    /// A value of x to point at.
    mark: Option<f64>,
}

struct Line {
    label: String,
    points: Vec<(f64, f64)>,
    /// A reference, not a result: thin.
    faint: bool,
}

/// Pixels of a panel.
const SIZE: (u32, u32) = (880, 260);

/// Okabe and Ito's colours, told apart with any colour vision, on white as on black.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Legible on white and on black.
const INK: RGBColor = RGBColor(118, 122, 130);

/// The curves of runs: losses, every metric, the learning rate.
pub fn curves(records: &[&Record]) -> Vec<Panel> {
    let mut panels = Vec::new();
    let line = |record: &Record, column: &str, faint| {
        let name = column.replace('_', " ");
        let label = if records.len() > 1 { format!("{}: {name}", record.name) } else { name };
        Line { label, points: record.series(column), faint }
    };
    let mut panel = |title: &str, columns: &[&str], log: bool| {
        let mut lines: Vec<Line> = Vec::new();
        for (i, column) in columns.iter().enumerate() {
            lines.extend(records.iter().map(|record| line(record, column, i > 0 && column.starts_with("bicubic_"))));
        }
        lines.retain(|line| !line.points.is_empty());
        if !lines.is_empty() {
            panels.push(Panel { title: title.to_owned(), x_label: "step", log: [false, log], lines, mark: None });
        }
    };
    let spread = |column: &str| {
        let values = records.iter().flat_map(|r| r.series(column)).map(|(_, y)| y);
        let (low, high) = values.fold((f64::INFINITY, 0f64), |(low, high), y| (low.min(y), high.max(y)));
        low > 0.0 && high > 10.0 * low
    };
    panel("loss", &["train_loss", "valid_loss"], spread("train_loss"));
    let mut metrics: Vec<&String> = records.iter().flat_map(|r| r.metrics()).collect();
    metrics.sort();
    metrics.dedup();
    for metric in metrics {
        panel(metric, &[metric, &format!("bicubic_{metric}")], false);
    }
    panel("learning rate", &["rate"], false);
    panels
}

/// The plot of a search for a learning rate: losses by rates.
///
/// # Errors
/// When it cannot be drawn.
pub fn lr_find(points: &[(f64, f64)], suggestion: f64) -> Result<(String, Vec<u8>)> {
    let line = |label: &str, points, faint| Line { label: label.to_owned(), points, faint };
    let lines = vec![line("smoothed", smoothed(points), false), line("loss", points.to_vec(), true)];
    let title = format!("suggested learning rate: {suggestion:.1e}");
    let panels = [Panel { title, x_label: "learning rate", log: [true, false], lines, mark: Some(suggestion) }];
    Ok((svg(&panels)?, png(&panels)?))
}

/// A learning rate from the losses that rising rates gave: a tenth of the one where the smoothed loss is lowest, so that there is
/// room before learning breaks (fast.ai's rule). The steepest descent, its other rule, follows the noise of the first batches when a
/// network starts as well as ours, which add to a picture that is already there. `None` when the loss fell by less than 5 %.
pub fn suggest(points: &[(f64, f64)]) -> Option<f64> {
    let curve = smoothed(points);
    let (rate, lowest) = curve.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1))?;
    (lowest < 0.95 * curve.first()?.1).then_some(rate / 10.0)
}

/// An exponential moving average in both directions, so that it does not lag.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    const KEEP: f64 = 0.85;
    fn pass(values: impl Iterator<Item = f64>) -> Vec<f64> {
        let mut mean = None;
        values
            .map(|v| {
                let next = mean.map_or(v, |m: f64| KEEP * m + (1.0 - KEEP) * v);
                mean = Some(next);
                next
            })
            .collect()
    }
    let forward = pass(points.iter().map(|(_, y)| *y));
    let mut backward = pass(points.iter().rev().map(|(_, y)| *y));
    backward.reverse();
    points.iter().zip(forward.iter().zip(&backward)).map(|((x, _), (a, b))| (*x, (a + b) / 2.0)).collect()
}

/// As SVG without a background, for light and dark pages.
///
/// # Errors
/// When it cannot be drawn.
pub fn svg(panels: &[Panel]) -> Result<String> {
    let mut text = String::new();
    let root = SVGBackend::with_string(&mut text, size(panels)).into_drawing_area();
    draw(&root, panels)?;
    drop(root);
    Ok(text)
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
    let rgba = rgb.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
    Ok(Picture::from_rgba8(width as usize, height as usize, rgba)?.encode(Format::Png)?)
}

fn size(panels: &[Panel]) -> (u32, u32) {
    (SIZE.0, SIZE.1 * (panels.len().max(1) as u32))
}

fn draw<B: DrawingBackend>(root: &DrawingArea<B, Shift>, panels: &[Panel]) -> Result<()>
where
    B::ErrorType: 'static,
{
    static FONT: Once = Once::new();
    // The program's own, so that the plots look the same on every machine.
    FONT.call_once(|| {
        let _ = register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular());
    });
    for (area, panel) in root.split_evenly((panels.len().max(1), 1)).iter().zip(panels) {
        draw_panel(area, panel).map_err(|e| anyhow!("cannot plot {}: {e}", panel.title))?;
    }
    root.present().map_err(|e| anyhow!("cannot plot: {e}"))
}

fn draw_panel<B: DrawingBackend>(area: &DrawingArea<B, Shift>, panel: &Panel) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let scale = |log: bool, v: f64| if log { v.max(f64::MIN_POSITIVE).log10() } else { v };
    let at = |(x, y): (f64, f64)| (scale(panel.log[0], x), scale(panel.log[1], y));
    let points = || panel.lines.iter().flat_map(|line| line.points.iter().copied().map(at));
    let range = |values: &mut dyn Iterator<Item = f64>, margin: f64| {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let pad = if high > low { margin * (high - low) } else { 0.5 * high.abs().max(1e-3) };
        low - pad..high + pad
    };
    let label = |log: bool, v: f64| match if log { 10f64.powf(v) } else { v } {
        v if v != 0.0 && !(1e-3..1e5).contains(&v.abs()) => format!("{v:.1e}"),
        v => format!("{}", (v * 1e4).round() / 1e4),
    };
    let text = |size: i32| ("sans-serif", size).into_font().color(&INK);
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, text(17))
        .margin(10)
        .margin_right(24)
        .x_label_area_size(34)
        .y_label_area_size(64)
        .build_cartesian_2d(range(&mut points().map(|p| p.0), 0.0), range(&mut points().map(|p| p.1), 0.05))?;
    chart
        .configure_mesh()
        .bold_line_style(INK.mix(0.25))
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .label_style(text(13))
        .x_desc(panel.x_label)
        .x_labels(8)
        .y_labels(6)
        .x_label_formatter(&|v| label(panel.log[0], *v))
        .y_label_formatter(&|v| label(panel.log[1], *v))
        .draw()?;
    for (line, colour) in panel.lines.iter().zip(COLOURS.iter().cycle()) {
        let style = if line.faint { colour.mix(0.6).stroke_width(1) } else { colour.mix(1.0).stroke_width(2) };
        let series =
            LineSeries::new(line.points.iter().copied().map(at), style).point_size(if line.points.len() == 1 { 3 } else { 0 });
        chart.draw_series(series)?.label(&line.label).legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
    }
    if let Some(mark) = panel.mark {
        let (x, _) = at((mark, 1.0));
        let column = chart.y_range();
        chart.draw_series([PathElement::new([(x, column.start), (x, column.end)], INK.stroke_width(2))])?;
    }
    if panel.lines.len() > 1 {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .border_style(TRANSPARENT)
            .label_font(text(13))
            .draw()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loss that is flat, falls around 1e-3 and rises after 3e-2, where the search ends.
    fn curve() -> Vec<(f64, f64)> {
        let rate = |i: i32| 10f64.powf(-6.0 + 0.06 * f64::from(i));
        let loss = |lr: f64| 1.0 / (1.0 + (lr / 1e-3).powi(2)) + (lr / 0.3).powi(4);
        (0..80).map(|i| (rate(i), loss(rate(i)))).collect()
    }

    #[test]
    fn the_suggestion_keeps_away_from_where_learning_breaks() {
        let rate = suggest(&curve()).unwrap();
        assert!((1e-3..1e-2).contains(&rate), "{rate}");
        let rising: Vec<(f64, f64)> = curve().into_iter().map(|(lr, _)| (lr, 1.0 + lr)).collect();
        assert_eq!(suggest(&rising), None);
        assert_eq!(suggest(&[]), None);
    }

    #[test]
    fn plots_can_be_read() {
        let (svg, png) = lr_find(&curve(), 1e-3).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("learning rate") && svg.contains("polyline"));
        let picture = Picture::decode(&png).unwrap();
        assert_eq!((picture.width(), picture.height()), (880, 260));
    }
}
