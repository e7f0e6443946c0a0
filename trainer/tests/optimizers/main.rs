//! The optimisers.
#![allow(clippy::unwrap_used)] // In a test, a panic is how it fails.

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::{DType, Device, Result, Tensor, Var};
use pytorch::{ADAM, ADAMW, LBFGS, RMSPROP, RMSPROP_WITH_ALL, SGD};
use trainer::optimizer::{
    AdamConfig, AdamwConfig, Hyper, Lbfgs, LbfgsConfig, Optimizer, OptimizerConfig, RmspropConfig, SgdConfig, clip,
};

mod pytorch;

type Parameters = BTreeMap<String, Var>;
type Gradients = BTreeMap<String, Tensor>;

type Loss = dyn Fn(&Parameters) -> Result<Tensor>;

struct Problem {
    parameters: Parameters,
    loss: Box<Loss>,
}

fn tensor(dims: &[usize], dtype: DType, value: impl Fn(f64) -> f64) -> Tensor {
    let count: usize = dims.iter().product();
    let values: Vec<f64> = (0..count).map(|i| value(i as f64)).collect();
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn rosenbrock(n: usize, dtype: DType) -> Problem {
    let x = tensor(&[n], dtype, |i| 0.3 - 0.4 * (i % 3.0));
    let loss = move |parameters: &Parameters| {
        let x = &parameters["x"];
        let (x, next) = (x.narrow(0, 0, n - 1)?, x.narrow(0, 1, n - 1)?);
        let bend = ((next - x.sqr()?)?.sqr()? * 100.0)?;
        (bend + (1.0 - x)?.sqr()?)?.sum_all()
    };
    Problem { parameters: [("x".to_owned(), Var::from_tensor(&x).unwrap())].into(), loss: Box::new(loss) }
}

fn least_squares(dtype: DType) -> Problem {
    let (x, y) = (tensor(&[5, 3], dtype, |i| (i + 1.0).sin()), tensor(&[5, 2], dtype, |i| (2.0 * i).cos()));
    let bias = tensor(&[2], dtype, |_| 0.0);
    let weight = tensor(&[3, 2], dtype, |i| 0.1 * i - 0.2);
    let parameters = [("bias", bias), ("weight", weight)].map(|(name, t)| (name.to_owned(), Var::from_tensor(&t).unwrap()));
    let loss = move |p: &Parameters| (x.matmul(&p["weight"])?.broadcast_add(&p["bias"])? - &y)?.sqr()?.mean_all();
    Problem { parameters: parameters.into(), loss: Box::new(loss) }
}

impl Problem {
    fn loss(&self) -> f64 {
        (self.loss)(&self.parameters).unwrap().to_dtype(DType::F64).unwrap().to_scalar().unwrap()
    }

    fn gradients(&self) -> Gradients {
        let store = (self.loss)(&self.parameters).unwrap().backward().unwrap();
        self.parameters.iter().map(|(name, var)| (name.clone(), store.get(var).unwrap().clone())).collect()
    }

    fn weights(&self) -> Vec<f64> {
        let values = |var: &Var| var.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        self.parameters.values().flat_map(values).collect()
    }

    /// The same with variables of its own.
    fn copy(self) -> Self {
        let copies = self.parameters.iter().map(|(name, var)| (name.clone(), Var::from_tensor(&var.copy().unwrap()).unwrap()));
        Self { parameters: copies.collect(), ..self }
    }
}

/// Makes some steps; returns the losses. With `moving`, the momentum falls and the bias has half the rate.
fn follow(optimizer: &mut dyn Optimizer, problem: &Problem, rate: f64, moving: bool, steps: Range<u32>) -> Vec<f64> {
    let share = |name: &str| if moving && name == "bias" { 0.5 } else { 1.0 };
    let step = |step| {
        let momentum = moving.then_some(0.95 - 0.01 * f64::from(step));
        optimizer.step(&problem.parameters, &problem.gradients(), &Hyper { rate, momentum, share: &share }).unwrap();
        problem.loss()
    };
    steps.map(step).collect()
}

/// To 1e-5, relative or absolute.
fn assert_close(name: &str, ours: &[f64], reference: &[f64]) {
    assert_eq!(ours.len(), reference.len(), "{name}");
    for (i, (a, b)) in ours.iter().zip(reference).enumerate() {
        assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{name}, value {i}: {a}, PyTorch {b}");
    }
}

fn sgd() -> OptimizerConfig {
    OptimizerConfig::Sgd(SgdConfig { momentum: 0.9, weight_decay: 0.01 })
}

fn rmsprop() -> OptimizerConfig {
    OptimizerConfig::Rmsprop(RmspropConfig { alpha: 0.9, epsilon: 1e-3, momentum: 0.5, weight_decay: 0.01 })
}

fn adamw() -> OptimizerConfig {
    OptimizerConfig::Adamw(AdamwConfig { weight_decay: 0.1, ..AdamwConfig::default() })
}

#[test]
fn first_order_trajectories_are_those_of_pytorch() {
    let cases = [
        (sgd(), 2e-4, 0.05, SGD),
        (OptimizerConfig::Adam(AdamConfig::default()), 0.02, 0.05, ADAM),
        (adamw(), 0.02, 0.05, ADAMW),
        (OptimizerConfig::Rmsprop(RmspropConfig::default()), 0.002, 0.01, RMSPROP),
        (rmsprop(), 0.002, 0.01, RMSPROP_WITH_ALL),
    ];
    for (config, slow, fast, references) in cases {
        let problems = [(rosenbrock(4, DType::F64), slow, false), (least_squares(DType::F32), fast, true)];
        for ((problem, rate, moving), reference) in problems.into_iter().zip(references) {
            let name = format!("{config:?} at {rate}");
            let losses = follow(&mut *config.build(), &problem, rate, moving, 0..20);
            assert_close(&name, &losses, reference.losses);
            assert_close(&name, &problem.weights(), reference.weights);
        }
    }
}

/// Some calls; returns the losses and the evaluations.
fn descend(lbfgs: &mut Lbfgs, problem: &Problem, calls: usize) -> (Vec<f64>, u64) {
    let mut evaluations = 0;
    let call = |_| {
        let report = lbfgs.step(&problem.parameters, || Ok((problem.loss(), problem.gradients()))).unwrap();
        evaluations += report.evaluations;
        report.loss
    };
    ((0..calls).map(call).collect(), evaluations)
}

fn lbfgs(max_iterations: u64, max_evaluations: u64) -> Lbfgs {
    Lbfgs::new(LbfgsConfig { max_iterations, max_evaluations, history: 5, ..LbfgsConfig::default() })
}

#[test]
fn lbfgs_trajectories_are_those_of_pytorch() {
    let rosenbrock = || rosenbrock(10, DType::F64);
    let cases = [
        (rosenbrock(), lbfgs(1, 1), 20, 42),
        (rosenbrock(), lbfgs(7, 8), 3, 24),
        (least_squares(DType::F64), lbfgs(20, 25), 1, 9),
    ];
    for ((problem, mut lbfgs, calls, evaluations), reference) in cases.into_iter().zip(LBFGS) {
        let name = format!("L-BFGS, {calls} calls");
        let (losses, evaluated) = descend(&mut lbfgs, &problem, calls);
        assert_close(&name, &losses, reference.losses);
        assert_close(&name, &problem.weights(), reference.weights);
        assert_eq!(evaluated, evaluations, "{name}");
    }
    // In the precision of a picture.
    let problem = least_squares(DType::F32);
    let (losses, _) = descend(&mut lbfgs(20, 25), &problem, 1);
    assert_close("L-BFGS in f32", &losses, LBFGS[2].losses);
}

#[test]
fn a_restored_optimiser_goes_on_as_if_it_had_never_stopped() {
    for config in [sgd(), OptimizerConfig::default(), adamw(), rmsprop()] {
        let whole = least_squares(DType::F32);
        let expected = follow(&mut *config.build(), &whole, 0.01, true, 0..20);

        let problem = least_squares(DType::F32);
        let mut stopped = config.build();
        follow(&mut *stopped, &problem, 0.01, true, 0..9);
        let (problem, mut optimizer) = (problem.copy(), config.build());
        optimizer.restore(stopped.state(), stopped.steps(), &problem.parameters).unwrap();
        let losses = follow(&mut *optimizer, &problem, 0.01, true, 9..20);
        assert_eq!(losses, expected[9..], "{config:?}");
        assert_eq!(problem.weights(), whole.weights(), "{config:?}");
    }

    let whole = rosenbrock(10, DType::F32);
    let (expected, _) = descend(&mut lbfgs(1, 1), &whole, 15);
    let problem = rosenbrock(10, DType::F32);
    let mut stopped = lbfgs(1, 1);
    descend(&mut stopped, &problem, 8);
    let (problem, mut optimizer) = (problem.copy(), lbfgs(1, 1));
    optimizer.restore(stopped.state(), stopped.steps(), &problem.parameters).unwrap();
    let (losses, _) = descend(&mut optimizer, &problem, 7);
    assert_eq!(losses, expected[8..]);
    assert_eq!(problem.weights(), whole.weights());
}

#[test]
fn a_broken_state_is_named_and_changes_nothing() {
    let problem = least_squares(DType::F32);
    let mut optimizer = OptimizerConfig::default().build();
    follow(&mut *optimizer, &problem, 0.01, false, 0..3);
    let state = optimizer.state();
    let zeros = tensor(&[4], DType::F32, |_| 0.0);
    type Break = fn(&mut Gradients, Tensor);
    let cases: [(Break, &[&str]); 3] = [
        (|state, _| drop(state.remove("square.weight")), &["lacks `square.weight`"]),
        (|state, zeros| drop(state.insert("mean.bias".into(), zeros)), &["`mean.bias`", "[4]", "[2]"]),
        (|state, zeros| drop(state.insert("mean.other".into(), zeros)), &["`mean.other`"]),
    ];
    for (break_it, expected) in cases {
        let mut broken = state.clone();
        break_it(&mut broken, zeros.clone());
        let said = optimizer.restore(broken, 3, &problem.parameters).unwrap_err().to_string();
        assert!(expected.iter().all(|part| said.contains(part)), "{said}");
    }
    assert_eq!(optimizer.steps(), 3);

    let mut optimizer = lbfgs(1, 1);
    descend(&mut optimizer, &problem, 4);
    let mut state = optimizer.state();
    state.remove("change.1");
    let said = optimizer.restore(state, 4, &problem.parameters).unwrap_err().to_string();
    assert!(said.contains("lacks `change.1`"), "{said}");
}

#[test]
fn a_parameter_that_is_thawed_later_begins_as_a_young_one() {
    let problem = least_squares(DType::F64);
    let mut optimizer = OptimizerConfig::default().build();
    let before = problem.weights();
    let hyper = Hyper { rate: 0.01, momentum: None, share: &|_| 1.0 };
    for _ in 0..5 {
        let mut gradients = problem.gradients();
        gradients.remove("weight");
        optimizer.step(&problem.parameters, &gradients, &hyper).unwrap();
    }
    assert_eq!(problem.weights()[2..], before[2..]);
    optimizer.step(&problem.parameters, &problem.gradients(), &hyper).unwrap();
    for (now, before) in problem.weights()[2..].iter().zip(&before[2..]) {
        assert!(((now - before).abs() - 0.01).abs() < 1e-6, "Adam's first step is as long as the rate, not {}", now - before);
    }
}

#[test]
fn lbfgs_keeps_the_weights_when_the_loss_cannot_be_computed() {
    let problem = rosenbrock(10, DType::F64);
    let mut optimizer = lbfgs(20, 25);
    descend(&mut optimizer, &problem, 1);
    let before = problem.weights();
    let mut calls = 0;
    let failed = optimizer.step(&problem.parameters, || {
        calls += 1;
        if calls == 2 { anyhow::bail!("out of memory") } else { Ok((problem.loss(), problem.gradients())) }
    });
    assert_eq!(failed.unwrap_err().to_string(), "out of memory");
    assert_eq!(problem.weights(), before);
    let said = optimizer.step(&problem.parameters, || Ok((f64::NAN, problem.gradients()))).unwrap_err().to_string();
    assert!(said.contains("NaN"), "{said}");

    // A step into what is not a number is too far, not the end.
    let fence = || {
        let loss = if problem.weights() == before { problem.loss() } else { f64::NAN };
        Ok((loss, problem.gradients()))
    };
    let report = optimizer.step(&problem.parameters, fence).unwrap();
    assert_eq!((report.loss, report.converged), (report.before, true));
    assert_eq!(problem.weights(), before);
}

#[test]
fn gradients_are_clipped_together() {
    let mut gradients: Gradients =
        [("a", 3.0), ("b", 4.0)].map(|(name, g)| (name.into(), tensor(&[1], DType::F32, |_| g))).into();
    let values = |g: &Gradients| g.values().map(|g| g.to_vec1::<f32>().unwrap()[0]).collect::<Vec<_>>();
    assert_eq!(clip(&mut gradients, 10.0).unwrap(), 5.0);
    assert_eq!(values(&gradients), [3.0, 4.0]);
    assert_eq!(clip(&mut gradients, 1.0).unwrap(), 5.0);
    let clipped: Vec<f64> = values(&gradients).into_iter().map(f64::from).collect();
    assert_close("clipped", &clipped, &[0.6, 0.8]);
    gradients.insert("c".into(), tensor(&[1], DType::F32, |_| f64::NAN));
    assert!(clip(&mut gradients, 0.1).unwrap().is_nan());
    assert_eq!(values(&gradients)[1], 0.8);
}

#[test]
fn constants_are_read_and_checked() {
    let read = |text: &str| toml::from_str::<OptimizerConfig>(text);
    let config = read("[adam]\nbeta2 = 0.999").unwrap();
    assert_eq!(config, OptimizerConfig::Adam(AdamConfig { beta2: 0.999, ..AdamConfig::default() }));
    for config in [sgd(), adamw(), rmsprop()] {
        assert_eq!(read(&toml::to_string(&config).unwrap()).unwrap(), config);
        config.validate().unwrap();
    }
    let said = read("[sgd]\nbeta2 = 0.999").unwrap_err().to_string();
    assert!(said.contains("beta2"), "{said}");
    let said = read("[adam]\nbeta2 = 1.0").unwrap().validate().unwrap_err().to_string();
    assert_eq!(said, "Adam: beta2 is 1, and must be at least 0 and below 1");
}
