//! The GPU of the native tests.

use std::sync::Arc;

use pollster::block_on;
use shared::engine::webgpu::{Context, Precision};

/// A device of its own for every test, in f32, or a loud skip where the environment asks for it.
pub fn context() -> Option<Arc<Context>> {
    if std::env::var("ATELIER_NO_GPU").is_ok_and(|v| v == "1") {
        println!("\n*** SKIPPED: ATELIER_NO_GPU=1, nothing was compared with WebGPU ***\n");
        return None;
    }
    match block_on(Context::new()) {
        Ok(context) => Some(context.with_precision(Precision::F32).expect("f32 is everywhere")),
        Err(e) => panic!(
            "{e}\nThese tests need a Vulkan, Metal or DX12 adapter. A software one will do: apt-get install libvulkan1 \
             mesa-vulkan-drivers. To skip them, set ATELIER_NO_GPU=1."
        ),
    }
}

/// The same in f16, or a loud skip where the adapter has none.
pub fn half_context() -> Option<Arc<Context>> {
    let context = context()?;
    if !context.adapter().f16 {
        println!("\n*** SKIPPED: `{}` has no f16, nothing was compared in it ***\n", context.adapter().name);
        return None;
    }
    Some(context.with_precision(Precision::F16).expect("the adapter has it"))
}
