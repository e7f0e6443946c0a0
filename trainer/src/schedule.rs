//! Learning rate and momentum over a run, and over the layers of a network.

use std::f64::consts::PI;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// A function of the part of the run that is done, 0 to 1. In TOML: `schedule = "cosine"`, `[schedule.one-cycle]` with the constants
/// that are not to be the usual ones, or `[[schedule.phases]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// The highest rate, always.
    Constant,
    /// From the highest rate to nothing (Loshchilov and Hutter 2016, arXiv:1608.03983).
    Cosine,
    /// Warm-up, then a long decline.
    OneCycle(OneCycle),
    /// Straight up, then straight down.
    Clr(Clr),
    /// One [`Phase`] after the other.
    Phases(Vec<Phase>),
}

/// One-cycle (Smith 2018, arXiv:1803.09820), along cosines as fast.ai has it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OneCycle {
    /// The part of the run that is warm-up.
    pub warm_up: f64,
    /// The rate begins at the highest divided by it.
    pub div: f64,
    /// At the end the rate does not fall below the highest divided by it.
    pub final_div: f64,
    /// The momentum at the lowest rate and at the highest, e.g. 0.95 and 0.85; none: the optimiser's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<[f64; 2]>,
}

impl Default for OneCycle {
    fn default() -> Self {
        Self { warm_up: 0.1, div: 25.0, final_div: 1000.0, momentum: None }
    }
}

/// The slanted triangle that fast.ai's lessons of 2018 ask for with `use_clr=(div, cut_div)` (Howard and Ruder 2018,
/// arXiv:1801.06146).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clr {
    /// The rate begins and ends at the highest divided by it.
    pub div: f64,
    /// The run divided by it is the way up.
    pub cut_div: f64,
}

impl Default for Clr {
    fn default() -> Self {
        Self { div: 4.0, cut_div: 8.0 }
    }
}

/// A part of a run: fast.ai's `TrainingPhase`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Its length compared with the other phases': parts of the run, epochs or steps, the same for all.
    pub share: f64,
    /// The part of the highest rate.
    pub rate: Span,
    /// The momentum; none: the optimiser's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<Span>,
}

/// A value that moves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// At the beginning.
    pub from: f64,
    /// At the end; none: it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<f64>,
    /// On which way.
    #[serde(default)]
    pub shape: Shape,
}

/// The way of a [`Span`], with x from 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Shape {
    /// It stays where it begins.
    Constant,
    /// Straight.
    #[default]
    Linear,
    /// Half a wave, flat at both ends.
    Cosine,
    /// By the same factor in the same time.
    Exponential,
    /// The rest of the way is (1 - x) to this power.
    Polynomial(f64),
}

impl Default for Schedule {
    fn default() -> Self {
        Self::OneCycle(OneCycle::default())
    }
}

impl Schedule {
    /// The triangle with its usual constants.
    pub fn clr() -> Self {
        Self::Clr(Clr::default())
    }

    /// Reads a TOML file with a schedule, e.g. `[[phases]]`.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self> {
        let read = || -> Result<Self> {
            let schedule: Self = toml::from_str(&std::fs::read_to_string(path)?)?;
            schedule.validate()?;
            Ok(schedule)
        };
        read().with_context(|| path.display().to_string())
    }

    /// Its name as people know it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Cosine => "cosine",
            Self::OneCycle(_) => "one-cycle",
            Self::Clr(_) => "triangle",
            Self::Phases(_) => "phases",
        }
    }

    /// The part of the highest rate and, where the schedule moves it, the momentum, when the part `progress` of the run is done.
    pub fn at(&self, progress: f64) -> (f64, Option<f64>) {
        let x = progress.clamp(0.0, 1.0);
        match self {
            Self::Constant => (1.0, None),
            Self::Cosine => (Shape::Cosine.between(1.0, 0.0, x), None),
            Self::OneCycle(cycle) => cycle.at(x),
            Self::Clr(clr) => (clr.at(x), None),
            Self::Phases(phases) => at_phase(phases, x),
        }
    }

    /// Refuses constants that make no sense, by name.
    ///
    /// # Errors
    /// As said.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Constant | Self::Cosine => Ok(()),
            Self::OneCycle(cycle) => cycle.validate().context("one-cycle"),
            Self::Clr(clr) => clr.validate().context("clr"),
            Self::Phases(phases) => {
                ensure!(!phases.is_empty(), "phases: there is none");
                let mut numbered = phases.iter().zip(1..);
                numbered.try_for_each(|(phase, number)| phase.validate().with_context(|| format!("phase {number}")))
            }
        }
    }
}

fn at_phase(phases: &[Phase], x: f64) -> (f64, Option<f64>) {
    let mut left = x * phases.iter().map(|phase| phase.share).sum::<f64>();
    for (phase, number) in phases.iter().zip(1..) {
        if left < phase.share || number == phases.len() {
            let x = (left / phase.share).min(1.0);
            return (phase.rate.at(x), phase.momentum.map(|momentum| momentum.at(x)));
        }
        left -= phase.share;
    }
    (1.0, None)
}

impl OneCycle {
    fn at(&self, x: f64) -> (f64, Option<f64>) {
        let [slow, fast] = self.momentum.unwrap_or_default();
        let (rate, momentum) = if x < self.warm_up {
            let x = x / self.warm_up;
            (Shape::Cosine.between(1.0 / self.div, 1.0, x), Shape::Cosine.between(slow, fast, x))
        } else {
            let x = (x - self.warm_up) / (1.0 - self.warm_up);
            (Shape::Cosine.between(1.0, 0.0, x).max(1.0 / self.final_div), Shape::Cosine.between(fast, slow, x))
        };
        (rate, self.momentum.map(|_| momentum))
    }

    fn validate(&self) -> Result<()> {
        let Self { warm_up, div, final_div, momentum } = *self;
        ensure!((0.0..1.0).contains(&warm_up), "warm_up is {warm_up}, and must be at least 0 and below 1");
        at_least_one("div", div)?;
        at_least_one("final_div", final_div)?;
        momentum.into_iter().flatten().try_for_each(check_momentum)
    }
}

impl Clr {
    fn at(&self, x: f64) -> f64 {
        let cut = 1.0 / self.cut_div;
        let height = if x < cut { x / cut } else { (1.0 - x) / (1.0 - cut) };
        (1.0 + height * (self.div - 1.0)) / self.div
    }

    fn validate(&self) -> Result<()> {
        at_least_one("div", self.div)?;
        let cut_div = self.cut_div;
        ensure!(cut_div > 1.0 && cut_div.is_finite(), "cut_div is {cut_div}, and must be above 1");
        Ok(())
    }
}

impl Phase {
    fn validate(&self) -> Result<()> {
        ensure!(self.share > 0.0 && self.share.is_finite(), "share is {}, and must be above 0", self.share);
        for rate in self.rate.ends() {
            ensure!(rate >= 0.0 && rate.is_finite(), "rate: {rate} must not be below 0");
        }
        self.rate.validate().context("rate")?;
        let Some(momentum) = self.momentum else { return Ok(()) };
        momentum.ends().into_iter().try_for_each(check_momentum)?;
        momentum.validate().context("momentum")
    }
}

impl Span {
    fn ends(&self) -> [f64; 2] {
        [self.from, self.to.unwrap_or(self.from)]
    }

    fn at(&self, x: f64) -> f64 {
        let [from, to] = self.ends();
        self.shape.between(from, to, x)
    }

    fn validate(&self) -> Result<()> {
        let [from, to] = self.ends();
        match self.shape {
            Shape::Constant => ensure!(from == to, "a constant does not go from {from} to {to}"),
            Shape::Exponential => ensure!(from > 0.0 && to > 0.0, "an exponential from {from} to {to} must stay above 0"),
            Shape::Polynomial(power) => ensure!(power > 0.0 && power.is_finite(), "the power {power} must be above 0"),
            Shape::Linear | Shape::Cosine => {}
        }
        Ok(())
    }
}

impl Shape {
    fn between(self, from: f64, to: f64, x: f64) -> f64 {
        // The rest of the way.
        let rest = match self {
            Self::Constant => 1.0,
            Self::Linear => 1.0 - x,
            Self::Cosine => (1.0 + (PI * x).cos()) / 2.0,
            Self::Exponential => return from * (to / from).powf(x),
            Self::Polynomial(power) => (1.0 - x).powf(power),
        };
        to + (from - to) * rest
    }
}

fn at_least_one(name: &str, value: f64) -> Result<()> {
    ensure!(value >= 1.0 && value.is_finite(), "{name} is {value}, and must be at least 1");
    Ok(())
}

fn check_momentum(value: f64) -> Result<()> {
    ensure!((0.0..1.0).contains(&value), "momentum: {value} must be at least 0 and below 1");
    Ok(())
}

/// Discriminative rates (Howard and Ruder 2018, arXiv:1801.06146): a factor on the rate for each layer, with equal ratios from
/// `first` for the layer next to the input to `last`. `layers` are the beginnings of the parameters' names, in the network's order.
///
/// # Errors
/// When a factor is not above 0.
pub fn discriminative(layers: &[String], first: f64, last: f64) -> Result<Vec<(String, f64)>> {
    for (name, factor) in [("first", first), ("last", last)] {
        ensure!(factor > 0.0 && factor.is_finite(), "discriminative rates: the {name} factor is {factor}, and must be above 0");
    }
    let gaps = layers.len().saturating_sub(1).max(1) as f64;
    let factor = |above: usize| last * (first / last).powf(above as f64 / gaps);
    Ok(layers.iter().rev().enumerate().map(|(above, layer)| (layer.clone(), factor(above))).rev().collect())
}

/// The factor of a parameter's rate: that of the first layer its name begins with, up to a dot or its end; 1 where there is none.
pub fn share(layers: &[(String, f64)], parameter: &str) -> f64 {
    let within = |layer: &str| parameter.strip_prefix(layer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    layers.iter().find(|(layer, _)| within(layer)).map_or(1.0, |(_, factor)| *factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Schedule> {
        let schedule: Schedule = toml::from_str(text)?;
        schedule.validate()?;
        Ok(schedule)
    }

    fn assert_at(schedule: &Schedule, expected: &[(f64, f64)]) {
        for &(progress, rate) in expected {
            let at = schedule.at(progress).0;
            assert!((at - rate).abs() < 1e-9, "{}: {at} at {progress}, not {rate}", schedule.name());
        }
    }

    #[test]
    fn named_schedules_pass_through_their_points() {
        // The published networks were trained with the first.
        assert_at(&Schedule::default(), &[(0.0, 0.04), (0.05, 0.52), (0.1, 1.0), (0.55, 0.5), (1.0, 1e-3), (7.0, 1e-3)]);
        assert_at(&Schedule::Cosine, &[(0.0, 1.0), (1.0 / 3.0, 0.75), (0.5, 0.5), (1.0, 0.0)]);
        assert_at(&Schedule::Constant, &[(0.0, 1.0), (1.0, 1.0)]);
        assert_at(&Schedule::clr(), &[(0.0, 0.25), (0.0625, 0.625), (0.125, 1.0), (0.5625, 0.625), (1.0, 0.25)]);
        let cycle = Schedule::OneCycle(OneCycle { momentum: Some([0.95, 0.85]), ..OneCycle::default() });
        let momenta = [0.0, 0.05, 0.1, 0.55, 1.0].map(|x| (cycle.at(x).1.unwrap() * 1e6).round() / 1e6);
        assert_eq!(momenta, [0.95, 0.9, 0.85, 0.9, 0.95]);
        assert_eq!(Schedule::default().at(0.5).1, None);
    }

    #[test]
    fn phases_follow_each_other() {
        let schedule = read(
            r#"
            [[phases]]
            share = 100
            rate = { from = 0.1, to = 1.0 }
            momentum = { from = 0.95, to = 0.85, shape = "cosine" }
            [[phases]]
            share = 200
            rate = { from = 1.0, shape = "constant" }
            [[phases]]
            share = 100
            rate = { from = 1.0, to = 0.01, shape = "exponential" }
            [[phases]]
            share = 100
            rate = { from = 0.01, to = 0.0, shape = { polynomial = 2 } }
            "#,
        )
        .unwrap();
        assert_at(
            &schedule,
            &[(0.0, 0.1), (0.1, 0.55), (0.2, 1.0), (0.5, 1.0), (0.7, 0.1), (0.8, 0.01), (0.9, 0.0025), (1.0, 0.0)],
        );
        assert!((schedule.at(0.1).1.unwrap() - 0.9).abs() < 1e-9);
        assert_eq!(schedule.at(0.3).1, None);
        assert_eq!(read(&toml::to_string(&schedule).unwrap()).unwrap(), schedule);
    }

    #[test]
    fn bad_schedules_are_named() {
        let phase = "[[phases]]\nshare = 1\nrate = { from = 1.0 }\n[[phases]]\n";
        let cases = [
            ("[one-cycle]\nwarm_up = 1.5".to_owned(), "one-cycle: warm_up is 1.5"),
            ("[one-cycle]\nmomentum = [0.95, 1.0]".to_owned(), "momentum: 1 must be"),
            ("[one-cycle]\nwarmup = 0.5".to_owned(), "warmup"),
            ("[clr]\ncut_div = 1".to_owned(), "clr: cut_div is 1,"),
            ("phases = []".to_owned(), "phases: there is none"),
            (format!("{phase}share = 0\nrate = {{ from = 1.0 }}"), "phase 2: share is 0"),
            (format!("{phase}share = 1\nrate = {{ from = 1.0, to = 0.0, shape = \"exponential\" }}"), "phase 2: rate: an exp"),
            (format!("{phase}share = 1\nrate = {{ from = -1.0 }}"), "phase 2: rate: -1 must"),
            (format!("{phase}share = 1\nrate = {{ from = 1.0, shape = \"wavy\" }}"), "wavy"),
        ];
        for (text, expected) in cases {
            let said = format!("{:#}", read(&text).unwrap_err());
            assert!(said.contains(expected), "{text}: {said}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, "phases = []").unwrap();
        let said = format!("{:#}", Schedule::read(&path).unwrap_err());
        assert!(said.contains("mine.toml: phases"), "{said}");
    }

    #[test]
    fn layers_have_rates_of_their_own() {
        let layers = ["stem", "body.1", "body.10", "head"].map(str::to_owned);
        let rates = discriminative(&layers, 0.001, 1.0).unwrap();
        let at = |name: &str| (share(&rates, name) * 1e6).round() / 1e6;
        assert_eq!([at("stem.weight"), at("body.1.bias"), at("body.10.bias"), at("head")], [0.001, 0.01, 0.1, 1.0]);
        assert_eq!(at("header.weight"), 1.0);
        assert_eq!(discriminative(&layers[..1], 0.1, 1.0).unwrap(), [("stem".to_owned(), 1.0)]);
        assert!(discriminative(&layers, 0.0, 1.0).unwrap_err().to_string().contains("first factor is 0"));
    }
}
