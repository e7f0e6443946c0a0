//! Finishes a build of the page: `trunk` runs this after it has put the page together (see `web/Trunk.toml`).
//!
//! Where a working wasm-opt is on PATH, it optimises the wasm. Then it writes the service worker for exactly these files, named
//! after the hash of what is in them, so that a browser takes a new build as a whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use sha2::{Digest, Sha256};

use crate::command::Cmd;

/// The rest of the service worker.
const SERVICE_WORKER: &str = include_str!("../../web/sw.js");

/// Debian's binaryen 108 breaks what wasm-bindgen writes; 132 was tried.
const OLDEST_WASM_OPT: u32 = 120;

/// What wasm-bindgen's output uses; `--all-features` would allow what browsers lack.
const FEATURES: [&str; 8] = [
    "--enable-simd",
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// Optimises the wasm and writes the service worker.
///
/// # Errors
/// When trunk did not start this, a file cannot be read or written, or wasm-opt fails.
pub fn seal() -> Result<()> {
    let folder = std::env::var_os("TRUNK_STAGING_DIR").context("TRUNK_STAGING_DIR is not set; trunk runs this after a build")?;
    let folder = PathBuf::from(folder);
    let mut files = Vec::new();
    list(&folder, "", &mut files)?;
    if std::env::var("TRUNK_PROFILE").as_deref() == Ok("release") {
        for file in files.iter().filter(|file| file.ends_with(".wasm")) {
            optimise(&folder.join(file), |wasm_opt| wasm_opt)?;
        }
    }
    fs::write(folder.join("sw.js"), service_worker(&folder, &files)?)?;
    Ok(())
}

/// The files below `folder`, as URLs relative to it, sorted.
fn list(folder: &Path, prefix: &str, files: &mut Vec<String>) -> Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, std::io::Error>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().into_string().map_err(|name| anyhow!("{} is not UTF-8", name.display()))?;
        let url = format!("{prefix}{name}");
        // trunk's lock, for one; some servers refuse such names, and one file that is missing makes the whole cache fail.
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{url}/"), files)?;
        } else if url != "sw.js" && !url.ends_with(".safetensors") {
            files.push(url);
        }
    }
    Ok(())
}

fn service_worker(folder: &Path, files: &[String]) -> Result<String> {
    let mut hash = Sha256::new_with_prefix(SERVICE_WORKER);
    for file in files {
        let content = fs::read(folder.join(file))?;
        hash.update(format!("{file}\0{}\0", content.len()));
        hash.update(content);
    }
    let version: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    // The address without a file name is the page too.
    let urls: Vec<&str> = ["./"].into_iter().chain(files.iter().map(String::as_str)).collect();
    Ok(format!("const VERSION = \"{version}\";\nconst FILES = {};\n{SERVICE_WORKER}", serde_json::to_string(&urls)?))
}

/// Makes a wasm file smaller and faster with the wasm-opt that is found first; without one it stays as it is.
///
/// # Errors
/// When wasm-opt fails.
pub fn optimise(file: &Path, found: impl Fn(Cmd) -> Cmd) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let wasm_opt = || found(Cmd::new("wasm-opt", folder));
    let version = wasm_opt().arg("--version").output();
    let version: Option<u32> = version.and_then(|text| text.split_whitespace().find_map(|word| word.parse().ok()));
    let Some(version) = version.filter(|version| *version >= OLDEST_WASM_OPT) else {
        eprintln!("No wasm-opt of version {OLDEST_WASM_OPT} or later on PATH; the page works without, it is only larger.");
        return Ok(());
    };
    let out = file.with_extension("wasm.opt");
    let before = fs::metadata(file)?.len();
    wasm_opt().arg("-O3").args(FEATURES).arg(file).arg("-o").arg(&out).run()?;
    let after = fs::metadata(&out)?.len();
    fs::rename(&out, file)?;
    eprintln!("wasm-opt {version}: {} {} KB -> {} KB", file.display(), before / 1000, after / 1000);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_follows_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::create_dir_all(folder.join("models")).unwrap();
        fs::write(folder.join("index.html"), "a").unwrap();
        fs::write(folder.join("models/models.json"), "{}").unwrap();
        fs::write(folder.join("models/w.safetensors"), "weights").unwrap();
        let make = || {
            let mut files = Vec::new();
            list(folder, "", &mut files).unwrap();
            service_worker(folder, &files).unwrap()
        };
        let first = make();
        assert!(first.contains(r#"["./","index.html","models/models.json"]"#), "{first}");
        assert_eq!(first, make());
        fs::write(folder.join("index.html"), "b").unwrap();
        assert_ne!(first, make());
    }
}
