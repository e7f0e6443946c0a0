//! The trainer for NVIDIA GPUs, also built where there is neither a GPU nor CUDA.
//!
//! Where `nvcc` is on PATH this is a plain build. Elsewhere the compiler comes as NVIDIA's own Python packages, and the libraries
//! that only the driver's machine has are stood in for by empty ones of the same names, enough for the linker. What is built runs
//! on a machine with an NVIDIA driver and CUDA 13's cublas, curand and cudart.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use xtask::command::Cmd;
use xtask::tools;

/// The compiler, pinned: a driver refuses PTX that is newer than itself.
const PACKAGES: [&str; 5] = [
    "nvidia-cuda-nvcc==13.0.88",
    "nvidia-nvvm==13.0.88",
    "nvidia-cuda-crt==13.0.88",
    "nvidia-cuda-runtime==13.0.96",
    "nvidia-cuda-cccl==13.0.85",
];

/// Libraries that cudarc links: its folder of bindings, the name for the linker, the name at run time.
const LIBRARIES: [(&str, &str, &str); 5] = [
    ("driver", "cuda", "libcuda.so.1"),
    ("cublas", "cublas", "libcublas.so.13"),
    ("cublaslt", "cublasLt", "libcublasLt.so.13"),
    ("curand", "curand", "libcurand.so.10"),
    ("nvrtc", "nvrtc", "libnvrtc.so.13"),
];

/// Builds `target/cuda/release/trainer` for GPUs of this compute capability, e.g. 90.
///
/// # Errors
/// When the compiler cannot be installed, or the build fails.
pub fn build(root: &Path, capability: u32) -> Result<()> {
    // A folder of its own: the binary does not start without CUDA, so the usual one is wanted too.
    let cargo = Cmd::cargo(root)
        .args(["build", "--release", "--package", "trainer", "--features", "cuda", "--target-dir"])
        .arg(root.join("target/cuda"))
        .env("CUDA_COMPUTE_CAP", capability.to_string());
    let cargo = if which::which("nvcc").is_ok() {
        cargo
    } else {
        let store = tools::store("cuda-13.0")?;
        let home = toolkit(&store)?;
        let stubs = stubs(root, &store, &home)?;
        cargo.env("CUDA_HOME", &home).path(&[home.join("bin")]).env("RUSTFLAGS", format!("-L native={}", stubs.display()))
    };
    eprintln!("Building the trainer with CUDA: about 20 minutes on two cores, the first time.");
    cargo.run()?;
    println!("{}", root.join("target/cuda/release/trainer").display());
    println!(
        "It needs an NVIDIA driver and CUDA 13's libcublas, libcurand and libcudart where it runs; PyTorch's nvidia packages have \
         them too (LD_LIBRARY_PATH)."
    );
    Ok(())
}

/// NVIDIA's compiler from its Python packages; returns `CUDA_HOME`.
fn toolkit(store: &Path) -> Result<PathBuf> {
    let site = store.join("site");
    let home = site.join("nvidia/cu13");
    if home.join("bin/nvcc").exists() {
        return Ok(home);
    }
    let python = ["python3", "python"].iter().find_map(|p| which::which(p).ok());
    let Some(python) = python else { bail!("neither nvcc nor python3 on PATH: install CUDA 13, or Python with pip") };
    std::fs::create_dir_all(&site).with_context(|| format!("cannot make {}", site.display()))?;
    eprintln!("No nvcc on PATH: installing NVIDIA's compiler ({}) into {}.", PACKAGES[0], site.display());
    let pip = Cmd::new(python, store).args(["-m", "pip", "install", "--no-deps", "--target"]).arg(&site).args(PACKAGES);
    pip.run().context("pip is needed to install NVIDIA's compiler")?;
    Ok(home)
}

/// Empty shared libraries with the names that cudarc's bindings call, and the real `libcudart`.
fn stubs(root: &Path, store: &Path, home: &Path) -> Result<PathBuf> {
    let folder = store.join("stubs");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let bindings = cudarc(root)?.join("src");
    for (module, name, soname) in LIBRARIES {
        let file = bindings.join(module).join("sys/mod.rs");
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let source = folder.join(format!("{name}.c"));
        let symbols = functions(&text).into_iter().map(|f| format!("void {f}(void) {{}}\n"));
        std::fs::write(&source, symbols.collect::<String>()).with_context(|| format!("cannot write {}", source.display()))?;
        let library = folder.join(format!("lib{name}.so"));
        let gcc =
            Cmd::new("cc", &folder).args(["-shared", "-fPIC", "-fno-builtin", "-w", &format!("-Wl,-soname,{soname}"), "-o"]);
        gcc.arg(&library).arg(&source).run().context("a C compiler is needed")?;
    }
    let runtime = folder.join("libcudart.so");
    std::fs::copy(home.join("lib/libcudart.so.13"), &runtime).with_context(|| format!("cannot write {}", runtime.display()))?;
    Ok(folder)
}

/// The folder of cudarc's source, of the version in Cargo.lock.
fn cudarc(root: &Path) -> Result<PathBuf> {
    let metadata = Cmd::cargo(root).args(["metadata", "--format-version", "1", "--locked", "--features", "trainer/cuda"]);
    let metadata: Value = serde_json::from_str(&metadata.output().context("cargo metadata failed")?)?;
    let manifest = metadata["packages"].as_array().into_iter().flatten().find(|package| package["name"] == "cudarc");
    let manifest = manifest.and_then(|package| package["manifest_path"].as_str()).context("cargo knows no cudarc")?;
    Ok(Path::new(manifest).parent().unwrap_or(root).to_owned())
}

/// The functions that bindings declare.
fn functions(text: &str) -> BTreeSet<&str> {
    let declared =
        text.lines().filter_map(|line| line.trim_start().strip_prefix("pub fn ").or(line.trim_start().strip_prefix("fn ")));
    let named = declared.filter_map(|rest| rest.split(['(', '<']).next());
    named.filter(|name| name.starts_with("cu") || name.starts_with("nvrtc")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_in_bindings() {
        let text = "extern \"C\" {\n    pub fn cuInit(flags: u32) -> i32;\n    fn cublasCreate_v2(\n        h: *mut u8,\n    );\n}\npub fn lib() {}\n";
        assert_eq!(functions(text), BTreeSet::from(["cuInit", "cublasCreate_v2"]));
    }
}
