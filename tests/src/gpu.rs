//! The GPU of the native tests.

use std::sync::Arc;

use pollster::block_on;
use shared::engine::webgpu::Context;

/// A device of its own for every test, or a loud skip where the environment asks for it.
pub fn context() -> Option<Arc<Context>> {
    if std::env::var("ATELIER_NO_GPU").is_ok_and(|v| v == "1") {
        println!("\n*** SKIPPED: ATELIER_NO_GPU=1, nothing was compared with WebGPU ***\n");
        return None;
    }
    match block_on(Context::new()) {
        Ok(context) => Some(context),
        Err(e) => panic!(
            "{e}\nThese tests need a Vulkan, Metal or DX12 adapter. A software one will do: apt-get install libvulkan1 \
             mesa-vulkan-drivers. To skip them, set ATELIER_NO_GPU=1."
        ),
    }
}
