//! Max pooling. Ours in f32 on the CPU; elsewhere put together by index, because the gradient of candle's `max_pool2d` is wrong.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

use super::pieces::pieces;
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
    /// Tells, for every window of one plane in order, where its largest value is.
    fn places(&self, plane: &[f32], height: usize, width: usize, tell: impl FnMut(usize, usize)) {
        match self.kernel {
            2 => self.places_of::<2>(plane, height, width, tell),
            3 => self.places_of::<3>(plane, height, width, tell),
            _ => self.places_of::<0>(plane, height, width, tell),
        }
    }

    /// The same with windows of `K` x `K`, known to the compiler; 0 is any.
    fn places_of<const K: usize>(&self, plane: &[f32], height: usize, width: usize, mut tell: impl FnMut(usize, usize)) {
        let [_, _, rows, columns] = self.out;
        for row in 0..rows {
            let top = row * self.stride;
            let high = self.kernel.min(height - top);
            let lines = &plane[top * width..][..high * width];
            for column in 0..columns {
                let left = column * self.stride;
                let wide = self.kernel.min(width - left);
                let (mut largest, mut place) = (lines[left], left);
                let mut look = |y: usize, x: usize| {
                    let at = y * width + left + x;
                    // Without a branch, which would be foreseen wrongly half of the time.
                    let larger = lines[at] > largest;
                    largest = if larger { lines[at] } else { largest };
                    place = if larger { at } else { place };
                };
                if (high, wide) == (K, K) {
                    (0..K).for_each(|y| (0..K).for_each(|x| look(y, x)));
                } else {
                    (0..high).for_each(|y| (0..wide).for_each(|x| look(y, x)));
                }
                tell(row * columns + column, top * width + place);
            }
        }
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
        let y = pieces(self.out.iter().product(), self.pixels(), |i, y| {
            let plane = &x[i * height * width..][..height * width];
            self.places(plane, height, width, |window, at| y[window] = plane[at]);
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
        let pixels = self.0.pixels();
        let out = pieces(x.len(), height * width, |i, out| {
            let plane = &x[i * height * width..][..height * width];
            let gradient = &gradient[i * pixels..][..pixels];
            self.0.places(plane, height, width, |window, at| out[at] += gradient[window]);
        });
        Ok((CpuStorage::F32(out), lx.shape().clone()))
    }
}
