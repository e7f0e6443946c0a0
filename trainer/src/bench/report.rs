use serde::Serialize;
use shared::models::ImageConfig;

use super::{Ceilings, Cut, Layer, Times};
use crate::runs::table::columns;

/// All that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `candle` or `webgpu`.
    pub engine: String,
    /// What computed, for people.
    pub device: String,
    /// Threads for a CPU.
    pub threads: usize,
    /// What the device can do at best, if that was asked for.
    pub ceilings: Option<Ceilings>,
    /// How layers were cut, if that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<Cut>,
    /// Layers and networks.
    pub rows: Vec<Row>,
}

/// A layer or a network at one size.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its input, `[N, C, H, W]`.
    pub input: [usize; 4],
    /// The network, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<ImageConfig>,
    /// Floating-point operations, two for every product and sum of its convolutions.
    pub operations: f64,
    /// Bytes that have to move at least; of a network nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<f64>,
    /// Median of the runs in milliseconds.
    pub median_ms: f64,
    /// The shortest run in milliseconds.
    pub least_ms: f64,
}

impl Row {
    /// Of a layer.
    pub fn layer(layer: &Layer, times: &Times) -> Self {
        Self {
            name: layer.to_string(),
            input: layer.input(),
            config: None,
            operations: layer.operations(),
            bytes: Some(layer.bytes()),
            median_ms: times.median() * 1e3,
            least_ms: times.least() * 1e3,
        }
    }

    /// Of a network, which takes `operations`.
    pub fn network(name: &str, config: ImageConfig, input: [usize; 4], operations: f64, times: &Times) -> Self {
        let (median_ms, least_ms) = (times.median() * 1e3, times.least() * 1e3);
        Self { name: name.to_owned(), input, config: Some(config), operations, bytes: None, median_ms, least_ms }
    }

    fn gflop_s(&self) -> f64 {
        self.operations / self.median_ms / 1e6
    }

    fn gb_s(&self) -> Option<f64> {
        Some(self.bytes? / self.median_ms / 1e6)
    }
}

impl Report {
    /// A table for people.
    pub fn table(&self) -> String {
        let mut text = format!("{} on {}\n", self.engine, self.device);
        if let Some(Ceilings { copy_gb_s, product_gflop_s, product }) = &self.ceilings {
            text += &format!("ceilings: {} GFLOP/s ({product}), copy {} GB/s\n", three(*product_gflop_s), three(*copy_gb_s));
        }
        if !self.cuts.is_empty() {
            text += &format!("\n{}", columns(&cuts(&self.cuts)));
        }
        if self.rows.is_empty() {
            return text;
        }
        let head = ["", "input", "GFLOP", "median ms", "least ms", "GFLOP/s", "of product", "GB/s", "of copy"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for row in &self.rows {
            let [n, c, h, w] = row.input;
            let share = |value: f64, ceiling: fn(&Ceilings) -> f64| match &self.ceilings {
                Some(ceilings) => format!("{:.0} %", 100.0 * value / ceiling(ceilings)),
                None => String::new(),
            };
            rows.push(vec![
                row.name.clone(),
                format!("{n}x{c}x{h}x{w}"),
                three(row.operations / 1e9),
                three(row.median_ms),
                three(row.least_ms),
                three(row.gflop_s()),
                share(row.gflop_s(), |c| c.product_gflop_s),
                row.gb_s().map(three).unwrap_or_default(),
                row.gb_s().map(|gb_s| share(gb_s, |c| c.copy_gb_s)).unwrap_or_default(),
            ]);
        }
        text + "\n" + &columns(&rows)
    }
}

fn cuts(cuts: &[Cut]) -> Vec<Vec<String>> {
    let head = ["measured to be cut", "ms", "by default", "faster by", "tried", "refused", "fastest"];
    let row = |cut: &Cut| {
        let default = cut.default_ms.map(three).unwrap_or_default();
        let gain = cut.default_ms.map(|default| format!("{:.2}", default / cut.fastest_ms)).unwrap_or_default();
        vec![
            cut.layer.clone(),
            three(cut.fastest_ms),
            default,
            gain,
            cut.tried.to_string(),
            cut.refused.to_string(),
            cut.fastest.clone(),
        ]
    };
    [head.map(str::to_owned).to_vec()].into_iter().chain(cuts.iter().map(row)).collect()
}

/// Three digits, or all before the point.
pub fn three(value: f64) -> String {
    let digits = if value > 0.0 { (2 - value.log10().floor() as i32).clamp(0, 6) as usize } else { 0 };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::three;

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!([0.0, 0.01234, 1.0, 56.78, 999.4, 12_345.6].map(three), ["0", "0.0123", "1.00", "56.8", "999", "12346"]);
    }
}
