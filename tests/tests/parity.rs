//! The parity suite natively, and what a plan promises beside the numbers.
//!
//! Needs a Vulkan, Metal or DX12 adapter; lavapipe will do (Debian: `apt-get install mesa-vulkan-drivers`).
#![cfg(not(target_arch = "wasm32"))]

use std::sync::Arc;

use pollster::block_on;
use shared::checkpoint::{self, Checkpoint};
use shared::engine::webgpu::kernels::Geometry;
use shared::engine::webgpu::{Context, GpuTensor, Plan, Precision};
use shared::session::{Engine, Session};
use shared::tensor::Padding;
use shared::{Error, Tensor};
use tests::gpu::{context, half_context};
use tests::{golden, parity, random};

#[test]
fn every_operation_matches_candle() {
    let Some(context) = context() else { return };
    block_on(parity::operations(&context)).assert();
}

/// What a measurement may choose gives what everything else gives.
#[test]
fn every_way_to_cut_a_convolution_matches_candle() {
    let Some(context) = context() else { return };
    for geometry in Geometry::CANDIDATES {
        block_on(parity::operations::cuts(&context.with_geometry(geometry))).assert();
    }
}

/// As a GPU does it: the threads of a workgroup share the sums of a row.
#[test]
fn sequences_match_candle_where_threads_share_sums() {
    for context in [context(), half_context()].into_iter().flatten() {
        block_on(parity::on_sequences(&context.with_geometry(Geometry::HARDWARE))).assert();
    }
}

#[test]
fn every_model_matches_candle() {
    let Some(context) = context() else { return };
    block_on(parity::models(&context)).assert();
}

#[test]
fn every_operation_matches_candle_in_f16() {
    let Some(context) = half_context() else { return };
    block_on(parity::operations(&context)).assert();
    for geometry in Geometry::CANDIDATES {
        block_on(parity::operations::cuts(&context.with_geometry(geometry))).assert();
    }
}

/// The fastest geometry depends on the machine; that one is chosen for every layer that is worth it, and what it computes, do not.
#[test]
fn a_measured_plan_computes_the_same() {
    let Some(context) = context() else { return };
    let context = context.with_geometry(Geometry::HARDWARE);
    let x = GpuTensor::input([1, 8, 20, 24]);
    let constant = |name: &str, dims: &[usize]| GpuTensor::constant(&context, parity::constant(name, dims), dims).unwrap();
    let y = x.conv2d(&constant("a.weight", &[12, 8, 3, 3]), None, 1, 1).unwrap().relu().unwrap();
    let y = y.conv2d(&constant("b.weight", &[12, 12, 1, 1]), None, 1, 0).unwrap();
    let y = y.conv2d(&constant("c.weight", &[16, 12, 5, 5]), None, 2, 2).unwrap();
    let input = parity::values(4, 8 * 20 * 24);
    let plan = Plan::new(&context, &x, &y).unwrap();
    let wanted = block_on(plan.run(&input)).unwrap();

    assert!(block_on(plan.tune(|| false)).unwrap().is_empty() && context.tuning().is_empty());
    let trials = block_on(plan.tune(|| true)).unwrap();
    assert_eq!(context.tuning().len(), 3, "{trials:?}");
    for trial in &trials {
        assert!(trial.seconds.is_some_and(|seconds| seconds > 0.0), "{trial:?}");
        let chosen = context.tuning().of(&trial.layer).unwrap();
        assert!(trials.iter().any(|t| (t.layer, t.geometry) == (trial.layer, chosen)), "{chosen:?} was not tried");
    }
    // What is known is not measured again.
    assert!(block_on(plan.tune(|| true)).unwrap().is_empty());
    // The plan that was measured, and one that is cut as was found best.
    for plan in [&plan, &Plan::new(&context, &x, &y).unwrap()] {
        parity::compare(&block_on(plan.run(&input)).unwrap(), &wanted, y.dims(), parity::OPERATION).unwrap();
    }
}

#[test]
fn every_model_matches_candle_in_f16() {
    let Some(context) = half_context() else { return };
    block_on(parity::models(&context)).assert();
}

#[test]
fn f16_takes_half_the_memory() {
    let Some(context) = half_context() else { return };
    let memory = |context: &Arc<Context>| {
        let (x, y) = residual(context);
        Plan::new(context, &x, &y).unwrap().memory()
    };
    // Three tensors, of which the output is f32, and the input and the output for the host.
    let tensor = 8 * 36 * 4;
    assert_eq!(memory(&context.with_precision(Precision::F32).unwrap()), 5 * tensor);
    assert_eq!(memory(&context), 4 * tensor);
}

#[test]
fn golden_tensors_are_matched() {
    let Some(context) = context() else { return };
    block_on(golden::check(|| Engine::WebGpu(context.clone()))).unwrap();
}

/// `[1, 8, 6, 6]` through a chain that must become one kernel an arrow: pack, conv + relu, conv + scale + add.
fn residual(context: &Arc<Context>) -> (GpuTensor, GpuTensor) {
    let x = GpuTensor::input([1, 8, 6, 6]);
    let weight = GpuTensor::constant(context, parity::values(3, 8 * 8 * 9), &[8, 8, 3, 3]).unwrap();
    let y = x.conv2d(&weight, None, 1, 1).unwrap().relu().unwrap();
    let y = y.conv2d(&weight, None, 1, 1).unwrap().affine(0.1, 0.0).unwrap().add(&x).unwrap();
    (x, y)
}

#[test]
fn epilogues_are_fused_and_dead_ends_dropped() {
    let Some(context) = context() else { return };
    let (x, y) = residual(&context);
    y.sigmoid().unwrap().mul(&y).unwrap();
    assert_eq!(Plan::new(&context, &x, &y).unwrap().dispatches(), 3);
}

#[test]
fn a_pixel_shuffle_joins_the_convolution_that_it_alone_reads() {
    let Some(context) = context() else { return };
    let steps = |outputs: usize, end: fn(GpuTensor, GpuTensor) -> GpuTensor| {
        let x = GpuTensor::input([1, 4, 6, 6]);
        let weight = GpuTensor::constant(&context, parity::values(3, outputs * 4 * 9), &[outputs, 4, 3, 3]).unwrap();
        let y = x.conv2d(&weight, None, 1, 1).unwrap().relu().unwrap();
        Plan::new(&context, &x, &end(x.clone(), y)).unwrap().dispatches()
    };
    fn shuffle(y: &GpuTensor) -> GpuTensor {
        y.pixel_shuffle(2).unwrap()
    }
    // Pack; the convolution with everything else.
    assert_eq!(steps(12, |_, y| shuffle(&y)), 2);
    assert_eq!(steps(16, |x, y| shuffle(&y).affine(2.0, 1.0).unwrap().add(&x.upsample_nearest(2).unwrap()).unwrap()), 2);
    // In the middle: four channels are a full block, three are not.
    let gated = |_, y: GpuTensor| {
        let y = shuffle(&y);
        y.sigmoid().unwrap().mul(&y).unwrap()
    };
    assert_eq!(steps(16, gated), 3);
    assert_eq!(steps(12, gated), 4);
    // Two shuffles read it.
    assert_eq!(steps(16, |_, y| shuffle(&y).sigmoid().unwrap().mul(&shuffle(&y)).unwrap()), 4);
}

#[test]
fn convolutions_read_the_small_tensor_of_an_enlarged_one() {
    let Some(context) = context() else { return };
    let x = GpuTensor::input([1, 4, 6, 6]);
    let weight = GpuTensor::constant(&context, parity::values(3, 4 * 4 * 9), &[4, 4, 3, 3]).unwrap();
    let y = x.relu().unwrap().upsample_nearest(4).unwrap();
    let y = y.conv2d(&weight, None, 4, Padding::Reflect(1)).unwrap().add(&y.conv2d(&weight, None, 4, 1).unwrap()).unwrap();
    let plan = Plan::new(&context, &x, &y).unwrap();
    // Pack and two convolutions; nothing is larger than the input.
    assert_eq!(plan.dispatches(), 3);
    assert_eq!(plan.memory(), 5 * 4 * 36 * 4);
}

#[test]
fn memory_does_not_grow_with_depth() {
    let Some(context) = context() else { return };
    let weight = GpuTensor::constant(&context, parity::values(3, 8 * 8), &[8, 8, 1, 1]).unwrap();
    let memory = |depth| {
        let x = GpuTensor::input([1, 8, 6, 6]);
        let y = (0..depth).fold(x.clone(), |y, _| y.conv2d(&weight, None, 1, 0).unwrap().relu().unwrap());
        Plan::new(&context, &x, &y).unwrap().memory()
    };
    assert_eq!(memory(3), memory(30));
}

#[test]
fn much_work_is_cut_into_submissions() {
    let Some(context) = context() else { return };
    // 1.2 * 10^9 multiply-adds a layer: two do not fit in one submission.
    let x = GpuTensor::input([1, 64, 192, 172]);
    let weight = GpuTensor::constant(&context, parity::values(3, 64 * 64 * 9), &[64, 64, 3, 3]).unwrap();
    let y = (0..3).fold(x.clone(), |y, _| y.conv2d(&weight, None, 1, 1).unwrap());
    assert_eq!(Plan::new(&context, &x, &y).unwrap().submissions(), 3);

    let (x, y) = residual(&context);
    let input = parity::values(4, 8 * 36);
    let plan = Plan::new(&context, &x, &y).unwrap();
    assert_eq!((plan.submissions(), plan.dispatches()), (1, 3));
    let wanted = block_on(plan.run(&input)).unwrap();
    // A layer is 8 * 8 * 9 * 36 = 20,736 of them, packing 288.
    for (work, submissions) in [(0, 3), (21_023, 3), (21_024, 2), (41_759, 2), (41_760, 1)] {
        let plan = Plan::new(&context.with_submission_work(work), &x, &y).unwrap();
        assert_eq!((plan.submissions(), plan.dispatches()), (submissions, 3), "{work}");
        assert_eq!(block_on(plan.run(&input)).unwrap(), wanted);
    }
}

#[test]
fn runs_overlap_and_may_be_dropped() {
    let Some(context) = context() else { return };
    let (x, y) = residual(&context);
    let plan = Plan::new(&context, &x, &y).unwrap();
    let inputs = [4, 5].map(|seed| parity::values(seed, 8 * 36));
    let wanted = inputs.each_ref().map(|input| block_on(plan.run(input)).unwrap());
    assert_ne!(wanted[0], wanted[1]);

    drop(plan.run(&inputs[0]));
    let mut dropped = Box::pin(plan.run(&inputs[0]));
    let mut task = std::task::Context::from_waker(std::task::Waker::noop());
    let _ = dropped.as_mut().poll(&mut task);
    drop(dropped);
    for (input, wanted) in inputs.iter().zip(&wanted) {
        assert_eq!(&block_on(plan.run(input)).unwrap(), wanted);
    }
}

/// Before its weights are there, all that a network will run is compiled: a tile of another size compiles nothing more.
#[test]
fn a_network_is_compiled_without_its_weights() {
    let Some(context) = context() else { return };
    for config in random::configs() {
        // With no pipelines yet.
        let context = context.with_geometry(context.geometry());
        let bytes = random::checkpoint(config, 7).to_bytes(checkpoint::Precision::F16).unwrap();
        let file = (0..bytes.len()).step_by(100).find_map(|received| Checkpoint::peek(&bytes[..received])).unwrap();
        assert_eq!(file, config);
        Session::warm_up(&file, &context).unwrap();
        let compiled = context.pipelines();
        assert!(compiled > 0);
        let session = Session::new(&Checkpoint::from_bytes(&bytes).unwrap(), Engine::WebGpu(context.clone())).unwrap();
        block_on(session.forward(&parity::values(5, 3 * 20 * 12), 20, 12)).unwrap();
        assert_eq!(context.pipelines(), compiled, "{config:?}");
    }
}

#[test]
fn a_lost_device_is_an_error() {
    let Some(context) = context() else { return };
    let (x, y) = residual(&context);
    let plan = Plan::new(&context, &x, &y).unwrap();
    let input = parity::values(4, 8 * 36);
    block_on(plan.run(&input)).unwrap();
    context.destroy();
    assert!(matches!(block_on(plan.run(&input)), Err(Error::Gpu(_))));
    assert!(matches!(Plan::new(&context, &x, &y), Err(Error::Gpu(_))));
}

#[test]
fn what_cannot_be_run_is_refused_in_words() {
    let Some(context) = context() else { return };
    let message = |result: shared::Result<Plan>| result.err().map(|e| e.to_string()).unwrap_or_default();

    let x = GpuTensor::input([1, 4, 40_000, 10_000]);
    let tiles = message(Plan::new(&context, &x, &x.relu().unwrap()));
    assert!(tiles.contains("use smaller tiles"), "{tiles}");
    let limit = context.largest_buffer() as usize;
    let x = GpuTensor::input([1, 4, limit / 16 / 1024 + 1, 1024]);
    let tiles = message(Plan::new(&context, &x, &x.relu().unwrap()));
    assert!(tiles.contains("MiB") && tiles.contains("use smaller tiles"), "{tiles}");

    let (x, other) = (GpuTensor::input([1, 4, 2, 2]), GpuTensor::input([1, 4, 2, 2]));
    let two = message(Plan::new(&context, &x, &x.add(&other).unwrap()));
    assert!(two.contains("input"), "{two}");
    let empty = GpuTensor::input([1, 0, 2, 2]);
    assert!(message(Plan::new(&context, &empty, &empty)).contains("empty"));
    assert!(x.affine(f32::NAN, 0.0).is_err());
    assert!(x.clamp(1.0, 0.0).is_err());
    assert!(x.conv2d(&x, None, 1, 1).is_err());

    let plan = Plan::new(&context, &x, &x.relu().unwrap()).unwrap();
    assert!(matches!(block_on(plan.run(&[1.0; 15])), Err(Error::Shape { .. })));

    let elsewhere = block_on(Context::new()).unwrap();
    let foreign = GpuTensor::constant(&elsewhere, vec![0.0; 16], &[1, 4, 2, 2]).unwrap();
    let foreign = message(Plan::new(&context, &x, &x.add(&foreign).unwrap()));
    assert!(foreign.contains("another device"), "{foreign}");
}

#[test]
fn grids_beyond_one_dimension_are_folded() {
    let Some(context) = context() else { return };
    // 4,300,800 vec4 are 67,200 workgroups, more than the 65,535 of one dimension; 65.6 MiB fit in every device's binding.
    let x = GpuTensor::input([1, 1, 2100, 2048]);
    let plan = Plan::new(&context, &x, &x.affine(2.0, 1.0).unwrap()).unwrap();
    let input = parity::values(6, 2100 * 2048);
    let wanted: Vec<f32> = input.iter().map(|v| 2.0 * v + 1.0).collect();
    parity::compare(&block_on(plan.run(&input)).unwrap(), &wanted, &[2100, 2048], parity::OPERATION).unwrap();
}

#[test]
fn the_comparison_finds_a_difference() {
    let wanted = [1.0, 2.0, 3.0, 4.0];
    let message = |got: [f32; 4]| parity::compare(&got, &wanted, &[2, 2], parity::OPERATION).unwrap_err();
    assert!(message([1.0, 2.0, 3.1, 4.0]).contains("[1, 0] of [2, 2]: 3.1 instead of 3"));
    assert!(message([1.0, f32::NAN, 3.1, 4.0]).contains("[0, 1]"));
    assert!(parity::compare(&[], &[], &[0], parity::OPERATION).is_err());
    assert!(parity::compare(&wanted[..3], &wanted, &[2, 2], parity::OPERATION).is_err());
}
