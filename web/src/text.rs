//! Numbers for people.

/// `1.4 MB`; decimal prefixes, as browsers and file managers count.
pub fn bytes(n: u64) -> String {
    let n = n as f64;
    match n {
        _ if n < 1e3 => format!("{n} bytes"),
        _ if n < 1e6 => format!("{:.0} KB", n / 1e3),
        _ if n < 1e9 => format!("{:.1} MB", n / 1e6),
        _ => format!("{:.1} GB", n / 1e9),
    }
}

/// `290 K`: a count of weights.
pub fn count(n: u64) -> String {
    let n = n as f64;
    match n {
        _ if n < 1e3 => format!("{n}"),
        _ if n < 1e6 => format!("{:.0} K", n / 1e3),
        _ => format!("{:.1} M", n / 1e6),
    }
}

/// `1280 × 720`, which stays on one line.
pub fn size(width: usize, height: usize) -> String {
    format!("{width}\u{a0}×\u{a0}{height}")
}

/// A time that was measured: `0.34 s`, `12.3 s`, `2 min 05 s`.
pub fn seconds(s: f64) -> String {
    match s {
        _ if s < 1.0 => format!("{s:.2} s"),
        _ if s < 59.95 => format!("{s:.1} s"),
        _ => {
            let s = s.round() as u64;
            format!("{} min {:02} s", s / 60, s % 60)
        }
    }
}

/// A time that is guessed: `a second`, `12 s`, `3 minutes`.
pub fn about(s: f64) -> String {
    match s {
        _ if s < 1.5 => "a second".into(),
        _ if s < 10.0 => format!("{} s", s.round()),
        _ if s < 60.0 => format!("{} s", (s / 5.0).round() * 5.0),
        _ if s < 90.0 => "a minute".into(),
        _ if s < 3600.0 => format!("{} minutes", (s / 60.0).round()),
        _ => format!("{:.1} hours", s / 3600.0),
    }
}

/// `holiday-x4.png` for the picture `holiday.jpeg`.
pub fn file_name(picture: &str, scale: usize, extension: &str) -> String {
    result_name(picture, &format!("x{scale}"), extension)
}

/// What the picture became, `what`, as a file: `holiday-restyled.png`.
pub fn result_name(picture: &str, what: &str, extension: &str) -> String {
    let stem = picture.rsplit_once('.').map_or(picture, |(stem, _)| stem);
    let stem = if stem.trim().is_empty() { "picture" } else { stem };
    format!("{stem}-{what}.{extension}")
}

/// The engines' error messages as a sentence: without the part of the program that they begin with.
pub fn sentence(message: &str) -> String {
    let parts = ["picture: ", "checkpoint: ", "cannot read it: "];
    let text = parts.iter().fold(message.trim(), |text, part| text.strip_prefix(part).unwrap_or(text));
    let end = if text.ends_with(['.', '!', '?', ')']) { "" } else { "." };
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}{end}", chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([bytes(999), bytes(580_000), bytes(1_449_000)], ["999 bytes", "580 KB", "1.4 MB"]);
        assert_eq!([count(12), count(290_400), count(1_230_000)], ["12", "290 K", "1.2 M"]);
        assert_eq!([seconds(0.344), seconds(12.34), seconds(125.2)], ["0.34 s", "12.3 s", "2 min 05 s"]);
        assert_eq!(seconds(59.97), "1 min 00 s");
        assert_eq!([about(0.2), about(7.2), about(44.0), about(200.0)], ["a second", "7 s", "45 s", "3 minutes"]);
    }

    #[test]
    fn errors_become_sentences() {
        assert_eq!(sentence("picture: cannot read it: unexpected end of file"), "Unexpected end of file.");
        assert_eq!(sentence("WebGPU: no adapter."), "WebGPU: no adapter.");
        assert_eq!(sentence("élan"), "Élan.");
        assert_eq!(sentence(""), ".");
    }

    #[test]
    fn file_names_keep_their_stem() {
        assert_eq!(file_name("a.b.jpeg", 4, "png"), "a.b-x4.png");
        assert_eq!(file_name("plain", 2, "webp"), "plain-x2.webp");
        assert_eq!(file_name(".png", 2, "png"), "picture-x2.png");
    }
}
