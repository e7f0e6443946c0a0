//! Layers on WebGPU. A run of a plan is upload, kernels and reading back; only the kernels are wanted. So a plan that computes a
//! layer several times and adds the results up (the sum is part of the kernel) is timed beside one that computes it once: the
//! difference is kernels alone.

use std::sync::Arc;

use anyhow::{Result, bail};
use pollster::block_on;
use shared::Tensor;
use shared::engine::webgpu::{Context, GpuTensor, Plan, Trial};

use super::{Ceilings, Effort, Layer, Times};

/// How often more.
const TIMES: usize = 4;

pub fn layer(context: &Arc<Context>, layer: &Layer, effort: Effort) -> Result<Times> {
    let (weight, bias) = parameters(context, layer)?;
    difference(context, layer.input(), effort, |x, times| {
        let once = || layer.forward(x, &weight, &bias);
        (1..times).try_fold(once()?, |sum, _| once()?.add(&sum))
    })
}

fn parameters(context: &Arc<Context>, layer: &Layer) -> Result<(GpuTensor, GpuTensor)> {
    let weight = GpuTensor::constant(context, values(layer.weight().iter().product(), 0.1), &layer.weight())?;
    Ok((weight, GpuTensor::constant(context, vec![0.0; layer.outputs], &[layer.outputs])?))
}

/// Has the context cut this layer in the way that is fastest here.
pub fn tune(context: &Arc<Context>, layer: &Layer) -> Result<Vec<Trial>> {
    let (weight, bias) = parameters(context, layer)?;
    let x = GpuTensor::input(layer.input());
    let plan = Plan::new(context, &x, &layer.forward(&x, &weight, &bias)?)?;
    Ok(block_on(plan.tune(|| true))?)
}

/// The ceilings are those of our own kernels, since there are no others here: a 1x1 convolution that has many channels is a
/// product, and one that has four copies.
pub fn ceilings(context: &Arc<Context>, effort: Effort) -> Result<Ceilings> {
    // A program on the CPU needs seconds for what a GPU does in a millisecond.
    let (channels, side, copied) = if context.adapter().software { (128, 32, 256) } else { (512, 64, 2048) };
    let product = Layer { inputs: channels, outputs: channels, kernel: 1, stride: 1, side };
    let fastest = layer(context, &product, effort)?.least();
    let four = GpuTensor::constant(context, values(16, 0.1), &[4, 4, 1, 1])?;
    let copy = difference(context, [1, 4, copied, copied], effort, |x, times| {
        (0..times).try_fold(x.clone(), |y, _| y.conv2d(&four, None, 1, 0))
    })?;
    Ok(Ceilings {
        copy_gb_s: 2.0 * (4 * 4 * copied * copied) as f64 / copy.least() / 1e9,
        product_gflop_s: product.operations() / fastest / 1e9,
        product: format!("{product} on {side}x{side}, our kernel"),
    })
}

/// The time that `compute` takes on the GPU; it is told how many times to do it.
fn difference(
    context: &Arc<Context>,
    dims: [usize; 4],
    effort: Effort,
    compute: impl Fn(&GpuTensor, usize) -> shared::Result<GpuTensor>,
) -> Result<Times> {
    let plan = |times| {
        let x = GpuTensor::input(dims);
        Plan::new(context, &x, &compute(&x, times)?)
    };
    let [once, often] = [plan(1)?, plan(1 + TIMES)?];
    let input = values(dims.iter().product(), 1.0);
    let run = |plan: &Plan| -> Result<()> { Ok(block_on(plan.run(&input)).map(drop)?) };
    let [once, often] = effort.alternate([&mut || run(&once), &mut || run(&often)])?;
    let times = often.minus(&once).over(TIMES);
    if times.least() <= 0.0 {
        bail!("{dims:?} is done too fast to be told from its transfer; give a larger --size or more --runs");
    }
    Ok(times)
}

/// Values around zero that repeat late.
fn values(count: usize, scale: f32) -> Vec<f32> {
    (0..count).map(|i| scale * ((i % 8191) as f32 * 0.37).sin()).collect()
}
