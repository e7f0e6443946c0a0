use std::time::{Duration, Instant};

use anyhow::Result;

use crate::learner::{Callback, Flow, Run};

/// Tells at the end where the time went. First of all callbacks, so that theirs is counted too.
pub struct Profiler {
    mark: Instant,
    parts: [(&'static str, Duration); 5],
}

impl Default for Profiler {
    fn default() -> Self {
        let parts = ["waiting for data", "forward", "backward", "optimiser", "validation, files"];
        Self { mark: Instant::now(), parts: parts.map(|name| (name, Duration::ZERO)) }
    }
}

impl Profiler {
    /// Counts the time since the last mark for a part.
    fn mark(&mut self, part: usize) -> Result<Flow> {
        self.parts[part].1 += self.mark.elapsed();
        self.mark = Instant::now();
        Ok(Flow::Go)
    }
}

impl Callback for Profiler {
    fn before_fit(&mut self, _: &mut Run) -> Result<Flow> {
        self.mark = Instant::now();
        Ok(Flow::Go)
    }
    fn before_batch(&mut self, run: &mut Run) -> Result<Flow> {
        self.parts[0].1 += run.waited;
        self.mark = Instant::now();
        Ok(Flow::Go)
    }
    fn after_loss(&mut self, _: &mut Run) -> Result<Flow> {
        self.mark(1)
    }
    fn before_step(&mut self, run: &mut Run) -> Result<Flow> {
        run.device.synchronize()?;
        self.mark(2)
    }
    fn after_batch(&mut self, run: &mut Run) -> Result<Flow> {
        run.device.synchronize()?;
        self.mark(3)
    }
    fn after_epoch(&mut self, _: &mut Run) -> Result<Flow> {
        // Validation and, from the second epoch on, what the callbacks after this one wrote.
        self.mark(4)
    }
    fn after_fit(&mut self, run: &mut Run) -> Result<Flow> {
        let total: Duration = self.parts.iter().map(|(_, time)| *time).sum();
        let share = |time: Duration| 100.0 * time.as_secs_f64() / total.as_secs_f64().max(1e-9);
        for (name, time) in self.parts {
            let step = 1e3 * time.as_secs_f64() / run.step.max(1) as f64;
            tracing::info!("{name:<18} {:6.1} %  {:8.1} s  {step:8.1} ms a step", share(time), time.as_secs_f64());
        }
        Ok(Flow::Go)
    }
}
