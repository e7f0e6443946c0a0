//! Running `trainer` as a person does.
#![allow(dead_code, clippy::unwrap_used)] // Not every test uses all of it; in a test, a panic is how it fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program, in a folder.
pub fn trainer(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.current_dir(folder).env("RUST_LOG", "info").env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// What it said.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs it and expects success.
pub fn succeed(folder: &Path, args: &[&str]) -> Output {
    let output = trainer(folder).args(args).output().unwrap();
    assert!(output.status.success(), "trainer {args:?}: {}", stderr(&output));
    output
}

/// Runs it, expects it to end with an error and no panic, and returns what it says.
pub fn fail(folder: &Path, args: &[&str]) -> String {
    let output = trainer(folder).args(args).output().unwrap();
    let said = stderr(&output);
    assert!(!output.status.success(), "trainer {args:?} succeeded");
    assert!(!said.contains("panicked"), "trainer {args:?}: {said}");
    said
}

/// The best weights of a run.
pub fn best(folder: &Path, run: &str) -> PathBuf {
    folder.join("runs").join(run).join("checkpoints/best.safetensors")
}

/// An empty folder below the build's.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}
