//! ReLU and its kin in one pass forward and one backward; candle's own take several passes backward, on one thread.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Layout, Result, Shape, Tensor, WithDType, bail};

use super::pieces::pieces;

/// Elements per task: large enough that a task outweighs its hand-over.
const CHUNK: usize = 1 << 16;

/// A function of one element, made of straight lines.
#[derive(Debug, Clone, Copy)]
enum Activation {
    LeakyRelu(f32),
    Clamp(f32, f32),
}

pub fn leaky_relu(x: &Tensor, slope: f32) -> crate::Result<Tensor> {
    if ours(x) {
        return Ok(x.contiguous()?.apply_op1(Activation::LeakyRelu(slope))?);
    }
    let positive = (x.relu()? * f64::from(1.0 - slope))?;
    Ok((positive + (x * f64::from(slope))?)?)
}

pub fn clamp(x: &Tensor, low: f32, high: f32) -> crate::Result<Tensor> {
    if ours(x) {
        return Ok(x.contiguous()?.apply_op1(Activation::Clamp(low, high))?);
    }
    Ok(x.clamp(low, high)?)
}

fn ours(x: &Tensor) -> bool {
    x.device().is_cpu() && matches!(x.dtype(), DType::F32 | DType::F64)
}

/// The gradient of a leaky ReLU's argument. The result has the sign of the argument (with slope 0: is positive where that is), so it
/// tells the side.
pub fn leaky_relu_gradient(result: &Tensor, gradient: &Tensor, slope: f32) -> Result<Tensor> {
    result.apply_op2_no_bwd(gradient, &Gradient(Activation::LeakyRelu(slope)))
}

impl Activation {
    fn values<T: WithDType + Default>(self, x: &[T]) -> Vec<T> {
        let zero = T::zero();
        match self {
            Self::LeakyRelu(slope) => {
                let slope = T::from_f64(slope.into());
                map(x, |x| if x > zero { x } else { slope * x })
            }
            Self::Clamp(low, high) => {
                let (low, high) = (T::from_f64(low.into()), T::from_f64(high.into()));
                // What is not a number stays so.
                map(x, |x| {
                    if x < low {
                        low
                    } else if x > high {
                        high
                    } else {
                        x
                    }
                })
            }
        }
    }

    /// Of the argument, by the result.
    fn gradients<T: WithDType + Default>(self, y: &[T], gradient: &[T]) -> Vec<T> {
        let zero = T::zero();
        match self {
            Self::LeakyRelu(slope) => {
                let slope = T::from_f64(slope.into());
                zip(y, gradient, |y, g| if y > zero { g } else { slope * g })
            }
            Self::Clamp(low, high) => {
                let (low, high) = (T::from_f64(low.into()), T::from_f64(high.into()));
                zip(y, gradient, |y, g| if y > low && y < high { g } else { zero })
            }
        }
    }
}

fn map<T: WithDType + Default>(x: &[T], f: impl Fn(T) -> T + Sync) -> Vec<T> {
    pieces(x.len(), CHUNK, |i, y| y.iter_mut().zip(&x[i * CHUNK..]).for_each(|(y, &x)| *y = f(x)))
}

fn zip<T: WithDType + Default>(a: &[T], b: &[T], f: impl Fn(T, T) -> T + Sync) -> Vec<T> {
    pieces(a.len(), CHUNK, |i, y| {
        let pairs = a[i * CHUNK..].iter().zip(&b[i * CHUNK..]);
        y.iter_mut().zip(pairs).for_each(|(y, (&a, &b))| *y = f(a, b));
    })
}

impl CustomOp1 for Activation {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let range = contiguous(layout)?;
        let y = match storage {
            CpuStorage::F32(x) => CpuStorage::F32(self.values(&x[range])),
            CpuStorage::F64(x) => CpuStorage::F64(self.values(&x[range])),
            _ => bail!("internal: f32 or f64 only"),
        };
        Ok((y, layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(result.apply_op2_no_bwd(&gradient.contiguous()?, &Gradient(*self))?))
    }
}

/// The result and its gradient to the argument's gradient.
struct Gradient(Activation);

impl CustomOp2 for Gradient {
    fn name(&self) -> &'static str {
        "activation_gradient"
    }

    fn cpu_fwd(&self, y: &CpuStorage, ly: &Layout, g: &CpuStorage, lg: &Layout) -> Result<(CpuStorage, Shape)> {
        let (ry, rg) = (contiguous(ly)?, contiguous(lg)?);
        let out = match (y, g) {
            (CpuStorage::F32(y), CpuStorage::F32(g)) => CpuStorage::F32(self.0.gradients(&y[ry], &g[rg])),
            (CpuStorage::F64(y), CpuStorage::F64(g)) => CpuStorage::F64(self.0.gradients(&y[ry], &g[rg])),
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
