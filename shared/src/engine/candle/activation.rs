//! ReLU and its leaky kin in one pass forward and one backward; candle's own takes three passes backward, on one thread.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Layout, Result, Shape, Tensor, WithDType, bail};
use rayon::prelude::*;

/// Elements per task: large enough that a task outweighs its hand-over.
const CHUNK: usize = 1 << 16;

pub fn leaky_relu(x: &Tensor, slope: f32) -> crate::Result<Tensor> {
    if !(x.device().is_cpu() && matches!(x.dtype(), DType::F32 | DType::F64)) {
        let positive = (x.relu()? * f64::from(1.0 - slope))?;
        return Ok((positive + (x * f64::from(slope))?)?);
    }
    Ok(x.contiguous()?.apply_op1(LeakyRelu(slope))?)
}

struct LeakyRelu(f32);

impl CustomOp1 for LeakyRelu {
    fn name(&self) -> &'static str {
        "leaky_relu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        fn run<T: WithDType>(x: &[T], slope: T) -> Vec<T> {
            let zero = T::zero();
            let mut y = vec![zero; x.len()];
            let chunks = y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
            chunks.for_each(|(y, x)| y.iter_mut().zip(x).for_each(|(y, &x)| *y = if x > zero { x } else { slope * x }));
            y
        }
        let range = contiguous(layout)?;
        let slope = f64::from(self.0);
        let y = match storage {
            CpuStorage::F32(x) => CpuStorage::F32(run(&x[range], slope as f32)),
            CpuStorage::F64(x) => CpuStorage::F64(run(&x[range], slope)),
            _ => bail!("internal: f32 or f64 only"),
        };
        Ok((y, layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        // The result has the sign of the argument (with slope 0: is positive where that is), so it tells the side.
        Ok(Some(result.apply_op2_no_bwd(&gradient.contiguous()?, &LeakyReluGradient(self.0))?))
    }
}

struct LeakyReluGradient(f32);

impl CustomOp2 for LeakyReluGradient {
    fn name(&self) -> &'static str {
        "leaky_relu_gradient"
    }

    fn cpu_fwd(&self, y: &CpuStorage, ly: &Layout, g: &CpuStorage, lg: &Layout) -> Result<(CpuStorage, Shape)> {
        fn run<T: WithDType>(y: &[T], g: &[T], slope: T) -> Vec<T> {
            let zero = T::zero();
            let mut out = vec![zero; y.len()];
            let chunks = out.par_chunks_mut(CHUNK).zip(y.par_chunks(CHUNK)).zip(g.par_chunks(CHUNK));
            chunks.for_each(|((out, y), g)| {
                let pairs = y.iter().zip(g);
                out.iter_mut().zip(pairs).for_each(|(o, (&y, &g))| *o = if y > zero { g } else { slope * g });
            });
            out
        }
        let (ry, rg) = (contiguous(ly)?, contiguous(lg)?);
        let slope = f64::from(self.0);
        let out = match (y, g) {
            (CpuStorage::F32(y), CpuStorage::F32(g)) => CpuStorage::F32(run(&y[ry], &g[rg], slope as f32)),
            (CpuStorage::F64(y), CpuStorage::F64(g)) => CpuStorage::F64(run(&y[ry], &g[rg], slope)),
            _ => bail!("internal: f32 or f64 only"),
        };
        Ok((out, ly.shape().clone()))
    }
}

/// The range of a contiguous tensor in its storage.
pub fn contiguous(layout: &Layout) -> Result<std::ops::Range<usize>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(start..end),
        None => bail!("internal: tensor must be contiguous here"),
    }
}
