//! The little Markdown that model cards use, as blocks of plain text: what shows it makes elements with text, never HTML.

/// A paragraph-level part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// `# Title`, with its level.
    Heading(usize, Vec<Span>),
    /// Lines up to an empty one.
    Paragraph(Vec<Span>),
    /// `- item`
    List(Vec<Vec<Span>>),
    /// `| cell | cell |`; the first row is the head.
    Table(Vec<Vec<Vec<Span>>>),
    /// Between fences.
    Code(String),
    /// `![what it shows](file.jpg)`, a file beside the card.
    Picture {
        /// For those who do not see it.
        shows: String,
        /// Its name.
        file: String,
    },
}

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// As it is.
    Text(String),
    /// `**strong**`
    Strong(String),
    /// Between backticks.
    Code(String),
}

/// Reads a card. Anything that it does not know stays text.
pub fn parse(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut paragraph = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        let level = trimmed.bytes().take_while(|&b| b == b'#').count();
        let starts_block = trimmed.is_empty()
            || is_heading(trimmed)
            || trimmed.starts_with("```")
            || is_item(trimmed)
            || picture(trimmed).is_some()
            || trimmed.starts_with('|');
        if starts_block && !paragraph.is_empty() {
            blocks.push(Block::Paragraph(spans(&std::mem::take(&mut paragraph))));
        }
        if trimmed.is_empty() {
            continue;
        } else if is_heading(trimmed) {
            blocks.push(Block::Heading(level.min(6), spans(trimmed[level..].trim())));
        } else if trimmed.starts_with("```") {
            let code: Vec<&str> = lines.by_ref().take_while(|l| !l.trim_start().starts_with("```")).collect();
            blocks.push(Block::Code(code.join("\n")));
        } else if let Some(picture) = picture(trimmed) {
            blocks.push(picture);
        } else if is_item(trimmed) {
            let mut item = trimmed[2..].trim().to_owned();
            // A line that is indented goes on with the item.
            while let Some(next) = lines.next_if(|l| l.starts_with(' ') && !l.trim().is_empty() && !is_item(l.trim())) {
                item = format!("{item} {}", next.trim());
            }
            match blocks.last_mut() {
                Some(Block::List(items)) => items.push(spans(&item)),
                _ => blocks.push(Block::List(vec![spans(&item)])),
            }
        } else if trimmed.starts_with('|') {
            if trimmed.bytes().all(|b| b"|-: ".contains(&b)) {
                continue;
            }
            let row = trimmed.trim_matches('|').split('|').map(|cell| spans(cell.trim())).collect();
            match blocks.last_mut() {
                Some(Block::Table(rows)) => rows.push(row),
                _ => blocks.push(Block::Table(vec![row])),
            }
        } else {
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(trimmed);
        }
    }
    if !paragraph.is_empty() {
        blocks.push(Block::Paragraph(spans(&paragraph)));
    }
    blocks
}

fn is_heading(line: &str) -> bool {
    line.trim_start_matches('#').starts_with(' ') && line.starts_with('#')
}

fn is_item(line: &str) -> bool {
    line.starts_with("- ") || line.starts_with("* ")
}

/// A line that is a picture. Its file lies beside the card, so its name is no path.
fn picture(line: &str) -> Option<Block> {
    let (shows, file) = line.strip_prefix("![")?.strip_suffix(')')?.split_once("](")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let named = !file.is_empty() && !file.starts_with('.') && file.chars().all(plain);
    named.then(|| Block::Picture { shows: shows.to_owned(), file: file.to_owned() })
}

fn spans(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut rest = text;
    let mut plain = String::new();
    while !rest.is_empty() {
        let found = [("**", Span::Strong as fn(String) -> Span), ("`", Span::Code)].into_iter().find_map(|(mark, make)| {
            let (inside, after) = rest.strip_prefix(mark)?.split_once(mark)?;
            (!inside.is_empty()).then(|| (make(inside.into()), after))
        });
        if let Some((span, after)) = found {
            if !plain.is_empty() {
                spans.push(Span::Text(std::mem::take(&mut plain)));
            }
            spans.push(span);
            rest = after;
        } else {
            let mut chars = rest.chars();
            plain.extend(chars.next());
            rest = chars.as_str();
        }
    }
    if !plain.is_empty() {
        spans.push(Span::Text(plain));
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(s: &str) -> Span {
        Span::Text(s.into())
    }

    #[test]
    fn reads_a_card() {
        let card = "# Title\nOne `line`\nand **two**.\n\n- first\n  goes on\n- second\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n```\n# raw\n```\n";
        let expected = [
            Block::Heading(1, vec![text("Title")]),
            Block::Paragraph(vec![text("One "), Span::Code("line".into()), text(" and "), Span::Strong("two".into()), text(".")]),
            Block::List(vec![vec![text("first goes on")], vec![text("second")]]),
            Block::Table(vec![vec![vec![text("a")], vec![text("b")]], vec![vec![text("1")], vec![text("2")]]]),
            Block::Code("# raw".into()),
        ];
        assert_eq!(parse(card), expected);
    }

    #[test]
    fn a_picture_lies_beside_the_card() {
        let picture = Block::Picture { shows: "Two [of] them".into(), file: "a-b.jpg".into() };
        assert_eq!(parse("Text\n![Two [of] them](a-b.jpg)"), [Block::Paragraph(vec![text("Text")]), picture]);
        for elsewhere in ["![x](../a.jpg)", "![x](https://example.org/a.jpg)", "![x](.a)", "![x]()", "![x](a.jpg"] {
            assert_eq!(parse(elsewhere), [Block::Paragraph(vec![text(elsewhere)])]);
        }
    }

    #[test]
    fn odd_input_stays_text() {
        assert_eq!(parse("a ** b ` c"), [Block::Paragraph(vec![text("a ** b ` c")])]);
        assert_eq!(parse("#hash <script>"), [Block::Paragraph(vec![text("#hash <script>")])]);
        assert_eq!(parse("```\nunclosed"), [Block::Code("unclosed".into())]);
        assert_eq!(parse("- "), [Block::Paragraph(vec![text("-")])]);
        assert!(parse("").is_empty());
    }
}
