//! The commands of this repository: `cargo xtask --help`.
#![allow(clippy::print_stdout)] // A program: its results belong on stdout.

mod cuda;
mod steps;

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;
use clap::{Parser, Subcommand};

use steps::Step;
use xtask::command::Cmd;
use xtask::seal;
use xtask::serve::Site;
use xtask::tools::{self, Tools};

/// Builds, shows and checks Atelier. What is missing is installed once per user; every command says what it does.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the page and serve it on this computer.
    #[command(after_help = "Example:\n  cargo xtask demo --port 8080")]
    Demo {
        /// The port; the next free one where it is taken.
        #[arg(long, default_value_t = 8080)]
        port: u16,
        /// Only build `web/dist`.
        #[arg(long)]
        no_serve: bool,
    },
    /// Run every check and every test, cheapest first, and stop at the first that fails.
    Test {
        /// Leave out what needs a browser.
        #[arg(long)]
        quick: bool,
    },
    /// Formatting, lints and documentation, native and wasm.
    Check,
    /// Build the trainer for NVIDIA GPUs, also on a machine without CUDA.
    #[command(after_help = "Example:\n  cargo xtask cuda --capability 90")]
    Cuda {
        /// The compute capability of the GPU, without its dot: 80 for an A100, 89 for an RTX 4090, 90 for an H100.
        #[arg(long, default_value_t = 90)]
        capability: u32,
    },
    /// Measure Atelier beside onnxruntime-web and TensorFlow.js in a browser, or beside onnxruntime; `bench --help` says how.
    #[command(disable_help_flag = true)]
    Bench {
        /// Its options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
    /// The last step of the page's build; trunk runs it.
    #[command(hide = true)]
    Seal,
}

fn main() -> Result<()> {
    let root = xtask::root()?;
    match Args::parse().task {
        Task::Demo { port, no_serve } => demo(&root, port, no_serve),
        Task::Test { quick } => test(&root, quick),
        Task::Check => {
            tools::wasm_target()?;
            steps::run(&checks(&root))
        }
        Task::Cuda { capability } => cuda::build(&root, capability),
        Task::Bench { options } => {
            // Built only where it is wanted: it needs much that the other commands do not.
            let bench = Cmd::cargo(&root).args([
                "run",
                "--quiet",
                "--package",
                "xtask",
                "--features",
                "bench",
                "--bin",
                "xtask-bench",
                "--",
            ]);
            bench.args(options).run()
        }
        Task::Seal => seal::seal(),
    }
}

fn demo(root: &Path, port: u16, no_serve: bool) -> Result<()> {
    tools::wasm_target()?;
    let tools = Tools::for_the_page(root)?;
    eprintln!("Building the page; the first time takes some minutes.");
    page(root, &tools).run()?;
    let dist = root.join("web/dist");
    if no_serve {
        println!("The page is in {}", dist.display());
        return Ok(());
    }
    let site = Site::start(&dist, port)?;
    println!("\nAtelier is open at {}\nCtrl-C ends it.", site.url());
    site.wait();
    Ok(())
}

fn test(root: &Path, quick: bool) -> Result<()> {
    tools::wasm_target()?;
    tools::system_packages(quick)?;
    let cargo = || Cmd::cargo(root);
    let mut steps = checks(root);
    steps.push(Step::new("tests", cargo().args(["test", "--workspace", "--features", "xtask/bench"])));
    if !quick {
        let tools = Tools::for_the_page(root)?;
        let driver = tools::chromedriver()?;
        let parity = cargo()
            .args(["test", "--target", tools::WASM, "--package", "tests", "--test", "parity_browser"])
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", "wasm-bindgen-test-runner")
            .env("CHROMEDRIVER", &driver)
            // The defaults, 20 s for all tests and 5 s for chromedriver to start, are short for a GPU that is software.
            .env("WASM_BINDGEN_TEST_TIMEOUT", "600")
            .env("WASM_BINDGEN_TEST_DRIVER_TIMEOUT", "60");
        steps.push(Step::new("tests in the browser", tools.on_path(parity)));
        steps.push(Step::new("the page, built", page(root, &tools)));
        // The workspace, not the package: another set of features would compile everything once more.
        // One browser at a time: each brings a GPU in software.
        let page = cargo().args(["test", "--workspace", "--test", "page", "--", "--ignored", "--test-threads", "1"]);
        let page = page.env("CHROMEDRIVER", &driver);
        steps.push(Step::new("the page, used", page));
    }
    steps::run(&steps)
}

/// Formatting, lints and documentation, cheapest first.
fn checks(root: &Path) -> Vec<Step> {
    let cargo = || Cmd::cargo(root);
    let wasm_rooms = ["--target", tools::WASM, "--package", "shared", "--package", "web", "--package", "tests"];
    let clippy_wasm =
        cargo().arg("clippy").args(wasm_rooms).args(["--lib", "--bins", "--test", "parity_browser", "--", "-D", "warnings"]);
    // Libraries only: a binary's page would overwrite that of the library with the same name.
    let doc = |c: Cmd| c.args(["doc", "--no-deps", "--lib"]).env("RUSTDOCFLAGS", "-D warnings");
    vec![
        Step::new("formatting", cargo().args(["fmt", "--all", "--check"])),
        Step::new(
            "lints",
            cargo().args(["clippy", "--workspace", "--all-targets", "--features", "xtask/bench", "--", "-D", "warnings"]),
        ),
        Step::new("lints, wasm", clippy_wasm),
        Step::new("documentation", doc(cargo()).arg("--workspace")),
        Step::new("documentation, wasm", doc(cargo()).args(["--target", tools::WASM, "--package", "web"])),
    ]
}

/// Builds the page into `web/dist`.
fn page(root: &Path, tools: &Tools) -> Cmd {
    let trunk = Cmd::new("trunk", &root.join("web")).args(["build", "--release", "--offline"]);
    // trunk reads NO_COLOR as one of its own switches and refuses `1`.
    tools.on_path(trunk.without("NO_COLOR"))
}
