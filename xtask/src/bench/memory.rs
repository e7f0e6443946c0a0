//! The memory of the browser's processes, as the operating system counts it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Between two looks: often enough for what stays over a run, seldom enough not to slow it down.
const INTERVAL: Duration = Duration::from_millis(100);

/// Looks at a process's descendants until it is asked for the peak.
pub struct Watch {
    start: u64,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Watch {
    /// Watches the descendants of `process`.
    ///
    /// # Errors
    /// When the operating system tells nothing of its processes.
    pub fn start(process: u32) -> Result<Self> {
        let mut system = System::new()?;
        let start = resident(&mut system, process);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut peak = start;
            loop {
                // Read before the look, so that the last one comes after the end.
                let last = stopped.load(Ordering::Relaxed);
                peak = peak.max(resident(&mut system, process));
                if last {
                    return peak;
                }
                thread::park_timeout(INTERVAL);
            }
        });
        Ok(Self { start, stop, thread: Some(thread) })
    }

    /// By how many bytes their summed resident memory rose at most, up to now.
    ///
    /// # Errors
    /// When a look failed.
    pub fn rise(mut self) -> Result<u64> {
        let peak = self.end().ok_or_else(|| anyhow!("the memory could not be watched"))?;
        Ok(peak.saturating_sub(self.start))
    }

    fn end(&mut self) -> Option<u64> {
        let thread = self.thread.take()?;
        self.stop.store(true, Ordering::Relaxed);
        thread.thread().unpark();
        thread.join().ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

/// The resident memory of all descendants of `process`, summed, in bytes. Pages that they share count for each.
fn resident(system: &mut System, process: u32) -> u64 {
    let what = ProcessRefreshKind::nothing().with_memory().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
    let parents: HashMap<Pid, Pid> = system.processes().iter().filter_map(|(pid, p)| Some((*pid, p.parent()?))).collect();
    let root = Pid::from_u32(process);
    let descends = |pid: &Pid| {
        let mut ancestors = std::iter::successors(parents.get(pid), |parent| parents.get(*parent)).take(parents.len());
        ancestors.any(|ancestor| *ancestor == root)
    };
    system.processes().iter().filter(|(pid, _)| descends(pid)).map(|(_, p)| p.memory()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_is_seen_however_short_the_watch() {
        let watch = Watch::start(std::process::id()).unwrap();
        let mut child = std::process::Command::new(if cfg!(windows) { "timeout" } else { "sleep" }).arg("60").spawn().unwrap();
        let rise = watch.rise().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(rise > 0);
    }

    #[test]
    fn only_descendants_count() {
        let mut child = std::process::Command::new(if cfg!(windows) { "timeout" } else { "sleep" }).arg("60").spawn().unwrap();
        let (own, of_child) =
            (resident(&mut System::new().unwrap(), std::process::id()), resident(&mut System::new().unwrap(), child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(own > 0, "the child counts");
        assert_eq!(of_child, 0, "it has none itself");
    }
}
