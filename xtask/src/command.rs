//! Commands that can be run and written down.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A command: printed as a line for a shell, run with its output shown.
#[derive(Clone)]
pub struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    folder: PathBuf,
    env: Vec<(&'static str, Option<OsString>)>,
    path: Vec<PathBuf>,
}

impl Cmd {
    /// `program`, run in `folder`.
    pub fn new(program: impl AsRef<OsStr>, folder: &Path) -> Self {
        Self { program: program.as_ref().into(), args: Vec::new(), folder: folder.into(), env: Vec::new(), path: Vec::new() }
    }

    /// cargo, run in `folder`.
    pub fn cargo(folder: &Path) -> Self {
        Self::new("cargo", folder)
    }

    /// With one more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().into());
        self
    }

    /// With more arguments.
    pub fn args<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// With a variable of the environment.
    pub fn env(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name, Some(value.as_ref().into())));
        self
    }

    /// Without a variable of the environment.
    pub fn without(mut self, name: &'static str) -> Self {
        self.env.push((name, None));
        self
    }

    /// With programs in `folders` found first.
    pub fn path(mut self, folders: &[PathBuf]) -> Self {
        self.path.extend_from_slice(folders);
        self
    }

    /// Runs it.
    ///
    /// # Errors
    /// When it cannot be started, or ends with another status than success; both name it.
    pub fn run(&self) -> Result<()> {
        let status = self.command()?.stdin(Stdio::null()).status().with_context(|| format!("cannot start `{self}`"))?;
        if !status.success() {
            bail!("{status} from\n  {self}");
        }
        Ok(())
    }

    /// What it prints, without surrounding space; `None` when it cannot be started or fails.
    pub fn output(&self) -> Option<String> {
        let output = self.command().ok()?.stdin(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn command(&self) -> Result<Command> {
        let found = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(self.path.iter().cloned().chain(std::env::split_paths(&found)))?;
        // Looked up here, since Windows would look along the PATH of this process, and needs the ending of npm.cmd.
        let program = which::which_in(&self.program, Some(&path), &self.folder)
            .with_context(|| format!("`{}` is not installed", self.program.display()))?;
        let mut command = Command::new(program);
        command.args(&self.args).current_dir(&self.folder).env("PATH", path);
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Ok(command)
    }
}

/// A line that repeats it in a POSIX shell, from the folder of the workspace.
impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if std::env::current_dir().is_ok_and(|here| here != self.folder) {
            write!(f, "cd {} && ", quoted(self.folder.as_os_str()))?;
        }
        if !self.path.is_empty() {
            let folders: Vec<_> = self.path.iter().map(|p| p.to_string_lossy()).collect();
            write!(f, "PATH={}:$PATH ", quoted(OsStr::new(&folders.join(":"))))?;
        }
        for (name, value) in &self.env {
            match value {
                Some(value) => write!(f, "{name}={} ", quoted(value))?,
                None => write!(f, "{name}= ")?,
            }
        }
        write!(f, "{}", quoted(&self.program))?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", quoted(arg)))
    }
}

fn quoted(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    if !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_./:=@+,".contains(c)) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
