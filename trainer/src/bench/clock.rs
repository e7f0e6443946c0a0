use std::time::Instant;

use anyhow::Result;

/// How often something runs.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Runs before the clock starts, so that caches are warm and pipelines compiled.
    pub warm: usize,
    /// Runs that count; at least one is done.
    pub runs: usize,
}

/// Seconds of every run, ascending.
#[derive(Debug, Clone)]
pub struct Times(Vec<f64>);

impl Effort {
    /// Runs `f` and takes its time.
    ///
    /// # Errors
    /// The first of `f`.
    pub fn time(self, mut f: impl FnMut() -> Result<()>) -> Result<Times> {
        let [times] = self.alternate([&mut f])?;
        Ok(times)
    }

    /// Runs all of `fs` one after the other, again and again, so that they see the same machine, and takes the times of each.
    ///
    /// # Errors
    /// The first of any.
    pub fn alternate<const N: usize>(self, mut fs: [&mut dyn FnMut() -> Result<()>; N]) -> Result<[Times; N]> {
        let mut seconds: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
        for run in 0..self.warm + self.runs.max(1) {
            for (f, seconds) in fs.iter_mut().zip(&mut seconds) {
                let began = Instant::now();
                f()?;
                if run >= self.warm {
                    seconds.push(began.elapsed().as_secs_f64());
                }
            }
        }
        Ok(seconds.map(Times::new))
    }
}

impl Times {
    fn new(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self(seconds)
    }

    /// What `self` takes longer than `other`, the shortest compared with the shortest: noise only ever adds.
    pub fn minus(&self, other: &Self) -> Self {
        Self::new(self.0.iter().zip(&other.0).map(|(a, b)| a - b).collect())
    }

    /// A part of it.
    pub fn over(&self, parts: usize) -> Self {
        Self(self.0.iter().map(|seconds| seconds / parts as f64).collect())
    }

    /// The median, in seconds.
    pub fn median(&self) -> f64 {
        let middle = |i: usize| self.0.get(i).copied().unwrap_or(f64::NAN);
        (middle(self.0.len().saturating_sub(1) / 2) + middle(self.0.len() / 2)) / 2.0
    }

    /// The shortest, in seconds: what others on the machine disturbed least.
    pub fn least(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_runs_after_the_warm_ones_count() {
        let mut calls = 0;
        let mut count = || {
            calls += 1;
            Ok(())
        };
        let [times] = Effort { warm: 2, runs: 3 }.alternate([&mut count]).unwrap();
        assert_eq!((calls, times.0.len()), (5, 3));
        assert!(Effort { warm: 0, runs: 0 }.time(|| Ok(())).unwrap().least() >= 0.0);
    }

    #[test]
    fn medians_and_differences_are_those_of_the_textbook() {
        let times = Times::new(vec![4.0, 1.0, 9.0, 2.0]);
        assert_eq!((times.median(), times.least()), (3.0, 1.0));
        let more = times.minus(&Times::new(vec![1.0, 0.5, 1.0, 2.0])).over(2);
        assert_eq!((more.median(), more.least()), (1.0, 0.25));
    }
}
