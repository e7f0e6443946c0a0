//! The folder that the measured pages are served from: the peers from npm, Atelier from this workspace.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xtask::command::Cmd;
use xtask::seal;
use xtask::tools::{self, Tools};

use super::networks::{Network, Weights};

/// What is copied as it came from npm, with the folder of the site that it belongs in.
const PEERS: [(&str, &str); 8] = [
    ("onnxruntime-web/dist/ort.bundle.min.mjs", "ort"),
    ("onnxruntime-web/dist/ort-wasm-simd-threaded.jsep.wasm", "ort"),
    ("onnxruntime-web/dist/ort.jspi.bundle.min.mjs", "ort"),
    ("onnxruntime-web/dist/ort-wasm-simd-threaded.jspi.wasm", "ort"),
    ("onnxruntime-web/dist/ort.wasm.bundle.min.mjs", "ort"),
    ("onnxruntime-web/dist/ort-wasm-simd-threaded.wasm", "ort"),
    ("@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm", "tfjs"),
    ("@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-threaded-simd.wasm", "tfjs"),
];

/// Builds the site in `folder`; what was there is gone. Returns what is compared, with its versions.
///
/// # Errors
/// When a tool or a package is missing and cannot be installed, or a build fails.
pub fn build(root: &Path, folder: &Path) -> Result<Vec<String>> {
    let peers = root.join("tests/peers");
    install(&peers)?;
    tools::wasm_target()?;
    let tools = Tools::for_the_page(root)?;
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    copy(&peers.join("index.html"), folder)?;
    let modules = peers.join("node_modules");
    for (file, part) in PEERS {
        copy(&modules.join(file), &folder.join(part))?;
    }
    let esbuild = Cmd::new("esbuild", &peers).path(&[modules.join(".bin")]).args(["src/page.js", "src/worker.js"]);
    // What stands in folders of its own is whole already.
    let whole = ["--external:./ort/*", "--external:./atelier/*"];
    let how = ["--bundle", "--splitting", "--format=esm", "--minify", "--log-level=warning"];
    esbuild.args(how).args(whole).arg(format!("--outdir={}", folder.display())).run()?;
    atelier(root, &tools, &folder.join("atelier"))?;
    versions(&modules)
}

/// The peers' packages, in the versions of the lock file.
fn install(peers: &Path) -> Result<()> {
    let lock = peers.join("package-lock.json");
    let wanted = fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let installed = peers.join("node_modules/.installed");
    if fs::read(&installed).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    eprintln!("Installing onnxruntime-web and TensorFlow.js into {}: 250 MB, once.", peers.join("node_modules").display());
    let npm = Cmd::new("npm", peers).args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"]);
    npm.run().context("npm is needed for the runtimes that Atelier is compared with (https://nodejs.org)")?;
    fs::write(&installed, wanted).with_context(|| format!("cannot write {}", installed.display()))
}

/// Atelier's program: built as trunk builds the page's worker.
fn atelier(root: &Path, tools: &Tools, folder: &Path) -> Result<()> {
    let build =
        Cmd::cargo(root).args(["build", "--package", "web", "--bin", "bench", "--profile", "web", "--target", tools::WASM]);
    build.run()?;
    let built = target(root)?.join(tools::WASM).join("web/bench.wasm");
    let bindgen = Cmd::new("wasm-bindgen", root).args(["--target", "web", "--no-typescript", "--out-name", "bench", "--out-dir"]);
    tools.on_path(bindgen.arg(folder).arg(built)).run()?;
    seal::optimise(&folder.join("bench_bg.wasm"), |wasm_opt| tools.on_path(wasm_opt))
}

/// The folder that cargo builds into.
///
/// # Errors
/// When cargo does not tell.
pub fn target(root: &Path) -> Result<PathBuf> {
    let metadata = Cmd::cargo(root).args(["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    let metadata: Value = serde_json::from_str(&metadata.output().context("cargo metadata failed")?)?;
    Ok(metadata["target_directory"].as_str().context("cargo names no target folder")?.into())
}

fn copy(file: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let name = file.file_name().with_context(|| format!("{} is no file", file.display()))?;
    fs::copy(file, folder.join(name)).with_context(|| format!("cannot copy {}", file.display()))?;
    Ok(())
}

fn versions(modules: &Path) -> Result<Vec<String>> {
    let of = |title: &str, package: &str| -> Result<String> {
        let file = modules.join(package).join("package.json");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let version = serde_json::from_str::<Value>(&text)?["version"].as_str().map(str::to_owned);
        Ok(format!("{title} {}", version.with_context(|| format!("{} has no version", file.display()))?))
    };
    let ours = format!("Atelier {}", env!("CARGO_PKG_VERSION"));
    Ok(vec![ours, of("onnxruntime-web", "onnxruntime-web")?, of("TensorFlow.js", "@tensorflow/tfjs-core")?])
}

/// Where a network's weights lie in the site, for Atelier and for the others.
pub fn files(network: &str) -> [String; 2] {
    ["safetensors", "onnx"].map(|ending| format!("networks/{network}.{ending}"))
}

/// Writes the weights of `networks` into the site: the shipped ones copied, the yardsticks made, and each as ONNX too.
///
/// # Errors
/// When the trainer cannot be built, or cannot write one.
pub fn weights(root: &Path, folder: &Path, networks: &[Network]) -> Result<()> {
    let trainer = || Cmd::cargo(root).args(["run", "--quiet", "--release", "--package", "trainer", "--"]);
    fs::create_dir_all(folder.join("networks"))?;
    for network in networks {
        let [checkpoint, onnx] = files(&network.name).map(|file| folder.join(file));
        match &network.weights {
            Weights::Shipped(file) => {
                let file = root.join("web/models").join(file);
                fs::copy(&file, &checkpoint).with_context(|| format!("cannot copy {}", file.display()))?;
            }
            Weights::Random(config) => {
                trainer().args(["init", config, "--seed", "0", "--output"]).arg(&checkpoint).run()?;
            }
        }
        let style = network.style.iter().flat_map(|style| ["--style", style]);
        trainer().arg("export").arg(&checkpoint).arg("--onnx").arg(&onnx).args(style).run()?;
        ensure!(onnx.exists(), "the trainer wrote no {}", onnx.display());
    }
    Ok(())
}
