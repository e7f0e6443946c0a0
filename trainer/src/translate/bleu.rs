//! BLEU (Papineni et al. 2002) as sacreBLEU computes it (Post 2018, arXiv:1804.08771): the whole corpus at once, words cut as by
//! mteval-v13a, case kept, one reference.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

/// sacreBLEU's description of what is computed here.
pub const SIGNATURE: &str = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp";

const ORDER: usize = 4;

#[allow(clippy::expect_used)] // Constants, which a test compiles.
static RULES: LazyLock<[(Regex, &str); 4]> = LazyLock::new(|| {
    let rule = |pattern, by| (Regex::new(pattern).expect("a constant pattern"), by);
    [
        // ASCII marks stand alone, but for . , - and '.
        rule(r"([\{-~\[-` -\&\(-\+:-@/])", " $1 "),
        // . and , stand alone unless a digit is on that side.
        rule(r"([^0-9])([\.,])", "$1 $2 "),
        rule(r"([\.,])([^0-9])", " $1 $2"),
        // A dash after a digit stands alone.
        rule(r"([0-9])(-)", "$1 $2 "),
    ]
});

/// Words of a line, as mteval-v13a cuts it.
pub fn tokenize(line: &str) -> Vec<String> {
    let mut line = line.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    for (entity, mark) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        line = line.replace(entity, mark);
    }
    let mut line = format!(" {line} ");
    for (pattern, by) in RULES.iter() {
        line = pattern.replace_all(&line, *by).into_owned();
    }
    line.split_whitespace().map(str::to_owned).collect()
}

/// How often every run of `n` words occurs.
fn grams(words: &[String], n: usize) -> HashMap<&[String], usize> {
    let mut counts = HashMap::new();
    words.windows(n).for_each(|gram| *counts.entry(gram).or_default() += 1);
    counts
}

/// BLEU of translations against one reference each, 0 to 100.
pub fn corpus<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> f64 {
    let (mut right, mut total) = ([0usize; ORDER], [0usize; ORDER]);
    let (mut length, mut wanted_length) = (0, 0);
    for (translation, reference) in pairs {
        let (translation, reference) = (tokenize(translation.trim_end()), tokenize(reference.trim_end()));
        length += translation.len();
        wanted_length += reference.len();
        for n in 1..=ORDER {
            let wanted = grams(&reference, n);
            for (gram, count) in grams(&translation, n) {
                total[n - 1] += count;
                right[n - 1] += count.min(wanted.get(gram).copied().unwrap_or(0));
            }
        }
    }
    if right == [0; ORDER] || total.contains(&0) {
        return 0.0;
    }
    let mut halves = 1.0;
    let logs = right.iter().zip(total).map(|(&right, total)| {
        // Where nothing is right: half a hit, then a quarter, .. (method 3 of Chen & Cherry 2014).
        let hits = if right == 0 {
            halves *= 2.0;
            1.0 / halves
        } else {
            right as f64
        };
        (hits / total as f64).ln()
    });
    let precision = (logs.sum::<f64>() / ORDER as f64).exp();
    let brevity = if length < wanted_length { (1.0 - wanted_length as f64 / length as f64).exp() } else { 1.0 };
    100.0 * brevity * precision
}

#[cfg(test)]
mod tests {
    use super::super::chrf;
    use super::*;

    /// Translations, references, and what sacreBLEU 2.5.1 gives:
    /// `BLEU().corpus_score(translations, [references]).score`, and the same with `CHRF()`.
    type Case = (&'static [(&'static str, &'static str)], f64, f64);

    const CASES: [Case; 7] = [
        (
            &[
                (
                    "A man in a blue shirt is standing on a ladder cleaning a window.",
                    "A man in a blue shirt is standing on a ladder cleaning windows.",
                ),
                ("Two dogs run through the snow.", "Two dogs are running through the snow."),
                ("It costs $3.50, i.e. 1,000-times less!", "It costs 3.50 dollars, i.e. 1,000 times less."),
            ],
            61.457721171145046,
            73.65336885035278,
        ),
        (&[("the cat", "the cat sat on the mat"), ("sat", "sat")], 0.0, 31.302254129510658),
        (&[("a b c x", "a b c d"), ("d e f y z", "d e f g h")], 39.92039761549466, 32.76190476190476),
        (&[("hello", "hello")], 0.0, 100.0),
        (
            &[
                ("\"Don't\" &amp; (50%) - o'clock... 10-20, 3.14.", "\"Do not\" & (50 %) - o'clock... 10-20, 3.14."),
                ("Über-Mensch: „Ja“ – nein?", "Übermensch: „Ja“ – nein!"),
                ("它 是 中文。", "它 是 中文."),
            ],
            74.87825926714468,
            78.06812285979461,
        ),
        (&[("xyz", "abc def")], 0.0, 0.0),
        (&[("", "a"), ("a b c d e", "a b c d e")], 81.87307530779823, 97.31543624161075),
    ];

    #[test]
    fn scores_are_those_of_sacrebleu() {
        for (pairs, bleu, chrf) in CASES {
            let pairs = || pairs.iter().copied();
            assert!((corpus(pairs()) - bleu).abs() < 1e-9, "{} instead of {bleu}", corpus(pairs()));
            assert!((chrf::corpus(pairs()) - chrf).abs() < 1e-9, "{} instead of {chrf}", chrf::corpus(pairs()));
        }
        assert!(corpus(std::iter::empty()) == 0.0 && chrf::corpus(std::iter::empty()) == 0.0);
    }

    #[test]
    fn words_are_cut_as_by_mteval() {
        for (line, words) in [
            ("It costs $3.50, i.e. 1,000-times less!", "It costs $ 3.50 , i . e . 1,000 - times less !"),
            ("Über-Mensch: „Ja“ – nein?", "Über-Mensch : „Ja“ – nein ?"),
            ("a.b,c 1.2,3 x-1 1-x", "a . b , c 1.2,3 x-1 1 - x"),
        ] {
            assert_eq!(tokenize(line).join(" "), words);
        }
    }
}
