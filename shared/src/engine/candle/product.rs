//! Matrix products with gradients. candle's own put all threads to work on the smallest of them: 2,000 dates took 32 s on two
//! busy cores and 2.7 s on one thread. Here a product is cut into tasks that are worth a thread, and a small one is one task.
//!
//! # Safety
//! Unsafe for `gemm`, which takes pointers: candle's layouts say that all they describe lies in the storage, and every task
//! writes into a slice of its own.
#![allow(unsafe_code)]

use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::ours;

/// Multiply-adds of a task: about 50 us with AVX2, ten times what handing it over costs.
const TASK: usize = 1 << 21;

/// The product of the last two dimensions, `[.., M, K]` and `[.., K, P]`, where all before these are equal.
pub fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if ours(a) && ours(b) { a.apply_op2(b, Product) } else { a.contiguous()?.matmul(&b.contiguous()?) }
}

struct Product;

/// One operand: where its matrices begin, and how far rows and columns are apart.
struct Operand<'a> {
    values: &'a [f32],
    starts: Vec<usize>,
    rows: isize,
    columns: isize,
}

impl<'a> Operand<'a> {
    fn new(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        let CpuStorage::F32(values) = storage else { bail!("internal: f32 only") };
        let (dims, strides) = (layout.dims(), layout.stride());
        let outer = dims.len().checked_sub(2);
        let (Some(outer), [.., rows, columns]) = (outer, strides) else { bail!("internal: no matrix: {dims:?}") };
        let mut starts = vec![layout.start_offset()];
        for (&dim, &stride) in dims[..outer].iter().zip(strides) {
            starts = starts.iter().flat_map(|start| (0..dim).map(move |i| start + i * stride)).collect();
        }
        Ok(Self { values, starts, rows: *rows as isize, columns: *columns as isize })
    }

    /// From a row of a matrix on.
    fn at(&self, matrix: usize, row: usize) -> *const f32 {
        self.values[self.starts[matrix] + row * self.rows as usize..].as_ptr()
    }
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn cpu_fwd(&self, a: &CpuStorage, la: &Layout, b: &CpuStorage, lb: &Layout) -> Result<(CpuStorage, Shape)> {
        let (da, db) = (la.dims(), lb.dims());
        let ([outer_a @ .., m, k], [outer_b @ .., kb, p]) = (da, db) else { bail!("product: {da:?} and {db:?}") };
        let (m, k, p) = (*m, *k, *p);
        if outer_a != outer_b || k != *kb || da.contains(&0) || p == 0 {
            bail!("product: {da:?} and {db:?} do not fit");
        }
        let (a, b) = (Operand::new(a, la)?, Operand::new(b, lb)?);
        let size = m * p;
        let mut out = vec![0.0f32; a.starts.len() * size];
        // `out` are whole rows of one matrix, from `row` on.
        let rows_of = |matrix: usize, row: usize, out: &mut [f32]| {
            // SAFETY: `out` has `out.len() / p` rows of `p`; the operands' layouts are candle's, see above.
            unsafe {
                gemm::gemm(
                    out.len() / p,
                    p,
                    k,
                    out.as_mut_ptr(),
                    1,
                    p as isize,
                    false,
                    a.at(matrix, row),
                    a.columns,
                    a.rows,
                    b.at(matrix, 0),
                    b.columns,
                    b.rows,
                    0.0,
                    1.0,
                    false,
                    false,
                    false,
                    gemm::Parallelism::None,
                );
            }
        };
        let work = size * k;
        if work * a.starts.len() <= TASK {
            out.chunks_mut(size).enumerate().for_each(|(matrix, out)| rows_of(matrix, 0, out));
        } else if work <= TASK {
            let many = TASK / work;
            out.par_chunks_mut(many * size).enumerate().for_each(|(task, out)| {
                out.chunks_mut(size).enumerate().for_each(|(i, out)| rows_of(task * many + i, 0, out));
            });
        } else {
            // In sixteens: what a register tile is high.
            let rows = (TASK / (k * p)).next_multiple_of(16).max(16);
            for (matrix, out) in out.chunks_mut(size).enumerate() {
                out.par_chunks_mut(rows * p).enumerate().for_each(|(task, out)| rows_of(matrix, task * rows, out));
            }
        }
        Ok((CpuStorage::F32(out), Shape::from([outer_a, &[m, p]].concat())))
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let turned = |t: &Tensor| t.transpose(D::Minus2, D::Minus1);
        let of_a = gradient.apply_op2_no_bwd(&turned(b)?, &Self)?;
        let of_b = turned(a)?.apply_op2_no_bwd(gradient, &Self)?;
        Ok((Some(of_a), Some(of_b)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Sizes around those where tasks are cut.
        #[test]
        fn equals_candles(batch in 1usize..5, m in 1usize..90, k in 1usize..70, p in prop_oneof![1usize..40, 400usize..700], turned: bool) {
            let random = |dims: (usize, usize, usize)| Var::randn(0f32, 1.0, dims, &Device::Cpu).unwrap();
            let (a, b) = if turned { (random((batch, k, m)), random((batch, p, k))) } else { (random((batch, m, k)), random((batch, k, p))) };
            let turn = |t: &Tensor| if turned { t.t().unwrap() } else { t.clone() };
            let check = |x: &Tensor, y: &Tensor| {
                let off = (x - y).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
                assert!(off < 1e-3, "{off}");
            };
            let ours = product(&turn(&a), &turn(&b)).unwrap();
            let theirs = turn(&a).contiguous().unwrap().matmul(&turn(&b).contiguous().unwrap()).unwrap();
            check(&ours, &theirs);
            let (ours, theirs) = (ours.sqr().unwrap().backward().unwrap(), theirs.sqr().unwrap().backward().unwrap());
            for var in [&a, &b] {
                let (x, y) = (ours.get(var).unwrap(), theirs.get(var).unwrap());
                let size = y.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap().max(1.0);
                check(&(x / f64::from(size)).unwrap(), &(y / f64::from(size)).unwrap());
            }
        }
    }
}
