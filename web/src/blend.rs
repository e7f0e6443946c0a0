//! A blend of styles as a place on a round pad.

use std::f64::consts::TAU;

/// How far from the middle the rim's pictures are, of half the pad.
pub const RIM: f64 = 0.72;

/// A knob that is so near to a picture means it alone.
const NEAR: f64 = 0.06;

/// Places on the rim, the first at the top; two are left and right.
pub fn places(count: usize) -> impl Iterator<Item = [f64; 2]> {
    let first = if count == 2 { 0.5 } else { 0.25 };
    (0..count).map(move |i| {
        let angle = TAU * (i as f64 / count as f64 - first);
        [RIM * angle.cos(), RIM * angle.sin()]
    })
}

/// How much of what is at `places` there is in `at`, summing to one: by the inverse square of the distance (Shepard 1968).
pub fn weights(at: [f64; 2], places: &[[f64; 2]]) -> Vec<f64> {
    let far: Vec<f64> = places.iter().map(|place| (at[0] - place[0]).hypot(at[1] - place[1])).collect();
    if let Some(near) = far.iter().position(|&far| far < NEAR) {
        return (0..far.len()).map(|i| if i == near { 1.0 } else { 0.0 }).collect();
    }
    let inverse: Vec<f64> = far.iter().map(|far| far.powi(-2)).collect();
    let sum: f64 = inverse.iter().sum();
    inverse.iter().map(|value| value / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_even_in_the_middle_and_single_at_the_rim() {
        for count in 2..6 {
            let places: Vec<_> = places(count).collect();
            let even = weights([0.0, 0.0], &places);
            assert!(even.iter().all(|w| (w - 1.0 / count as f64).abs() < 1e-9), "{even:?}");
            let single = weights(places[1], &places);
            assert_eq!(single[1], 1.0);
            assert_eq!(single.iter().sum::<f64>(), 1.0);
            let towards = weights(places[1].map(|v| v / 2.0), &places);
            assert!(towards[1] > even[1] && (towards.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{towards:?}");
        }
    }
}
