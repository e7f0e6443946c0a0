//! Every shader that plans are made of is valid WGSL without any optional feature but f16, where it says so.
#![cfg(not(target_arch = "wasm32"))]

use naga::valid::{Capabilities, ValidationFlags, Validator};
use shared::engine::webgpu::kernels;

#[test]
fn every_variant_is_valid() {
    let variants = kernels::variants().unwrap();
    assert!(variants.len() > 100, "only {} variants", variants.len());
    assert!(variants.iter().filter(|(_, source)| source.contains("enable f16;")).count() * 2 == variants.len());
    for (name, source) in variants {
        let numbered = || source.lines().zip(1..).map(|(line, i)| format!("{i:3} {line}\n")).collect::<String>();
        let module = naga::front::wgsl::parse_str(&source)
            .unwrap_or_else(|e| panic!("{name}:\n{}\n{}", e.emit_to_string(&source), numbered()));
        let half = source.contains("enable f16;");
        let capabilities = if half { Capabilities::SHADER_FLOAT16 } else { Capabilities::empty() };
        Validator::new(ValidationFlags::all(), capabilities)
            .validate(&module)
            .unwrap_or_else(|e| panic!("{name}:\n{}\n{}", e.emit_to_string(&source), numbered()));
        // WebGPU grants 8 storage buffers a shader everywhere.
        let storage = |v: &&naga::GlobalVariable| matches!(v.space, naga::AddressSpace::Storage { .. });
        let buffers = module.global_variables.iter().map(|(_, v)| v).filter(storage).count();
        assert!(buffers <= 8, "{name} binds {buffers} storage buffers");
    }
}
