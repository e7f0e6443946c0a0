//! Cells that carry a state from word to word: the LSTM (Hochreiter & Schmidhuber 1997) and the GRU (Cho et al. 2014,
//! arXiv:1406.1078).
//!
//! A sequence is a list of its steps, `[B, 1, F]` each. One product for all steps at once would have to be cut into steps again,
//! and the gradient of every cut is as long as the sequence: the backward pass would grow with the square of the length.

use serde::{Deserialize, Serialize};

use crate::layers::{Dropout, Linear};
use crate::{Error, Init, Result, Scope, Tensor};

/// Which cell a recurrent network is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellKind {
    /// Two gates, one state.
    #[default]
    Gru,
    /// Three gates, and a memory beside the state.
    Lstm,
}

/// What a cell carries from step to step.
#[derive(Clone)]
pub struct Hidden<T> {
    /// What others see of it, `[B, 1, F]`.
    pub state: T,
    /// An LSTM's memory, `[B, 1, F]`.
    pub memory: Option<T>,
}

impl<T: Tensor> Hidden<T> {
    /// With every tensor changed by `f`.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn map(&self, mut f: impl FnMut(&T) -> Result<T>) -> Result<Self> {
        Ok(Self { state: f(&self.state)?, memory: self.memory.as_ref().map(f).transpose()? })
    }

    /// This where `present` is 1, and `before` where it is 0, behind the end of a sentence.
    fn where_present(self, before: &Self, present: Option<&T>) -> Result<Self> {
        let Some(present) = present else { return Ok(self) };
        let choose = |new: &T, old: &T| present.mul(&new.sub(old)?)?.add(old);
        let memory = self.memory.as_ref().zip(before.memory.as_ref()).map(|(new, old)| choose(new, old)).transpose()?;
        Ok(Self { state: choose(&self.state, &before.state)?, memory })
    }
}

/// Variational dropout (Gal & Ghahramani 2016, arXiv:1512.05287): what is dropped of a cell's input and of its state is the same
/// at every step of a sequence.
pub struct Masks<T> {
    input: Option<T>,
    state: Option<T>,
}

impl<T: Tensor> Masks<T> {
    /// For sequences whose steps are like `x`.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn new(x: &T, dropout: &dyn Dropout<T>) -> Result<Self> {
        Ok(Self { input: dropout.mask(x)?, state: dropout.mask(x)? })
    }
}

/// `x` times a mask, where there is one.
pub fn masked<T: Tensor>(x: &T, mask: Option<&T>) -> Result<T> {
    mask.map_or(Ok(x.clone()), |mask| x.mul(mask))
}

/// `W x + U h + b`: what every gate looks at.
struct Gate<T> {
    input: Linear<T>,
    state: T,
}

impl<T: Tensor> Gate<T> {
    fn new(features: usize, scope: &Scope<T>) -> Result<Self> {
        Ok(Self {
            input: Linear::new(features, features, &scope.sub("input"))?,
            state: scope.get("state.weight", &[features, features], Init::Kaiming { gain: 1.0 })?,
        })
    }

    fn forward(&self, x: &T, h: &T) -> Result<T> {
        self.input.forward(x)?.add(&h.linear(&self.state, None)?)
    }
}

/// The gated recurrent unit.
pub struct Gru<T> {
    reset: Gate<T>,
    update: Gate<T>,
    candidate: Gate<T>,
}

impl<T: Tensor> Gru<T> {
    fn new(features: usize, scope: &Scope<T>) -> Result<Self> {
        let gate = |name| Gate::new(features, &scope.sub(name));
        Ok(Self { reset: gate("reset")?, update: gate("update")?, candidate: gate("candidate")? })
    }

    /// `seen` is what dropout leaves of `h`.
    fn forward(&self, x: &T, h: &T, seen: &T) -> Result<T> {
        let reset = self.reset.forward(x, seen)?.sigmoid()?;
        let update = self.update.forward(x, seen)?.sigmoid()?;
        let candidate = self.candidate.forward(x, &reset.mul(seen)?)?.tanh()?;
        update.mul(&h.sub(&candidate)?)?.add(&candidate)
    }
}

/// Long short-term memory.
pub struct Lstm<T> {
    input: Gate<T>,
    forget: Gate<T>,
    candidate: Gate<T>,
    output: Gate<T>,
}

impl<T: Tensor> Lstm<T> {
    fn new(features: usize, scope: &Scope<T>) -> Result<Self> {
        let gate = |name| Gate::new(features, &scope.sub(name));
        Ok(Self { input: gate("input")?, forget: gate("forget")?, candidate: gate("candidate")?, output: gate("output")? })
    }

    /// State and memory; `seen` is what dropout leaves of the state.
    fn forward(&self, x: &T, seen: &T, memory: &T) -> Result<(T, T)> {
        let input = self.input.forward(x, seen)?.sigmoid()?;
        // Open at first, so that gradients reach far back (Jozefowicz et al. 2015).
        let forget = self.forget.forward(x, seen)?.affine(1.0, 1.0)?.sigmoid()?;
        let candidate = self.candidate.forward(x, seen)?.tanh()?;
        let output = self.output.forward(x, seen)?.sigmoid()?;
        let memory = forget.mul(memory)?.add(&input.mul(&candidate)?)?;
        Ok((output.mul(&memory.tanh()?)?, memory))
    }
}

/// Either cell; as many features go in as come out.
pub enum Cell<T> {
    /// See [`Gru`].
    Gru(Gru<T>),
    /// See [`Lstm`].
    Lstm(Lstm<T>),
}

impl<T: Tensor> Cell<T> {
    /// With so many features.
    pub fn new(kind: CellKind, features: usize, scope: &Scope<T>) -> Result<Self> {
        Ok(match kind {
            CellKind::Gru => Self::Gru(Gru::new(features, scope)?),
            CellKind::Lstm => Self::Lstm(Lstm::new(features, scope)?),
        })
    }

    /// Zeros, for sequences whose steps are like `x`.
    pub fn start(&self, x: &T) -> Result<Hidden<T>> {
        let zeros = x.affine(0.0, 0.0)?;
        let memory = matches!(self, Self::Lstm(_)).then(|| zeros.clone());
        Ok(Hidden { state: zeros, memory })
    }

    /// One step: `x` is `[B, 1, F]`.
    pub fn forward(&self, x: &T, before: &Hidden<T>, masks: &Masks<T>) -> Result<Hidden<T>> {
        let x = masked(x, masks.input.as_ref())?;
        let seen = masked(&before.state, masks.state.as_ref())?;
        match self {
            Self::Gru(gru) => Ok(Hidden { state: gru.forward(&x, &before.state, &seen)?, memory: None }),
            Self::Lstm(lstm) => {
                let memory = before.memory.as_ref().ok_or_else(|| Error::shape("lstm", "a state without a memory"))?;
                let (state, memory) = lstm.forward(&x, &seen, memory)?;
                Ok(Hidden { state, memory: Some(memory) })
            }
        }
    }

    /// All steps in the order in which they come, from zeros: the state after each, and what is carried on at the end. A step
    /// that is not present leaves everything as it is.
    pub fn run<'a>(
        &self,
        steps: impl Iterator<Item = (&'a T, Option<&'a T>)>,
        dropout: &dyn Dropout<T>,
    ) -> Result<Option<(Vec<T>, Hidden<T>)>>
    where
        T: 'a,
    {
        let mut states = Vec::new();
        let mut carried: Option<(Hidden<T>, Masks<T>)> = None;
        for (x, present) in steps {
            let (before, masks) = match carried {
                Some(carried) => carried,
                None => (self.start(x)?, Masks::new(x, dropout)?),
            };
            let after = self.forward(x, &before, &masks)?.where_present(&before, present)?;
            states.push(after.state.clone());
            carried = Some((after, masks));
        }
        Ok(carried.map(|(hidden, _)| (states, hidden)))
    }
}

/// Cells one upon the other, each reading what the one below gives.
pub struct Stack<T>(Vec<Cell<T>>);

impl<T: Tensor> Stack<T> {
    /// Of so many layers.
    pub fn new(kind: CellKind, features: usize, layers: usize, scope: &Scope<T>) -> Result<Self> {
        Ok(Self((0..layers).map(|i| Cell::new(kind, features, &scope.sub(i))).collect::<Result<_>>()?))
    }

    /// Zeros, for sequences whose steps are like `x`.
    pub fn start(&self, x: &T) -> Result<Vec<Hidden<T>>> {
        self.0.iter().map(|cell| cell.start(x)).collect()
    }

    /// What is dropped of every layer of a sequence whose steps are like `x`.
    pub fn masks(&self, x: &T, dropout: &dyn Dropout<T>) -> Result<Vec<Masks<T>>> {
        self.0.iter().map(|_| Masks::new(x, dropout)).collect()
    }

    /// One step of all layers: the uppermost state, and what every layer carries on.
    pub fn forward(&self, x: &T, before: &[Hidden<T>], masks: &[Masks<T>]) -> Result<(T, Vec<Hidden<T>>)> {
        let mut x = x.clone();
        let mut after = Vec::with_capacity(self.0.len());
        for ((cell, before), masks) in self.0.iter().zip(before).zip(masks) {
            let hidden = cell.forward(&x, before, masks)?;
            x = hidden.state.clone();
            after.push(hidden);
        }
        Ok((x, after))
    }
}
