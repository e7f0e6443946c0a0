//! Cross-entropy with label smoothing (Szegedy et al. 2016, arXiv:1512.00567), as one operation on the CPU: put together from
//! candle's, it takes seven passes over a table of words x vocabulary.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, D, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use shared::engine::candle::f32s;

/// The mean over words of `-(1 - smoothing) ln p[target] - smoothing * mean over v of ln p[v]`, a scalar. `logits` are `[R, V]`,
/// `targets` the R right words; `None` counts nothing.
///
/// # Errors
/// When a target is no word, or the device fails.
pub fn cross_entropy(logits: &Tensor, targets: &[Option<u32>], smoothing: f32) -> Result<Tensor> {
    let (rows, words) = logits.dims2()?;
    let count = targets.iter().flatten().count().max(1);
    if rows != targets.len() || targets.iter().flatten().any(|&t| t as usize >= words) {
        bail!("internal: {rows} rows and {} targets below {words}", targets.len());
    }
    if logits.device().is_cpu() && logits.dtype() == DType::F32 {
        return logits.contiguous()?.apply_op1(CrossEntropy { targets: targets.to_vec(), smoothing });
    }
    let logs = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
    let logs = logs.broadcast_sub(&logs.exp()?.sum_keepdim(D::Minus1)?.log()?)?;
    let device = logits.device();
    let index: Vec<u32> = targets.iter().map(|t| t.unwrap_or(0)).collect();
    let weight: Vec<f32> = targets.iter().map(|t| if t.is_some() { 1.0 / count as f32 } else { 0.0 }).collect();
    let right = logs.gather(&Tensor::from_vec(index, (rows, 1), device)?, 1)?.squeeze(1)?;
    let all = logs.mean(D::Minus1)?;
    let smooth = f64::from(smoothing);
    let loss = ((right * (1.0 - smooth))? + (all * smooth)?)?;
    (loss * Tensor::from_vec(weight, rows, device)?)?.sum_all()?.neg()
}

struct CrossEntropy {
    targets: Vec<Option<u32>>,
    smoothing: f32,
}

impl CrossEntropy {
    fn count(&self) -> f32 {
        self.targets.iter().flatten().count().max(1) as f32
    }
}

/// The largest and the sum of exponentials below it.
fn normaliser(row: &[f32]) -> (f32, f32) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (most, row.iter().map(|v| (v - most).exp()).sum::<f32>())
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let logits = f32s(storage, layout)?;
        let words = logits.len() / self.targets.len().max(1);
        let losses: Vec<f32> = logits
            .par_chunks(words)
            .zip(&self.targets)
            .map(|(row, target)| {
                let Some(target) = target else { return 0.0 };
                let (most, sum) = normaliser(row);
                let log_sum = most + sum.ln();
                let mean = row.iter().sum::<f32>() / words as f32;
                log_sum - (1.0 - self.smoothing) * row[*target as usize] - self.smoothing * mean
            })
            .collect();
        Ok((CpuStorage::F32(vec![losses.iter().sum::<f32>() / self.count()]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (targets, smoothing) = (self.targets.clone(), self.smoothing);
        Ok(Some(logits.contiguous()?.apply_op2_no_bwd(gradient, &Gradient(Self { targets, smoothing }))?))
    }
}

struct Gradient(CrossEntropy);

impl CustomOp2 for Gradient {
    fn name(&self) -> &'static str {
        "cross_entropy_gradient"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, g: &CpuStorage, lg: &Layout) -> Result<(CpuStorage, Shape)> {
        let logits = f32s(x, lx)?;
        let Some(&scale) = f32s(g, lg)?.first() else { bail!("internal: no gradient") };
        let CrossEntropy { targets, smoothing } = &self.0;
        let words = logits.len() / targets.len().max(1);
        let scale = scale / self.0.count();
        let mut out = vec![0.0f32; logits.len()];
        out.par_chunks_mut(words).zip(logits.par_chunks(words)).zip(targets).for_each(|((out, row), target)| {
            let Some(target) = target else { return };
            let (most, sum) = normaliser(row);
            let (share, smooth) = (scale / sum, scale * smoothing / words as f32);
            out.iter_mut().zip(row).for_each(|(o, v)| *o = (v - most).exp() * share - smooth);
            out[*target as usize] -= scale * (1.0 - smoothing);
        });
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn one_operation_equals_the_many() {
        let values: Vec<f32> = (0..20).map(|i| ((i * 7 % 13) as f32 - 6.0) / 2.0).collect();
        let targets = [Some(1), None, Some(4), Some(0)];
        let one = Var::from_vec(values.clone(), (4, 5), &Device::Cpu).unwrap();
        let many = Var::from_tensor(&one.to_dtype(DType::F64).unwrap()).unwrap();
        let a = (cross_entropy(&one, &targets, 0.1).unwrap() * 3.0).unwrap();
        // f64 goes the way of other devices.
        let logs = |t: &Tensor| cross_entropy_of(t, &targets);
        let b = (logs(&many) * 3.0).unwrap();
        let number = |t: &Tensor| t.to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap();
        assert!((number(&a) - number(&b)).abs() < 1e-5, "{a} {b}");
        let gradient = |loss: &Tensor, var: &Var| -> Vec<f64> {
            let store = loss.backward().unwrap();
            store.get(var).unwrap().to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
        };
        for (a, b) in gradient(&a, &one).iter().zip(gradient(&b, &many)) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
        assert!(cross_entropy(&one, &targets[..3], 0.1).is_err());
        assert!(cross_entropy(&one, &[Some(5), None, None, None], 0.1).is_err());
    }

    /// The formula, word by word.
    fn cross_entropy_of(logits: &Tensor, targets: &[Option<u32>]) -> Tensor {
        let words = logits.dim(1).unwrap();
        let mut terms = Vec::new();
        for (row, target) in targets.iter().enumerate() {
            let Some(target) = target else { continue };
            let row = logits.get(row).unwrap();
            let log_sum = row.exp().unwrap().sum_all().unwrap().log().unwrap();
            let right = row.get(*target as usize).unwrap();
            let mean = (row.sum_all().unwrap() / words as f64).unwrap();
            let loss = ((log_sum - (right * 0.9).unwrap()).unwrap() - (mean * 0.1).unwrap()).unwrap();
            terms.push(loss);
        }
        (Tensor::stack(&terms, 0).unwrap().sum_all().unwrap() / terms.len() as f64).unwrap()
    }
}
