//! chrF (Popović 2015) as sacreBLEU computes it: runs of up to six characters without white space, recall twice as important as
//! precision, the whole corpus at once.

use std::collections::HashMap;

/// sacreBLEU's description of what is computed here.
pub const SIGNATURE: &str = "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no";

const ORDER: usize = 6;
const BETA: f64 = 2.0;

fn grams(characters: &[char], n: usize) -> HashMap<&[char], usize> {
    let mut counts = HashMap::new();
    characters.windows(n).for_each(|gram| *counts.entry(gram).or_default() += 1);
    counts
}

/// chrF of translations against one reference each, 0 to 100.
pub fn corpus<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> f64 {
    let (mut right, mut given, mut wanted) = ([0usize; ORDER], [0usize; ORDER], [0usize; ORDER]);
    for (translation, reference) in pairs {
        let characters = |text: &str| -> Vec<char> { text.chars().filter(|c| !c.is_whitespace()).collect() };
        let (translation, reference) = (characters(translation), characters(reference));
        for n in 1..=ORDER {
            let (a, b) = (grams(&translation, n), grams(&reference, n));
            // What no reference can confirm does not count.
            if !b.is_empty() {
                given[n - 1] += a.values().sum::<usize>();
            }
            wanted[n - 1] += b.values().sum::<usize>();
            right[n - 1] += a.iter().map(|(gram, count)| *count.min(b.get(gram).unwrap_or(&0))).sum::<usize>();
        }
    }
    let counted: Vec<usize> = (0..ORDER).filter(|&n| given[n] > 0 && wanted[n] > 0).collect();
    let mean =
        |of: &[usize; ORDER]| counted.iter().map(|&n| right[n] as f64 / of[n] as f64).sum::<f64>() / counted.len().max(1) as f64;
    let (precision, recall) = (mean(&given), mean(&wanted));
    let factor = BETA * BETA;
    if precision + recall > 0.0 { 100.0 * (1.0 + factor) * precision * recall / (factor * precision + recall) } else { 0.0 }
}
