//! The programs that a fresh machine lacks.
//!
//! What is on PATH in the right version is used. What is not is built once per user, into the user's cache folder, so that
//! another clone finds it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use etcetera::BaseStrategy;

use crate::command::Cmd;

/// The target of the page.
pub const WASM: &str = "wasm32-unknown-unknown";

const TRUNK: &str = "0.22.1";

/// Debian's 108 breaks the output of wasm-bindgen.
const BINARYEN: &str = "132.0.0";

/// Programs that run for seconds need no optimiser that runs for many minutes: at the release profiles of their authors trunk
/// takes 18 minutes of processor time, with these 6 (two cores).
const QUICK: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
];

/// Where the tools are that build the page.
pub struct Tools {
    folders: Vec<PathBuf>,
}

impl Tools {
    /// trunk, wasm-bindgen with its test runner, and wasm-opt where npm can bring it; installed if missing.
    ///
    /// # Errors
    /// When one that is needed cannot be installed; the message says how to get it.
    pub fn for_the_page(root: &Path) -> Result<Self> {
        let store = store("tools")?;
        std::fs::create_dir_all(&store).with_context(|| format!("cannot make {}", store.display()))?;
        let modules = store.join("node_modules").join(".bin");
        let tools = Self { folders: vec![store.join("bin"), modules] };

        let bindgen = locked_version(root, "wasm-bindgen")?;
        if tools.version("wasm-bindgen").as_deref() != Some(&bindgen) || tools.version("wasm-bindgen-test-runner").is_none() {
            // Without --locked: the lock file of 0.2.130 names a version that the registry lacks.
            let why = "connects the wasm module to the page; its version must be that of the library";
            tools.build(&store, "wasm-bindgen-cli", &bindgen, why, "2 minutes", &[])?;
        }
        if tools.version("trunk").as_deref() != Some(TRUNK) {
            // It asks for a newer compiler than it needs.
            tools.build(&store, "trunk", TRUNK, "bundles the page", "6 minutes", &["--locked", "--ignore-rust-version"])?;
        }
        tools.binaryen(&store)?;
        Ok(tools)
    }

    /// `command` with these tools found first.
    pub fn on_path(&self, command: Cmd) -> Cmd {
        command.path(&self.folders)
    }

    /// The version that `program --version` prints, wherever it is found first.
    fn version(&self, program: &str) -> Option<String> {
        let text = self.on_path(Cmd::new(program, Path::new(".")).arg("--version").without("NO_COLOR")).output()?;
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
    }

    fn build(&self, store: &Path, package: &str, version: &str, why: &str, time: &str, flags: &[&str]) -> Result<()> {
        eprintln!("Installing {package} {version} ({why}) into {}: about {time} on two cores, once.", store.display());
        let spec = format!("{package}@{version}");
        let cargo = Cmd::cargo(store).args(["install", &spec, "--force", "--root"]).arg(store).args(flags);
        let cargo = QUICK.iter().fold(cargo, |cargo, (name, value)| cargo.env(name, value));
        cargo.run().with_context(|| format!("{package} {version} is needed; put it on PATH, or repair what stopped this"))
    }

    /// wasm-opt makes the page smaller; nothing fails without it.
    fn binaryen(&self, store: &Path) -> Result<()> {
        let major = BINARYEN.split('.').next();
        if self.version("wasm-opt").as_deref() == major {
            return Ok(());
        }
        if which::which("npm").is_err() {
            eprintln!("No npm, so no wasm-opt {BINARYEN}: the page works without, it is only larger.");
            return Ok(());
        }
        eprintln!("Installing binaryen {BINARYEN} (makes the page smaller) into {}: some seconds, once.", store.display());
        let npm = Cmd::new("npm", store).args(["install", "--prefix"]).arg(store);
        let npm = npm.args(["--no-save", "--no-audit", "--no-fund", "--loglevel", "error"]).arg(format!("binaryen@{BINARYEN}"));
        if let Err(error) = npm.run() {
            eprintln!("That failed; the page works without, it is only larger. {error:#}");
        }
        Ok(())
    }
}

/// A folder of that name in the user's cache, where what every clone needs is kept.
///
/// # Errors
/// When there is no home folder.
pub fn store(name: &str) -> Result<PathBuf> {
    let cache = etcetera::choose_base_strategy().context("no folder for caches: HOME is not set")?.cache_dir();
    Ok(cache.join("atelier").join(name))
}

/// The version of a package in the workspace's lock file.
fn locked_version(root: &Path, package: &str) -> Result<String> {
    let file = root.join("Cargo.lock");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = format!("name = \"{package}\"");
    let version = text.lines().skip_while(|line| *line != name).nth(1);
    let version = version.and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.map(str::to_owned).ok_or_else(|| anyhow!("{} does not name {package}", file.display()))
}

/// The compiler's part for wasm.
///
/// # Errors
/// When it is missing and rustup cannot bring it.
pub fn wasm_target() -> Result<()> {
    let here = Path::new(".");
    let folder = Cmd::new("rustc", here).args(["--print", "target-libdir", "--target", WASM]).output();
    if folder.is_some_and(|folder| Path::new(&folder).exists()) {
        return Ok(());
    }
    eprintln!("Installing the Rust target {WASM} (the page is wasm): some seconds, once.");
    let advice = || format!("install rustup (https://rustup.rs), or your distribution's package of Rust's {WASM} library");
    Cmd::new("rustup", here).args(["target", "add", WASM]).run().with_context(advice)
}

/// chromedriver, as `CHROMEDRIVER` names it or as found on PATH.
///
/// # Errors
/// When there is none.
pub fn chromedriver() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMEDRIVER") {
        return Ok(path.into());
    }
    which::which("chromedriver").map_err(|_| anyhow!("no chromedriver on PATH: {BY_HAND}"))
}

const BY_HAND: &str = "the tests need Chrome or Chromium with the chromedriver of its version on PATH (or in CHROMEDRIVER), and on \
    Linux a Vulkan driver; a software one, such as Mesa's lavapipe, will do";

/// What the tests need of the system: Vulkan for the native WebGPU tests, a browser for the rest. Installed on Debian and
/// Ubuntu, asked for elsewhere.
///
/// # Errors
/// When something is missing and cannot be installed.
pub fn system_packages(quick: bool) -> Result<()> {
    let mut missing = Vec::new();
    let browser = quick || std::env::var_os("CHROMEDRIVER").is_some() || which::which("chromedriver").is_ok();
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !browser {
        // Ubuntu has them as snaps under these names.
        let ubuntu = release.lines().any(|line| line == "ID=ubuntu");
        missing.extend(if ubuntu { ["chromium-browser", "chromium-chromedriver"] } else { ["chromium", "chromium-driver"] });
    }
    if cfg!(target_os = "linux") && !has_vulkan() {
        missing.extend(["libvulkan1", "mesa-vulkan-drivers"]);
    }
    if missing.is_empty() {
        return Ok(());
    }
    if which::which("apt-get").is_err() {
        bail!("{BY_HAND}");
    }
    let here = Path::new(".");
    let root = Cmd::new("id", here).arg("-u").output().as_deref() == Some("0");
    let apt = |args: &[&str]| {
        let command = if root { Cmd::new("apt-get", here) } else { Cmd::new("sudo", here).arg("apt-get") };
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive").run()
    };
    eprintln!("Installing {} (the tests use them): about 2 minutes, once.", missing.join(", "));
    let install = [&["install", "--yes", "--no-install-recommends"], missing.as_slice()].concat();
    let by_hand = || format!("install them by hand: sudo apt-get {}", install.join(" "));
    apt(&["update"]).and_then(|()| apt(&install)).with_context(by_hand)
}

/// The loader and at least one driver.
fn has_vulkan() -> bool {
    let holds = |folder: &Path, name: &str| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).any(|file| file.to_string_lossy().starts_with(name))
    };
    let libraries = |root: &str| -> Vec<PathBuf> {
        let below = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        below.chain([PathBuf::from(root)]).collect()
    };
    let loader = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];
    let loader = loader.iter().flat_map(|root| libraries(root)).any(|folder| holds(&folder, "libvulkan.so.1"));
    let driver = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];
    loader && (std::env::var_os("VK_ICD_FILENAMES").is_some() || driver.iter().any(|folder| holds(Path::new(folder), "")))
}
