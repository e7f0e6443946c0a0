//! Max pooling. Ours in f32 on the CPU; elsewhere put together by index, because the gradient of candle's `max_pool2d` is wrong.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{f32s, ours};

pub fn max_pool(x: &Tensor, kernel: usize, stride: usize, out: [usize; 4]) -> crate::Result<Tensor> {
    if ours(x) {
        return Ok(x.contiguous()?.apply_op1(MaxPool { kernel, stride, out })?);
    }
    // One picture for every pixel of a window; beyond the border the last row or column again.
    let shifted = |dim: usize, offset: usize| -> Result<Tensor> {
        let last = x.dim(dim)? - 1;
        let index: Vec<u32> = (0..out[dim]).map(|i| (i * stride + offset).min(last) as u32).collect();
        Tensor::from_vec(index, out[dim], x.device())
    };
    let mut largest: Option<Tensor> = None;
    for dy in 0..kernel {
        let rows = x.index_select(&shifted(2, dy)?, 2)?;
        for dx in 0..kernel {
            let pixel = rows.index_select(&shifted(3, dx)?, 3)?;
            largest = Some(match largest {
                Some(largest) => largest.maximum(&pixel)?,
                None => pixel,
            });
        }
    }
    largest.ok_or_else(|| crate::Error::shape("max_pool", "windows of no pixel"))
}

#[derive(Clone, Copy)]
struct MaxPool {
    kernel: usize,
    stride: usize,
    /// `[N, C, H, W]` of the result.
    out: [usize; 4],
}

impl MaxPool {
    /// The places, in one plane, of the largest value of every window.
    fn places<'a>(&'a self, plane: &'a [f32], height: usize, width: usize) -> impl Iterator<Item = usize> + 'a {
        let [_, _, rows, columns] = self.out;
        let windows = (0..rows).flat_map(move |y| (0..columns).map(move |x| (y * self.stride, x * self.stride)));
        windows.map(move |(top, left)| {
            let mut best = top * width + left;
            for y in top..(top + self.kernel).min(height) {
                for at in y * width + left..y * width + (left + self.kernel).min(width) {
                    if plane[at] > plane[best] {
                        best = at;
                    }
                }
            }
            best
        })
    }

    fn pixels(&self) -> usize {
        self.out[2] * self.out[3]
    }
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, _, height, width) = layout.shape().dims4()?;
        let x = f32s(x, layout)?;
        let mut y = vec![0.0; self.out.iter().product()];
        y.par_chunks_mut(self.pixels()).zip(x.par_chunks(height * width)).for_each(|(y, plane)| {
            y.iter_mut().zip(self.places(plane, height, width)).for_each(|(y, at)| *y = plane[at]);
        });
        Ok((CpuStorage::F32(y), Shape::from(&self.out[..])))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(x.contiguous()?.apply_op2_no_bwd(&gradient.contiguous()?, &MaxPoolGradient(*self))?))
    }
}

/// The input and the output's gradient to the input's gradient.
struct MaxPoolGradient(MaxPool);

impl CustomOp2 for MaxPoolGradient {
    fn name(&self) -> &'static str {
        "max_pool_gradient"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, gradient: &CpuStorage, lg: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, _, height, width) = lx.shape().dims4()?;
        let (x, gradient) = (f32s(x, lx)?, f32s(gradient, lg)?);
        let mut out = vec![0.0; x.len()];
        let planes = out.par_chunks_mut(height * width).zip(x.par_chunks(height * width));
        planes.zip(gradient.par_chunks(self.0.pixels())).for_each(|((out, plane), gradient)| {
            gradient.iter().zip(self.0.places(plane, height, width)).for_each(|(g, at)| out[at] += g);
        });
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }
}
