//! A line search that ends at a point of the strong Wolfe conditions (Nocedal and Wright 2006, Numerical Optimization,
//! algorithms 3.5 and 3.6), with PyTorch's constants.

use anyhow::Result;
use candle_core::Tensor;

/// The part of the promised decrease that is asked for.
const DECREASE: f64 = 1e-4;
/// The part of the slope that may be left.
const CURVATURE: f64 = 0.9;
/// Points tried.
const MOST: u64 = 25;

/// A point of the line.
#[derive(Clone)]
pub(super) struct Point {
    /// Steps along the direction from its beginning.
    pub at: f64,
    /// The loss.
    pub loss: f64,
    /// Its slope along the direction.
    pub slope: f64,
    /// Its gradient.
    pub gradient: Tensor,
}

impl Point {
    /// Whether the loss has fallen as far as the slope at the beginning promises.
    fn is_lower(&self, origin: &Point) -> bool {
        self.loss <= origin.loss + DECREASE * self.at * origin.slope
    }

    fn is_flatter(&self, origin: &Point) -> bool {
        self.slope.abs() <= -CURVATURE * origin.slope
    }
}

/// The point where to go from `origin`, whose slope is negative. `first` is where to try first; where the bracket is shorter than
/// `shortest` the search gives up and takes its best point.
///
/// # Errors
/// Those of `evaluate`.
pub(super) fn search(origin: &Point, first: f64, shortest: f64, mut evaluate: impl FnMut(f64) -> Result<Point>) -> Result<Point> {
    let (mut before, mut now) = (origin.clone(), evaluate(first)?);
    let mut tried = 0;
    // Forward, until the bracket of the last two points holds a minimum.
    loop {
        if !now.is_lower(origin) || (tried > 1 && now.loss >= before.loss) {
            break;
        }
        if now.is_flatter(origin) {
            return Ok(now);
        }
        if now.slope >= 0.0 {
            break;
        }
        let bounds = (now.at + 0.01 * (now.at - before.at), 10.0 * now.at);
        let next = evaluate(cubic_minimum(&before, &now, bounds))?;
        before = std::mem::replace(&mut now, next);
        tried += 1;
        if tried == MOST {
            before = origin.clone();
            break;
        }
    }
    zoom(origin, before, now, MOST - tried, shortest, evaluate)
}

/// Narrows a bracket down; `left` searches remain.
fn zoom(
    origin: &Point,
    a: Point,
    b: Point,
    left: u64,
    shortest: f64,
    mut evaluate: impl FnMut(f64) -> Result<Point>,
) -> Result<Point> {
    let (mut low, mut high) = if a.loss <= b.loss { (a, b) } else { (b, a) };
    let mut stuck = false;
    for _ in 0..left {
        let (least, most) = (low.at.min(high.at), low.at.max(high.at));
        if most - least < shortest {
            break;
        }
        let mut at = cubic_minimum(&low, &high, (least, most));
        // Twice near the same end is no progress: step away from it.
        let margin = 0.1 * (most - least);
        if (most - at).min(at - least) >= margin {
            stuck = false;
        } else if stuck || at >= most || at <= least {
            at = if most - at < at - least { most - margin } else { least + margin };
            stuck = false;
        } else {
            stuck = true;
        }
        let now = evaluate(at)?;
        if !now.is_lower(origin) || now.loss >= low.loss {
            high = now;
            if high.loss < low.loss {
                std::mem::swap(&mut low, &mut high);
            }
            continue;
        }
        if now.is_flatter(origin) {
            return Ok(now);
        }
        let behind = now.slope * (high.at - low.at) >= 0.0;
        let old = std::mem::replace(&mut low, now);
        if behind {
            high = old;
        }
    }
    Ok(low)
}

/// Where the cubic through two points and their slopes is least within `bounds`; their middle where there is no such place.
fn cubic_minimum(a: &Point, b: &Point, (least, most): (f64, f64)) -> f64 {
    let (a, b) = if a.at <= b.at { (a, b) } else { (b, a) };
    let d1 = a.slope + b.slope - 3.0 * (a.loss - b.loss) / (a.at - b.at);
    let square = d1 * d1 - a.slope * b.slope;
    if square < 0.0 || square.is_nan() {
        return (least + most) / 2.0;
    }
    let d2 = square.sqrt();
    let minimum = b.at - (b.at - a.at) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2));
    // In this order a quotient that is not a number becomes a bound.
    minimum.max(least).min(most)
}
