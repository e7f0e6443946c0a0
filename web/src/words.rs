//! Where the words of a sentence stand in its text.

/// A stretch of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch<'a> {
    /// As it is written.
    pub text: &'a str,
    /// The number of the word that it is; nothing for what stands between words.
    pub word: Option<usize>,
}

/// Cuts `text` at its `words`, which come in its order; together the stretches are the text. A word that is not there is left out.
pub fn find<'a>(text: &'a str, words: &[String]) -> Vec<Stretch<'a>> {
    let mut all = Vec::new();
    let mut rest = text;
    for (i, word) in words.iter().enumerate() {
        let Some(at) = rest.find(word.as_str()).filter(|_| !word.is_empty()) else { continue };
        let (between, from) = rest.split_at(at);
        let (found, after) = from.split_at(word.len());
        if !between.is_empty() {
            all.push(Stretch { text: between, word: None });
        }
        all.push(Stretch { text: found, word: Some(i) });
        rest = after;
    }
    if !rest.is_empty() {
        all.push(Stretch { text: rest, word: None });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let stretches = find(text, &words);
        assert_eq!(stretches.iter().map(|s| s.text).collect::<String>(), text);
        stretches.iter().map(|s| s.word.map_or(s.text.to_owned(), |i| format!("[{i}{}]", s.text))).collect()
    }

    #[test]
    fn words_are_found_in_order() {
        assert_eq!(cut("A man, a dog.", &["A", "man", ",", "a", "dog", "."]), "[0A] [1man][2,] [3a] [4dog][5.]");
        assert_eq!(cut("the the", &["the", "the"]), "[0the] [1the]");
        assert_eq!(cut("Straße 🎈 ok", &["Straße", "🎈", "", "missing", "ok"]), "[0Straße] [1🎈] [4ok]");
        assert_eq!(cut("", &["a"]), "");
    }
}
