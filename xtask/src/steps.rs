//! Steps, one after the other, with their times.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use xtask::command::Cmd;

/// A named command.
pub struct Step {
    name: &'static str,
    command: Cmd,
}

impl Step {
    /// `command` under the name `name`.
    pub fn new(name: &'static str, command: Cmd) -> Self {
        Self { name, command }
    }
}

/// Runs `steps` in order, up to the first that fails, and sums up.
///
/// # Errors
/// When a step fails; the message has the command that repeats it.
pub fn run(steps: &[Step]) -> Result<()> {
    let start = Instant::now();
    let mut times = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        eprintln!("\n[{}/{}] {}\n      {}", i + 1, steps.len(), step.name, step.command);
        let begun = Instant::now();
        let outcome = step.command.run();
        times.push(begun.elapsed());
        if let Err(error) = outcome {
            summary(steps, &times, true);
            return Err(anyhow!("step {} of {}, {}, failed: {error:#}", i + 1, steps.len(), step.name));
        }
    }
    summary(steps, &times, false);
    println!("All {} steps passed in {}.", steps.len(), human(start.elapsed()));
    Ok(())
}

fn summary(steps: &[Step], times: &[Duration], failed: bool) {
    println!();
    for (i, step) in steps.iter().enumerate() {
        let outcome = match times.get(i) {
            Some(_) if failed && i + 1 == times.len() => "FAILED",
            Some(_) => "ok",
            None => "not run",
        };
        let time = times.get(i).map_or_else(String::new, |t| human(*t));
        println!("{:3}. {:<24} {outcome:<8} {time:>12}", i + 1, step.name);
    }
}

fn human(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 { format!("{:.1} s", time.as_secs_f64()) } else { format!("{} min {} s", seconds / 60, seconds % 60) }
}
