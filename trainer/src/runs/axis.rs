use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// An axis, linear or logarithmic, with ticks at round numbers.
#[derive(Clone)]
pub(super) struct Axis {
    range: Range<f64>,
    log: bool,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Over all values, with `margin` as a part of its length at both ends and about `count` ticks. A logarithmic axis takes
    /// positive values.
    pub fn new(values: impl Iterator<Item = f64>, log: bool, margin: f64, count: usize) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if low <= high { (low, high) } else { (1.0, 1.0) };
        let (low, high) = (forward(log, low), forward(log, high));
        // Values that are all the same still get an axis of some length, one that f64 can divide.
        let pad = if high - low > 1e-9 * high.abs() { margin * (high - low) } else { (0.1 * high.abs()).max(1e-3) };
        let range = backward(log, low - pad)..backward(log, high + pad);
        let mut ticks = if log { decades(&range, count) } else { Vec::new() };
        if ticks.len() < 2 {
            ticks = linear(&range, count);
        }
        Self { range, log, ticks }
    }
}

fn forward(log: bool, value: f64) -> f64 {
    if log { value.max(f64::MIN_POSITIVE).log10() } else { value }
}

fn backward(log: bool, value: f64) -> f64 {
    if log { 10f64.powf(value) } else { value }
}

/// The power of ten of a value's first digit.
fn magnitude(value: f64) -> i32 {
    (value.abs().log10() + 1e-9).floor() as i32
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn linear(range: &Range<f64>, count: usize) -> Vec<(f64, String)> {
    let least = (range.end - range.start) / count.max(1) as f64;
    let power = 10f64.powi(magnitude(least));
    let step = [1.0, 2.0, 5.0].map(|m| m * power).into_iter().find(|step| *step >= least * 0.999).unwrap_or(10.0 * power);
    let largest = range.start.abs().max(range.end.abs());
    let label = |value: f64| match magnitude(step) {
        _ if value == 0.0 => "0".to_owned(),
        6.. => format!("{}M", value / 1e6),
        3.. => format!("{}k", value / 1e3),
        digits if largest < 0.01 => format!("{value:.*e}", (magnitude(value) - digits).max(0) as usize),
        digits => format!("{value:.*}", (-digits).max(0) as usize),
    };
    let (first, last) = ((range.start / step).ceil() as i64, (range.end / step).floor() as i64);
    (first..=last).map(|i| i as f64 * step).map(|value| (value, label(value))).collect()
}

/// Powers of ten; where there are few, 2 and 5 times these too.
fn decades(range: &Range<f64>, count: usize) -> Vec<(f64, String)> {
    let (first, last) = (magnitude(range.start), magnitude(range.end));
    let stride = ((last - first) as usize).div_ceil(count.max(1)).max(1);
    let digits: &[u8] = if (last - first) as usize * 3 <= 2 * count { &[1, 2, 5] } else { &[1] };
    let tick = |power: i32, digit: u8| {
        let label = match power {
            -2..0 => format!("{:.*}", -power as usize, f64::from(digit) * 10f64.powi(power)),
            0..4 => format!("{}", f64::from(digit) * 10f64.powi(power)),
            _ => format!("{digit}e{power}"),
        };
        (f64::from(digit) * 10f64.powi(power), label)
    };
    let all = (first..=last).step_by(stride).flat_map(|power| digits.iter().map(move |digit| tick(power, *digit)));
    all.filter(|(value, _)| range.contains(value)).collect()
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let [low, value, high] = [self.range.start, *value, self.range.end].map(|v| forward(self.log, v));
        from + ((value - low) / (high - low) * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(value, _)| *value).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.ticks.iter().find(|(tick, _)| tick == value).map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_their_labels_tell_them_apart() {
        let labels = |low: f64, high: f64, log: bool| -> String {
            let axis = Axis::new([low, high].into_iter(), log, 0.0, 6);
            axis.ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(labels(0.0, 20_000.0, false), "0 5k 10k 15k 20k");
        assert_eq!(labels(500.0, 2_000.0, false), "500 1000 1500 2000");
        assert_eq!(labels(33.68, 37.2, false), "34 35 36 37");
        assert_eq!(labels(0.9534, 0.9551, false), "0.9535 0.9540 0.9545 0.9550");
        assert_eq!(labels(0.0, 0.002, false), "0 5e-4 1.0e-3 1.5e-3 2.0e-3");
        assert_eq!(labels(-3.0, 3.0, false), "-3 -2 -1 0 1 2 3");
        assert_eq!(labels(0.011, 0.4, true), "0.02 0.05 0.1 0.2");
        assert_eq!(labels(1e-6, 1.0, true), "1e-6 1e-5 1e-4 1e-3 0.01 0.1");
        assert_eq!(labels(3.1, 3.4, true), "3.10 3.15 3.20 3.25 3.30 3.35 3.40");
        assert!(!labels(7.0, 7.0, false).is_empty() && !labels(0.0, 0.0, false).is_empty() && !labels(0.0, 0.0, true).is_empty());
        assert!(!labels(-1e300, 1e300, false).is_empty());
    }
}
