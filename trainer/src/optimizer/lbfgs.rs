use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::line_search::{self, Point};
use super::{take, used_up};

/// Constants of [`Lbfgs`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LbfgsConfig {
    /// The first length that is tried along a direction, as part of Newton's.
    pub rate: f64,
    /// Iterations a call of [`Lbfgs::step`].
    pub max_iterations: u64,
    /// No new iteration after so many evaluations in a call.
    pub max_evaluations: u64,
    /// Pairs of vectors that are remembered; each is twice the size of the parameters.
    pub history: usize,
    /// A gradient with no component above it is flat.
    pub tolerance_gradient: f64,
    /// A change of weights or loss below it is none.
    pub tolerance_change: f64,
}

impl Default for LbfgsConfig {
    fn default() -> Self {
        Self {
            rate: 1.0,
            max_iterations: 20,
            max_evaluations: 25,
            history: 100,
            tolerance_gradient: 1e-7,
            tolerance_change: 1e-9,
        }
    }
}

/// What a call of [`Lbfgs::step`] did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LbfgsReport {
    /// The loss before.
    pub before: f64,
    /// The loss of the new weights.
    pub loss: f64,
    /// Iterations.
    pub iterations: u64,
    /// Evaluations of the loss.
    pub evaluations: u64,
    /// Whether there is nothing more to gain: the gradient is flat, or weights and loss no longer change.
    pub converged: bool,
}

/// A step and how the gradient changed over it.
struct Pair {
    step: Tensor,
    change: Tensor,
    /// `step . change`.
    curvature: f64,
}

/// L-BFGS (Nocedal 1980; Liu and Nocedal 1989) with a strong Wolfe line search, as PyTorch has it. For a deterministic loss, e.g.
/// the pixels of one picture. Vectors stay on the device; only dot products and maxima come to the host.
pub struct Lbfgs {
    config: LbfgsConfig,
    pairs: VecDeque<Pair>,
    /// The last step and the gradient before it: half of the next pair.
    last: Option<(Tensor, Tensor)>,
    iterations: u64,
}

impl Lbfgs {
    /// At iteration 0.
    pub fn new(config: LbfgsConfig) -> Self {
        Self { config, pairs: VecDeque::new(), last: None, iterations: 0 }
    }

    /// Iterations in all.
    pub fn steps(&self) -> u64 {
        self.iterations
    }

    /// Some iterations. `closure` gives the loss of the present weights and its gradients by name; a parameter without one is
    /// left alone.
    ///
    /// # Errors
    /// When the loss before is not finite, the parameters are of several dtypes or devices, or those of `closure`; then the
    /// weights are those before the iteration.
    pub fn step(
        &mut self,
        parameters: &BTreeMap<String, Var>,
        mut closure: impl FnMut() -> Result<(f64, BTreeMap<String, Tensor>)>,
    ) -> Result<LbfgsReport> {
        let config = self.config;
        let evaluations = Cell::new(0);
        let mut evaluate = || {
            evaluations.set(evaluations.get() + 1);
            let (loss, gradients) = closure()?;
            anyhow::Ok((
                loss,
                flatten(parameters, |name, var| match gradients.get(name) {
                    Some(gradient) => Ok(gradient.detach()),
                    None => var.zeros_like(),
                })?,
            ))
        };
        let mut weights = flatten(parameters, |_, var| Ok(var.as_detached_tensor()))?.copy()?;
        let (mut loss, mut gradient) = evaluate()?;
        ensure!(loss.is_finite(), "L-BFGS: the loss is {loss}");
        let before = loss;
        let mut iterations = 0;
        let mut converged = largest(&gradient)? <= config.tolerance_gradient;
        while !converged && iterations < config.max_iterations {
            let direction = self.direction(&gradient)?;
            let slope = dot(&gradient, &direction)?;
            if slope > -config.tolerance_change || slope.is_nan() {
                converged = true;
                break;
            }
            let first = match self.iterations {
                0 => config.rate * (1.0 / sum(&gradient.abs()?)?).min(1.0),
                _ => config.rate,
            };
            let origin = Point { at: 0.0, loss, slope, gradient: gradient.clone() };
            let shortest = config.tolerance_change / largest(&direction)?;
            let found = line_search::search(&origin, first, shortest, |at| {
                assign(parameters, &(&weights + (&direction * at)?)?)?;
                let (loss, gradient) = evaluate()?;
                // What is not a number is too far.
                let loss = if loss.is_nan() { f64::INFINITY } else { loss };
                Ok(Point { at, loss, slope: dot(&gradient, &direction)?, gradient })
            });
            let point = match found {
                Ok(point) => point,
                Err(error) => {
                    assign(parameters, &weights)?;
                    return Err(error);
                }
            };
            let step = (direction * point.at)?;
            weights = (weights + &step)?;
            assign(parameters, &weights)?;
            let gain = (loss - point.loss).abs();
            iterations += 1;
            self.iterations += 1;
            converged = largest(&point.gradient)? <= config.tolerance_gradient
                || largest(&step)? <= config.tolerance_change
                || gain < config.tolerance_change;
            self.last = Some((step, gradient));
            (loss, gradient) = (point.loss, point.gradient);
            if evaluations.get() >= config.max_evaluations {
                break;
            }
        }
        Ok(LbfgsReport { before, loss, iterations, evaluations: evaluations.get(), converged })
    }
    /// Downhill by the inverse Hessian that the pairs approximate (the two-loop recursion).
    fn direction(&mut self, gradient: &Tensor) -> Result<Tensor> {
        if let Some((step, before)) = self.last.take() {
            let pair = Pair::new(step, (gradient - before)?)?;
            if pair.curvature > LEAST_CURVATURE && self.config.history > 0 {
                if self.pairs.len() == self.config.history {
                    self.pairs.pop_front();
                }
                self.pairs.push_back(pair);
            }
        }
        let mut direction = gradient.neg()?;
        let mut parts = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let part = dot(&pair.step, &direction)? / pair.curvature;
            direction = (direction - (&pair.change * part)?)?;
            parts.push(part);
        }
        if let Some(pair) = self.pairs.back() {
            direction = (direction * (pair.curvature / dot(&pair.change, &pair.change)?))?;
        }
        for (pair, part) in self.pairs.iter().zip(parts.iter().rev()) {
            let back = dot(&pair.change, &direction)? / pair.curvature;
            direction = (direction + (&pair.step * (part - back))?)?;
        }
        Ok(direction)
    }

    /// All that resuming needs beside the count of steps: the pairs, oldest first, and the half of the next one. Vectors of all
    /// parameters one after the other.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let pairs = self.pairs.iter().enumerate();
        let pairs = pairs.flat_map(|(i, pair)| [(step_name(i), &pair.step), (change_name(i), &pair.change)]);
        let last = self.last.iter();
        let last = last.flat_map(|(step, gradient)| [(LAST_STEP.to_owned(), step), (LAST_GRADIENT.to_owned(), gradient)]);
        pairs.chain(last).map(|(name, tensor)| (name, tensor.clone())).collect()
    }

    /// Takes what [`Lbfgs::state`] gave, to go on as if it had never stopped.
    ///
    /// # Errors
    /// Names what is missing, of other dims, or unknown; then nothing has changed.
    pub fn restore(&mut self, mut state: BTreeMap<String, Tensor>, steps: u64, parameters: &BTreeMap<String, Var>) -> Result<()> {
        let var = parameters.values().next().context("L-BFGS: no parameters")?;
        let count = parameters.values().map(|var| var.elem_count()).sum();
        let vector = |state: &mut BTreeMap<String, Tensor>, name: &str| {
            Ok::<_, anyhow::Error>(take(state, name, &[count])?.to_device(var.device())?.to_dtype(var.dtype())?)
        };
        let mut restored = Self::new(self.config);
        restored.iterations = steps;
        while state.contains_key(&step_name(restored.pairs.len())) {
            let i = restored.pairs.len();
            let pair = Pair::new(vector(&mut state, &step_name(i))?, vector(&mut state, &change_name(i))?)?;
            restored.pairs.push_back(pair);
        }
        if steps > 0 {
            restored.last = Some((vector(&mut state, LAST_STEP)?, vector(&mut state, LAST_GRADIENT)?));
        }
        used_up(&state)?;
        *self = restored;
        Ok(())
    }
}

/// A pair of less curvature would spoil the approximation.
const LEAST_CURVATURE: f64 = 1e-10;

const LAST_STEP: &str = "last.step";
const LAST_GRADIENT: &str = "last.gradient";

fn step_name(pair: usize) -> String {
    format!("step.{pair}")
}

fn change_name(pair: usize) -> String {
    format!("change.{pair}")
}

impl Pair {
    fn new(step: Tensor, change: Tensor) -> Result<Self> {
        Ok(Self { curvature: dot(&step, &change)?, step, change })
    }
}

/// One vector of what `part` gives for every parameter.
fn flatten(parameters: &BTreeMap<String, Var>, part: impl Fn(&str, &Var) -> candle_core::Result<Tensor>) -> Result<Tensor> {
    let part = |(name, var): (&String, &Var)| -> Result<_> {
        let part = part(name, var)?;
        ensure!(part.dims() == var.dims(), "L-BFGS: the gradient of `{name}` is {:?} and must be {:?}", part.dims(), var.dims());
        Ok(part.flatten_all()?)
    };
    let parts = parameters.iter().map(part).collect::<Result<Vec<_>>>()?;
    ensure!(!parts.is_empty(), "L-BFGS: no parameters");
    Ok(Tensor::cat(&parts, 0)?)
}

/// The inverse of [`flatten`].
fn assign(parameters: &BTreeMap<String, Var>, vector: &Tensor) -> Result<()> {
    let mut begin = 0;
    for var in parameters.values() {
        let count = var.elem_count();
        var.set(&vector.narrow(0, begin, count)?.reshape(var.dims())?)?;
        begin += count;
    }
    Ok(())
}

/// Summed up in f64.
fn sum(vector: &Tensor) -> Result<f64> {
    Ok(vector.to_dtype(DType::F64)?.sum_all()?.to_scalar()?)
}

fn dot(a: &Tensor, b: &Tensor) -> Result<f64> {
    sum(&(a * b)?)
}

/// The largest absolute value.
fn largest(vector: &Tensor) -> Result<f64> {
    Ok(vector.abs()?.max(0)?.to_dtype(DType::F64)?.to_scalar()?)
}
