//! The parity suite in a browser's WebGPU, as wasm. `cargo xtask test` runs it; by hand:
//!
//! ```text
//! cd tests && CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=wasm-bindgen-test-runner CHROMEDRIVER=/usr/bin/chromedriver \
//!   WASM_BINDGEN_TEST_TIMEOUT=300 WASM_BINDGEN_TEST_DRIVER_TIMEOUT=60 \
//!   cargo test --target wasm32-unknown-unknown --test parity_browser
//! ```
#![cfg(target_arch = "wasm32")]

use std::sync::Arc;

use shared::Tensor;
use shared::engine::webgpu::kernels::Geometry;
use shared::engine::webgpu::{Context, GpuTensor, Plan, Precision};
use tests::{golden, parity};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

// Where the page runs it.
wasm_bindgen_test_configure!(run_in_dedicated_worker);

async fn context() -> Arc<Context> {
    let context = Context::new().await.expect("WebGPU: Chromium needs --enable-unsafe-webgpu, see webdriver.json");
    context.with_precision(Precision::F32).expect("f32 is everywhere")
}

#[wasm_bindgen_test]
async fn every_operation_matches_candle() {
    parity::operations(&context().await).await.assert();
}

/// As a GPU does it: a browser must grant that all threads of a workgroup come to every barrier.
#[wasm_bindgen_test]
async fn sequences_match_candle_where_threads_share_sums() {
    parity::on_sequences(&context().await.with_geometry(Geometry::HARDWARE)).await.assert();
}

#[wasm_bindgen_test]
async fn every_model_matches_candle() {
    parity::models(&context().await).await.assert();
}

#[wasm_bindgen_test]
async fn golden_tensors_are_matched() {
    let context = context().await;
    golden::check(|| shared::session::Engine::WebGpu(context.clone())).await.unwrap();
}

/// A browser has a clock and says when the GPU is done. Three ways, because SwiftShader compiles one for up to a second.
#[wasm_bindgen_test]
async fn a_plan_is_measured() {
    let context = context().await;
    let x = GpuTensor::input([1, 4, 16, 16]);
    let weight = GpuTensor::constant(&context, parity::values(3, 4 * 4 * 9), &[4, 4, 3, 3]).unwrap();
    let plan = Plan::new(&context, &x, &x.conv2d(&weight, None, 1, 1).unwrap()).unwrap();
    let mut left = 0..3;
    let trials = plan.tune(|| left.next().is_some()).await.unwrap();
    assert_eq!(trials.len(), 3);
    assert!(trials.iter().all(|trial| trial.seconds.is_some_and(|seconds| seconds > 0.0)), "{trials:?}");
    // Not all ways of the layer, so nothing is decided.
    assert!(context.tuning().is_empty());
}
