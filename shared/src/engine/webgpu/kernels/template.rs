//! WGSL templates: what WGSL itself lacks to unroll a loop into registers.
//!
//! A line that starts with `#` is a directive: `#for i in N`, `#if N`, `#else`, `#end`. Elsewhere `$N` stands for a value and
//! `${i+1}` for a sum.

use std::collections::HashMap;

use crate::{Error, Result};

/// What the names of a template stand for.
#[derive(Debug, Clone, Default)]
pub struct Values {
    numbers: HashMap<String, usize>,
    texts: HashMap<String, String>,
}

impl Values {
    /// With `name` as a number, for `#for` and `#if` too.
    pub fn number(mut self, name: &str, value: usize) -> Self {
        self.numbers.insert(name.to_owned(), value);
        self
    }

    /// With `name` as text.
    pub fn text(mut self, name: &str, value: impl Into<String>) -> Self {
        self.texts.insert(name.to_owned(), value.into());
        self
    }

    fn evaluate(&self, sum: &str) -> Result<usize> {
        let term = |name: &str| {
            let name = name.trim();
            let number = self.numbers.get(name).copied().or_else(|| name.parse().ok());
            number.ok_or_else(|| broken(&format!("`{name}` is no number")))
        };
        sum.split('+').map(term).sum()
    }
}

/// The template with every directive carried out.
///
/// # Errors
/// [`Error::Gpu`] for an unknown name or an unbalanced directive; the templates are ours, so a test catches that.
pub fn expand(template: &str, values: &Values) -> Result<String> {
    let lines: Vec<&str> = template.lines().collect();
    let mut out = String::new();
    block(&lines, &mut values.clone(), &mut out)?;
    Ok(out)
}

fn block(mut lines: &[&str], values: &mut Values, out: &mut String) -> Result<()> {
    while let Some((line, rest)) = lines.split_first() {
        let trimmed = line.trim();
        if let Some(head) = trimmed.strip_prefix("#for ") {
            let (name, count) = head.split_once(" in ").ok_or_else(|| broken(line))?;
            let (body, _, after) = branches(rest)?;
            for i in 0..values.evaluate(count)? {
                values.numbers.insert(name.to_owned(), i);
                block(body, values, out)?;
            }
            lines = after;
        } else if let Some(condition) = trimmed.strip_prefix("#if ") {
            let (yes, no, after) = branches(rest)?;
            block(if values.evaluate(condition)? > 0 { yes } else { no }, values, out)?;
            lines = after;
        } else if trimmed.starts_with('#') {
            return Err(broken(line));
        } else {
            substitute(line, values, out)?;
            lines = rest;
        }
    }
    Ok(())
}

/// What belongs to the directive before `lines`, what belongs to its `#else`, and what follows its `#end`.
fn branches<'a, 'b>(lines: &'a [&'b str]) -> Result<(&'a [&'b str], &'a [&'b str], &'a [&'b str])> {
    let (mut depth, mut middle) = (0, None);
    for (i, line) in lines.iter().map(|l| l.trim()).enumerate() {
        match line {
            "#else" if depth == 0 => middle = Some(i),
            "#end" if depth == 0 => {
                let (yes, no) = middle.map_or((&lines[..i], &lines[..0]), |m| (&lines[..m], &lines[m + 1..i]));
                return Ok((yes, no, &lines[i + 1..]));
            }
            "#end" => depth -= 1,
            _ if line.starts_with("#for ") || line.starts_with("#if ") => depth += 1,
            _ => {}
        }
    }
    Err(broken("a directive has no #end"))
}

fn substitute(line: &str, values: &Values, out: &mut String) -> Result<()> {
    let mut parts = line.split('$');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (name, rest) = match part.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or_else(|| broken(line))?,
            None => part.split_at(part.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(part.len())),
        };
        match values.texts.get(name) {
            Some(text) => out.push_str(text),
            None => out.push_str(&values.evaluate(name)?.to_string()),
        }
        out.push_str(rest);
    }
    out.push('\n');
    Ok(())
}

fn broken(what: &str) -> Error {
    Error::Gpu(format!("internal: kernel template: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_nest_and_sums_are_evaluated() {
        let template = "a$N\n#for i in N\n#for j in 2\n#if i\nx${i+j}_$T;\n#else\ny$i$j\n#end\n#end\n#end\nz";
        let values = Values::default().number("N", 2).text("T", "text");
        assert_eq!(expand(template, &values).unwrap(), "a2\ny00\ny01\nx1_text;\nx2_text;\nz\n");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (template, message) in
            [("$NO", "`NO`"), ("#for i in 2\n", "no #end"), ("#end", "#end"), ("#nonsense", "#nonsense"), ("${1", "${1")]
        {
            let error = expand(template, &Values::default()).unwrap_err().to_string();
            assert!(error.contains(message), "{template}: {error}");
        }
    }
}
