//! Whether runtimes compute the same.

use anyhow::{Result, ensure};

use super::case::Runtime;

/// The most by which outputs may differ, relative to the largest value. In f32 the order of sums made 5e-6 at most here; a GPU may
/// be coarser. It finds wrong operations, not every wrong number: 0.01 added to one weight in the middle of x4-fast makes 3e-4.
/// So the table has the difference itself.
pub const TOLERANCE: f64 = 1e-3;

/// The output that the others are compared with: another's than ours where there is one.
pub fn reference(runtimes: &[Runtime]) -> Option<usize> {
    let other = runtimes.iter().position(|runtime| *runtime != Runtime::Atelier);
    other.or_else(|| (!runtimes.is_empty()).then_some(0))
}

/// The largest difference between two outputs, relative to the largest value of `reference`.
///
/// # Errors
/// When they are not of one length, or one holds values that are not finite.
pub fn difference(reference: &[f32], output: &[f32]) -> Result<f64> {
    ensure!(reference.len() == output.len(), "{} values where the reference has {}", output.len(), reference.len());
    ensure!(!output.is_empty(), "an empty output");
    ensure!(reference.iter().chain(output).all(|v| v.is_finite()), "values that are not finite");
    let largest = reference.iter().fold(0f64, |most, v| most.max(f64::from(v.abs())));
    let difference = reference.iter().zip(output).fold(0f64, |most, (a, b)| most.max((f64::from(*a) - f64::from(*b)).abs()));
    Ok(if difference == 0.0 { 0.0 } else { difference / largest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_difference_is_found_wherever_it_is() {
        let reference: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.37).sin() * 4.0).collect();
        assert_eq!(difference(&reference, &reference).unwrap(), 0.0);
        for i in [0, 499, 999] {
            let mut output = reference.clone();
            output[i] += 0.0041;
            let found = difference(&reference, &output).unwrap();
            assert!(found > TOLERANCE && found < 1.1 * TOLERANCE, "{found}");
            output[i] = reference[i] + 0.0039;
            assert!(difference(&reference, &output).unwrap() < TOLERANCE);
        }
    }

    #[test]
    fn what_cannot_be_compared_differs() {
        assert!(difference(&[1.0, 2.0], &[1.0]).is_err());
        assert!(difference(&[1.0], &[f32::NAN]).is_err());
        assert!(difference(&[f32::INFINITY], &[f32::INFINITY]).is_err());
        assert!(difference(&[], &[]).is_err());
        assert!(difference(&[0.0], &[1.0]).unwrap() > TOLERANCE);
    }

    #[test]
    fn the_reference_is_not_our_own_where_it_can_be() {
        use Runtime::{Atelier, Ort, Tfjs};
        assert_eq!(reference(&[Atelier, Ort, Tfjs]), Some(1));
        assert_eq!(reference(&[Atelier, Atelier]), Some(0));
        assert_eq!(reference(&[]), None);
    }
}
