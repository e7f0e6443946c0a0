//! Trainable parameters, started from a seed.

use std::cell::RefCell;
use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use rand::{Rng, RngExt};
use shared::checkpoint::Dense;
use shared::{Error, Init, Result, Source};

use crate::seed;

/// The parameters of a network by name, in alphabetical order, so that everything that walks over them is reproducible.
pub struct Variables {
    vars: RefCell<BTreeMap<String, Var>>,
    device: Device,
    seed: u64,
}

impl Variables {
    /// None yet: a model asks for them.
    pub fn new(device: &Device, seed: u64) -> Self {
        Self { vars: RefCell::default(), device: device.clone(), seed }
    }

    /// Names and variables.
    pub fn all(&self) -> BTreeMap<String, Var> {
        self.vars.borrow().clone()
    }

    /// Copies stored values into the variables of the same name and size; returns how many.
    ///
    /// # Errors
    /// When the device fails.
    pub fn load(&self, stored: &BTreeMap<String, Dense>) -> Result<usize> {
        let mut count = 0;
        for (name, var) in self.vars.borrow().iter() {
            if let Some(dense) = stored.get(name).filter(|d| d.dims == var.dims()) {
                var.set(&Tensor::from_slice(&dense.values, dense.dims.as_slice(), &self.device)?)?;
                count += 1;
            }
        }
        Ok(count)
    }
}

impl Source<Tensor> for Variables {
    fn get(&self, name: &str, dims: &[usize], init: Init) -> Result<Tensor> {
        let count = dims.iter().product();
        // Seeded by the name: a parameter starts the same whatever is built before it.
        let mut rng = seed::rng(self.seed, name, 0);
        let fan_in = dims.iter().skip(1).product::<usize>().max(1) as f32;
        let values = match init {
            Init::Const(value) => vec![value; count],
            Init::Kaiming { gain } => normals(&mut rng, count, gain / fan_in.sqrt()),
            Init::Icnr { gain, scale } => {
                let (per_output, cell) = (count / dims[0].max(1), scale * scale);
                let coarse = normals(&mut rng, count / cell.max(1), gain / fan_in.sqrt());
                (0..count).map(|i| coarse[i / per_output / cell * per_output + i % per_output]).collect()
            }
            Init::Sinusoid => {
                let features = dims.last().copied().unwrap_or(1).max(1);
                (0..count).map(|i| sinusoid(i / features, i % features, features)).collect()
            }
        };
        let var = Var::from_vec(values, dims, &self.device)?;
        if self.vars.borrow_mut().insert(name.to_owned(), var.clone()).is_some() {
            return Err(Error::Checkpoint(format!("two parameters are called `{name}`")));
        }
        Ok(var.as_tensor().clone())
    }
}

/// See [`Init::Sinusoid`].
fn sinusoid(row: usize, column: usize, features: usize) -> f32 {
    let half = features.div_ceil(2);
    let angle = row as f32 / 10_000f32.powf((column % half) as f32 / half as f32);
    if column < half { angle.sin() } else { angle.cos() }
}

/// Normal values by Box and Muller's transform.
pub fn normals(rng: &mut impl Rng, count: usize, deviation: f32) -> Vec<f32> {
    let mut normal = || {
        let (u, v): (f32, f32) = (1.0 - rng.random::<f32>(), rng.random());
        deviation * (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos()
    };
    (0..count).map(|_| normal()).collect()
}

/// The values of tensors, by name, in memory.
///
/// # Errors
/// When the device fails.
pub fn to_dense<'a>(tensors: impl IntoIterator<Item = (&'a String, &'a Tensor)>) -> Result<BTreeMap<String, Dense>> {
    let dense =
        |t: &Tensor| -> Result<Dense> { Ok(Dense { dims: t.dims().to_vec(), values: shared::engine::candle::values(t)? }) };
    tensors.into_iter().map(|(name, t)| Ok((name.clone(), dense(t)?))).collect()
}
