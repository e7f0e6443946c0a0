//! A text cut into sentences, with what stands between them, so that a translation keeps paragraphs.

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// To be translated; no white space at its ends.
    Sentence(&'a str),
    /// White space, kept as it is.
    Between(&'a str),
}

/// What may follow the mark at the end of a sentence.
const CLOSING: &str = "\"'”’»“)]";

/// Words whose dot ends no sentence, in English, German and French.
const SHORT: [&str; 22] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "vs", "etc", "e.g", "i.e", "z.b", "d.h", "bzw", "ca", "nr", "usw", "hr", "fr", "m",
    "mme", "mlle", "p.ex",
];

/// What a text is cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// What ends with a full stop, or with the line.
    Sentence,
    /// What ends with the line: “Dec. 24, 2025” is one.
    Line,
}

/// Cuts `text` into sentences after `.`, `!`, `?` and `…` where white space follows, after CJK full stops, and at line breaks; a piece longer than `most`
/// characters is cut at a space, or in the middle of a word where there is none. Together the pieces are the text.
pub fn pieces(text: &str, unit: Unit, most: usize) -> Vec<Piece<'_>> {
    let most = most.max(1);
    let mut all = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let white = rest.len() - rest.trim_start().len();
        if white > 0 {
            let (space, after) = rest.split_at(white);
            all.push(Piece::Between(space));
            rest = after;
            continue;
        }
        let end = cut(rest, unit, most);
        let (sentence, after) = rest.split_at(end);
        let trimmed = sentence.trim_end();
        all.push(Piece::Sentence(trimmed));
        if trimmed.len() < sentence.len() {
            all.push(Piece::Between(&sentence[trimmed.len()..]));
        }
        rest = after;
    }
    all
}

/// Where the sentence at the beginning of `text` ends, in bytes; above 0.
fn cut(text: &str, unit: Unit, most: usize) -> usize {
    let mut space = None;
    for (count, (at, c)) in text.char_indices().enumerate() {
        if count >= most {
            return space.unwrap_or(at);
        }
        if c == '\n' || c == '\r' {
            return at;
        }
        if c.is_whitespace() {
            space = Some(at);
        }
        if unit == Unit::Line {
            continue;
        }
        if "。！？".contains(c) {
            return at + c.len_utf8();
        }
        if !".!?…".contains(c) {
            continue;
        }
        let end = text[at..].find(|c: char| !".!?…".contains(c) && !CLOSING.contains(c)).map_or(text.len(), |n| at + n);
        let after = text[end..].chars().next();
        if after.is_some_and(|c| !c.is_whitespace()) || (c == '.' && is_short(&text[..at])) {
            continue;
        }
        // What closes the sentence counts as one with its mark.
        if end > at {
            return end;
        }
    }
    text.len()
}

/// Whether the dot after `before` belongs to a word: an abbreviation, an initial, an ordinal number.
fn is_short(before: &str) -> bool {
    let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let ordinal = !word.is_empty() && word.len() <= 2 && word.bytes().all(|b| b.is_ascii_digit());
    SHORT.contains(&word.as_str()) || (word.chars().count() == 1 && word.chars().all(char::is_alphabetic)) || ordinal
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sentences(text: &str) -> Vec<&str> {
        pieces(text, Unit::Sentence, 200)
            .into_iter()
            .filter_map(|p| if let Piece::Sentence(s) = p { Some(s) } else { None })
            .collect()
    }

    #[test]
    fn cuts_where_a_reader_would() {
        assert_eq!(sentences("Hello! How are you? Fine."), ["Hello!", "How are you?", "Fine."]);
        assert_eq!(sentences("Dr. Smith met Mr. Jones. They talked."), ["Dr. Smith met Mr. Jones.", "They talked."]);
        assert_eq!(sentences("Er sagte: \"Nein.\" Dann ging er."), ["Er sagte: \"Nein.\"", "Dann ging er."]);
        assert_eq!(sentences("Am 3. Mai um 3.14 Uhr."), ["Am 3. Mai um 3.14 Uhr."]);
        assert_eq!(sentences("One\n\nTwo\r\nThree"), ["One", "Two", "Three"]);
        assert_eq!(sentences("Really?! Yes..."), ["Really?!", "Yes..."]);
        assert_eq!(sentences("你好。世界！"), ["你好。", "世界！"]);
        assert_eq!(pieces("a\n\nb", Unit::Sentence, 9)[1], Piece::Between("\n\n"));
        assert_eq!(pieces("Dec. 24, 2025\n", Unit::Line, 99)[0], Piece::Sentence("Dec. 24, 2025"));
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_text(text in "(\\PC|[ .!?\\n\"]){0,60}", most in 1usize..30, line in any::<bool>()) {
            let mut whole = String::new();
            let unit = if line { Unit::Line } else { Unit::Sentence };
            for piece in pieces(&text, unit, most) {
                match piece {
                    Piece::Sentence(s) => {
                        prop_assert!(!s.is_empty() && s.trim() == s);
                        whole.push_str(s);
                    }
                    Piece::Between(s) => whole.push_str(s),
                }
            }
            prop_assert_eq!(whole, text);
        }
    }
}
