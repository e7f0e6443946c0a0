//! What the page and its workers say to each other.
//!
//! A message is one of these as JSON, with at most one `ArrayBuffer` beside it, which is transferred and not copied. A `job` numbers
//! what the person asked for, so that an answer to what is no longer wanted is recognised and dropped.

pub mod pictures;
pub mod sentences;

use serde::{Deserialize, Serialize};

/// What the person wants it to run on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The GPU where there is a real one, else the CPU.
    #[default]
    Auto,
    /// WebGPU, or an error.
    WebGpu,
    /// candle on wasm SIMD.
    Cpu,
}

impl Choice {
    /// Reads the value of the menu and of `?engine=`; anything else is [`Choice::Auto`].
    pub fn parse(text: &str) -> Self {
        match text {
            "webgpu" => Self::WebGpu,
            "cpu" => Self::Cpu,
            _ => Self::Auto,
        }
    }

    /// What [`Choice::parse`] reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::WebGpu => "webgpu",
            Self::Cpu => "cpu",
        }
    }

    /// Whether this means the GPU, on a machine with `gpu`. A software adapter is not a GPU: wasm SIMD is faster than that.
    pub fn wants_gpu(self, gpu: Option<&Gpu>) -> bool {
        match self {
            Self::Auto => gpu.is_some_and(|gpu| !gpu.software),
            Self::WebGpu => true,
            Self::Cpu => false,
        }
    }
}

/// A WebGPU adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// As the browser calls it; often empty.
    pub name: String,
    /// Whether it is a program and not a chip.
    pub software: bool,
}

impl Gpu {
    /// The name, or what to say where the browser keeps it to itself.
    pub fn label(&self) -> String {
        match (self.name.trim(), self.software) {
            ("", true) => "software adapter".into(),
            ("", false) => "graphics card".into(),
            (name, true) => format!("{name}, software"),
            (name, false) => name.into(),
        }
    }
}

/// What a network ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "engine", rename_all = "lowercase")]
pub enum Engine {
    /// This adapter.
    WebGpu(Gpu),
    /// candle, compiled to wasm with SIMD.
    Cpu {
        /// Workers that compute at the same time.
        workers: usize,
        /// Why it is not the GPU, where one was tried.
        gpu_error: Option<String>,
    },
}

impl Engine {
    /// The CPU, one worker; `gpu_error` as in [`Engine::Cpu`].
    pub fn cpu(gpu_error: Option<String>) -> Self {
        Self::Cpu { workers: 1, gpu_error }
    }

    /// For people.
    pub fn label(&self) -> String {
        match self {
            Self::WebGpu(gpu) => format!("WebGPU ({})", gpu.label()),
            Self::Cpu { workers: ..=1, .. } => "CPU (wasm SIMD)".into(),
            Self::Cpu { workers, .. } => format!("CPU (wasm SIMD, {workers} workers)"),
        }
    }

    /// For programs: as [`Choice::name`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::WebGpu(_) => "webgpu",
            Self::Cpu { .. } => "cpu",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automatic_prefers_real_gpus_only() {
        let gpu = |software| Gpu { name: String::new(), software };
        assert!(Choice::Auto.wants_gpu(Some(&gpu(false))));
        assert!(!Choice::Auto.wants_gpu(Some(&gpu(true))));
        assert!(!Choice::Auto.wants_gpu(None));
        assert!(Choice::WebGpu.wants_gpu(Some(&gpu(true))));
        assert!(!Choice::Cpu.wants_gpu(Some(&gpu(false))));
        for choice in [Choice::Auto, Choice::WebGpu, Choice::Cpu] {
            assert_eq!(Choice::parse(choice.name()), choice);
        }
    }
}
