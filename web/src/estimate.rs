//! How long it will take.

/// Multiply-adds a second that are assumed before anything was measured on this machine; a weight is used once a pixel of the
/// input.
pub fn assumed_rate(gpu: bool) -> f64 {
    // Middling machines, on the careful side: one thread of wasm SIMD and an integrated GPU.
    if gpu { 150e9 } else { 4e9 }
}

/// Seconds for a picture of `pixels` with a network of `parameters` at `rate`.
pub fn seconds(pixels: usize, parameters: u64, rate: f64) -> f64 {
    pixels as f64 * parameters as f64 / rate.max(1.0)
}

/// What a run says about the machine: the `rate` for [`seconds`].
pub fn measured_rate(pixels: usize, parameters: u64, seconds: f64) -> f64 {
    pixels as f64 * parameters as f64 / seconds.max(1e-3)
}

/// Seconds left after `elapsed` seconds, when `done` of `all` tiles are there. Nothing before the first.
pub fn left(elapsed: f64, done: usize, all: usize) -> Option<f64> {
    (done > 0 && done <= all).then(|| elapsed / done as f64 * (all - done) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_rate_predicts_the_run_that_it_comes_from() {
        let rate = measured_rate(10_000, 290_000, 2.5);
        assert!((seconds(10_000, 290_000, rate) - 2.5).abs() < 1e-9);
        assert!((seconds(20_000, 290_000, rate) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn time_left_shrinks_to_nothing() {
        assert_eq!(left(1.0, 0, 10), None);
        assert_eq!(left(2.0, 2, 10), Some(8.0));
        assert_eq!(left(10.0, 10, 10), Some(0.0));
    }
}
