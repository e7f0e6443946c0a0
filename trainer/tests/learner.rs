//! The learner and its callbacks on a task small enough to compute by hand: find the slope of a line.
#![allow(clippy::unwrap_used)] // In a test, a panic is how it fails.

use std::collections::BTreeMap;

use anyhow::Result;
use candle_core::{DType, Device, Tensor, Var};
use shared::checkpoint::{Checkpoint, Metadata};
use shared::models::{ImageConfig, RlfnConfig};
use shared::{Init, Scope};
use trainer::learner::callbacks::{Accumulation, EarlyStopping, Ema, LossScale, LrFinder, NanGuard, Scheduler};
use trainer::learner::{Callback, Flow, Learner, Length, Run, Task, Validation};
use trainer::optimizer::{OptimizerConfig, SgdConfig};
use trainer::schedule::Schedule;

/// `y = slope * x` with the loss `mean((y - target)^2)`; the batch of a step is one `x`.
struct Line {
    x: fn(u64) -> f32,
    target: f32,
}

impl Task for Line {
    type Model = Tensor;
    type Batch = f32;

    fn metadata(&self) -> Metadata {
        Metadata::new(ImageConfig::Rlfn(RlfnConfig { scale: 2, channels: 4, blocks: 1 }))
    }
    fn model(&self, scope: &Scope<Tensor>) -> shared::Result<Tensor> {
        scope.sub("line").get("slope", &[1], Init::Const(0.0))
    }
    fn batch(&self, step: u64, _: f64) -> f32 {
        (self.x)(step)
    }
    fn describe(&self, step: u64) -> String {
        format!("point {step}")
    }
    fn loss(&self, slope: &Tensor, x: f32, _: &Device, dtype: DType) -> Result<Tensor> {
        let off = (slope.affine(x.into(), 0.0)?.to_dtype(DType::F32)? - f64::from(self.target))?;
        assert_eq!(slope.dtype(), dtype);
        Ok(off.sqr()?.mean_all()?)
    }
    fn validate(&self, weights: &Checkpoint, _: &Device) -> Result<Validation> {
        let slope = f64::from(weights.tensors["line.slope"].values[0]);
        Ok(Validation { loss: (slope - 2.0).powi(2), metrics: vec![("closeness", -(slope - 2.0).abs())], sample: None })
    }
}

const LINE: Line = Line { x: |_| 1.0, target: 2.0 };

fn run(length: u64) -> Run {
    let slope = Var::from_slice(&[0.0f32], 1, &Device::Cpu).unwrap();
    let parameters = BTreeMap::from([("line.slope".to_owned(), slope)]);
    let mut run = Run::new(
        parameters,
        OptimizerConfig::Sgd(SgdConfig { momentum: 0.0, weight_decay: 0.0 }).build(),
        Device::Cpu,
        Length::Steps(length),
    );
    run.epoch_steps = 10;
    run
}

fn slope(run: &Run) -> f32 {
    run.parameters["line.slope"].to_vec1().unwrap()[0]
}

fn rate(rate: f64) -> Box<dyn Callback> {
    Box::new(Scheduler { rate, schedule: Schedule::Constant })
}

fn fit(task: &Line, run: Run, callbacks: Vec<Box<dyn Callback + '_>>) -> (Run, Result<()>) {
    let mut learner = Learner::new(task, run, callbacks);
    let outcome = learner.fit();
    (learner.run, outcome)
}

#[test]
fn the_line_is_found() {
    let (run, outcome) = fit(&LINE, run(50), vec![rate(0.1)]);
    outcome.unwrap();
    assert!((slope(&run) - 2.0).abs() < 1e-3);
    assert_eq!((run.step, run.epoch), (50, 5));
    assert!(run.score().unwrap() > -1e-3);
}

#[test]
fn two_half_batches_make_one_step() {
    // Steps from 0 with x = 1 and 3: gradients -4 and -12; their mean is -8.
    let task = Line { x: |step| if step.is_multiple_of(2) { 1.0 } else { 3.0 }, target: 2.0 };
    let (run, _) = fit(&task, run(2), vec![rate(0.1), Box::new(Accumulation { batches: 2 })]);
    assert!((slope(&run) - 0.8).abs() < 1e-6, "{}", slope(&run));
    assert_eq!(run.optimizer.steps(), 1);
}

#[test]
fn what_is_no_number_ends_the_run_and_is_named() {
    let loss = Line { x: |step| if step == 7 { f32::NAN } else { 1.0 }, target: 2.0 };
    let (run_, outcome) = fit(&loss, run(50), vec![rate(0.1), Box::new(NanGuard)]);
    let said = outcome.unwrap_err().to_string();
    assert!(said.contains("step 7") && said.contains("point 7") && said.contains("NaN"), "{said}");
    assert!(slope(&run_).is_finite());

    // The loss fits in f32, its gradient does not.
    let gradient = Line { x: |step| if step == 3 { 1e19 } else { 0.0 }, target: 2.0 };
    let mut before = run(50);
    before.loss_scale = 1e25;
    let (run_, outcome) = fit(&gradient, before, vec![rate(0.1), Box::new(NanGuard)]);
    let said = outcome.unwrap_err().to_string();
    assert!(said.contains("step 3") && said.contains("`line.slope`"), "{said}");
    assert!(slope(&run_).is_finite());
}

#[test]
fn the_run_stops_when_nothing_improves() {
    // With a rate of 0 nothing ever does: the first epoch sets the mark, three more pass.
    let (run, _) = fit(&LINE, run(1000), vec![rate(0.0), Box::new(EarlyStopping { patience: 3 })]);
    assert_eq!(run.epoch, 4);
}

#[test]
fn the_average_follows_and_is_what_is_validated() {
    let (run, _) = fit(&LINE, run(10), vec![rate(0.1), Box::new(Ema { decay: 0.9 })]);
    let average: f32 = run.kept["average.line.slope"].to_vec1().unwrap()[0];
    assert!(average < slope(&run));
    assert!((run.score().unwrap() + f64::from((average - 2.0).abs())).abs() < 1e-6);
}

#[test]
fn a_scaled_loss_gives_the_same_step_and_overflow_none() {
    let mut half = run(5);
    half.dtype = DType::F16;
    let (scaled, outcome) = fit(&LINE, half, vec![rate(0.1), Box::new(LossScale)]);
    outcome.unwrap();
    let (plain, _) = fit(&LINE, run(scaled.optimizer.steps()), vec![rate(0.1)]);
    // 11 bits of precision.
    assert!((slope(&scaled) - slope(&plain)).abs() < 4e-3, "{} and {}", slope(&scaled), slope(&plain));
    // 4 * 65536 is beyond f16: halved until it fits, and those batches made no step.
    assert!(scaled.loss_scale < 65536.0 && (1..5).contains(&scaled.optimizer.steps()), "{}", scaled.loss_scale);
}

#[test]
fn the_rate_rises_until_the_loss_explodes() {
    let mut points = Vec::new();
    let finder = LrFinder { from: 1e-4, to: 100.0, steps: 100, points: &mut points };
    // Points that no line fits: the loss never becomes 0.
    let task = Line { x: |step| if step.is_multiple_of(2) { 1.0 } else { 2.0 }, target: 2.0 };
    let (run, _) = fit(&task, run(100), vec![Box::new(finder)]);
    assert!(run.step < 100, "a rate above 1 makes it diverge");
    assert!(points.len() > 20 && points.is_sorted_by(|a, b| a.0 < b.0));
}

/// Notes what it is asked.
struct Witness<'a>(&'a mut Vec<&'static str>);

impl Callback for Witness<'_> {
    fn before_fit(&mut self, _: &mut Run) -> Result<Flow> {
        self.0.push("before_fit");
        Ok(Flow::Go)
    }
    fn before_epoch(&mut self, _: &mut Run) -> Result<Flow> {
        self.0.push("before_epoch");
        Ok(Flow::Go)
    }
    fn before_batch(&mut self, run: &mut Run) -> Result<Flow> {
        self.0.push("before_batch");
        Ok(if run.step == 1 { Flow::Skip } else { Flow::Go })
    }
    fn after_step(&mut self, run: &mut Run) -> Result<Flow> {
        self.0.push("after_step");
        Ok(if run.step == 2 { Flow::Stop } else { Flow::Go })
    }
    fn after_epoch(&mut self, _: &mut Run) -> Result<Flow> {
        self.0.push("after_epoch");
        Ok(Flow::Go)
    }
    fn after_fit(&mut self, _: &mut Run) -> Result<Flow> {
        self.0.push("after_fit");
        Ok(Flow::Go)
    }
}

#[test]
fn callbacks_skip_batches_and_stop_the_run() {
    let mut seen = Vec::new();
    let (run, _) = fit(&LINE, run(50), vec![Box::new(Witness(&mut seen))]);
    let batches = ["before_batch", "after_step", "before_batch", "before_batch", "after_step"];
    let wanted: Vec<&str> = ["before_fit", "before_epoch"].into_iter().chain(batches).chain(["after_fit"]).collect();
    assert_eq!(seen, wanted);
    assert_eq!(run.step, 3);
}
