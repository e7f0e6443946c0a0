//! How fast convolutions are on this machine's adapter. A measurement, not a test:
//! `cargo test --release -p tests --test throughput -- --ignored --nocapture`
#![cfg(not(target_arch = "wasm32"))]

use std::time::Instant;

use pollster::block_on;
use shared::engine::webgpu::kernels::Geometry;
use shared::engine::webgpu::{Context, GpuTensor, Plan, Precision};
use shared::models::{ImageConfig, ImageNetwork, RlfnConfig, SrResnetConfig, TransformNetConfig};
use shared::{Scope, Tensor};
use tests::parity;

const LAYERS: usize = 8;

#[test]
#[ignore = "a measurement"]
fn convolutions() {
    let adapter = block_on(Context::new()).unwrap();
    println!("{:?}", adapter.adapter());
    for (pixels, outputs) in [(4, 1), (8, 1), (4, 2), (8, 2), (6, 1), (2, 2)] {
        let geometry = Geometry { workgroup: 64, pixels, outputs };
        let context = adapter.with_geometry(geometry);
        for (channels, kernel, size) in [(64, 3, 32), (48, 1, 64), (3, 9, 64)] {
            let dims = [channels, channels, kernel, kernel];
            let weight = parity::values(1, dims.iter().product()).iter().map(|v| v * 0.05).collect();
            let weight = GpuTensor::constant(&context, weight, &dims).unwrap();
            let x = GpuTensor::input([1, channels, size, size]);
            let mut y = x.clone();
            for _ in 0..LAYERS {
                y = y.conv2d(&weight, None, 1, kernel / 2).unwrap().relu().unwrap();
            }
            let input = parity::values(2, channels * size * size);
            let started = Instant::now();
            let plan = Plan::new(&context, &x, &y).unwrap();
            block_on(plan.run(&input)).unwrap();
            let first = started.elapsed();
            let seconds = best(|| block_on(plan.run(&input)).unwrap());
            let operations = 2.0 * (LAYERS * channels * channels * kernel * kernel * size * size) as f64;
            println!(
                "{geometry:?}: {LAYERS} x conv{kernel}x{kernel} {channels} -> {channels} on {size}x{size}: {:.1} GFLOP/s, {:.1} ms, \
                 the first time with compilation {first:.0?}",
                operations / seconds / 1e9,
                seconds * 1e3
            );
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn networks() {
    let adapter = block_on(Context::new()).unwrap();
    println!("{:?}", adapter.adapter());
    let configs = [
        ImageConfig::Rlfn(RlfnConfig { scale: 2, channels: 24, blocks: 3 }),
        ImageConfig::Rlfn(RlfnConfig { scale: 4, channels: 24, blocks: 3 }),
        ImageConfig::SrResnet(SrResnetConfig { scale: 4, channels: 32, blocks: 1 }),
        ImageConfig::TransformNet(TransformNetConfig { channels: 16, blocks: 1, styles: 0, bounded: false }),
    ];
    let precisions = [Precision::F32, Precision::F16].map(|p| adapter.with_precision(p));
    for (config, context) in
        configs.into_iter().flat_map(|config| precisions.iter().flatten().map(move |context| (config, context)))
    {
        let dims = [1, 3, 64, 64];
        let x = GpuTensor::input(dims);
        let network = ImageNetwork::new(&config, &Scope::root(&parity::GpuConstants(context))).unwrap();
        let y = network.forward(&x).unwrap();
        let input = parity::values(2, dims.iter().product());
        let started = Instant::now();
        let plan = Plan::new(context, &x, &y).unwrap();
        block_on(plan.run(&input)).unwrap();
        let first = started.elapsed();
        let milliseconds = best(|| block_on(plan.run(&input)).unwrap()) * 1e3;
        let (dispatches, memory) = (plan.dispatches(), plan.memory() as f64 / 1e6);
        println!(
            "{config:?} on 64x64, {:?}: {milliseconds:.1} ms, {dispatches} dispatches, {memory:.2} MB, the first time with compilation \
             {first:.0?}",
            context.precision()
        );
    }
}

/// Seconds, the best of a few: others use this machine too.
fn best<T>(mut run: impl FnMut() -> T) -> f64 {
    let seconds = (0..7).map(|_| {
        let started = Instant::now();
        run();
        started.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}
