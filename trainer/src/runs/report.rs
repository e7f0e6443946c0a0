use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use base64::Engine;

use super::page::escaped;
use super::plot::Panel;
use super::{Record, duration, score};

/// The report of a run: one page that needs no other file.
///
/// # Errors
/// When the curves cannot be drawn.
pub(super) fn html(record: &Record, curves: &[Panel]) -> Result<String> {
    let name = escaped(&record.name);
    let mut page = format!("<h1>{name}</h1>\n");
    let facts = ["status", "started", "device"].map(|fact| escaped(record.fact(fact)));
    let facts: Vec<String> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
    writeln!(page, "<p class=\"muted\">{}</p>", facts.join(" · "))?;
    best(&mut page, record)?;
    writeln!(page, "<h2>Curves</h2>\n<div class=\"grid curves\">")?;
    for panel in curves {
        page.push_str(&super::page::curves(panel)?);
    }
    writeln!(page, "</div>")?;
    if curves.is_empty() {
        writeln!(page, "<p>Not validated yet.</p>")?;
    }
    samples(&mut page, record)?;
    table(&mut page, "Configuration", &record.config)?;
    let config = record.folder.join("config.toml").display().to_string();
    let command = format!("trainer train --config {} --name again", quoted(&config));
    writeln!(page, "<p>The same again:</p>\n<pre class=\"card\">{}</pre>", escaped(&command))?;
    table(&mut page, "Machine", &record.machine)?;
    Ok(super::page::html(&format!("{name}, a run of Atelier"), &page))
}

/// The best values, and how long it took.
fn best(page: &mut String, record: &Record) -> Result<()> {
    let mut tiles = Vec::new();
    for metric in record.metrics() {
        if let Some((step, value)) = record.best(metric) {
            let against = record.last(&format!("bicubic_{metric}")).map(|v| format!("; bicubic {}", score(v)));
            tiles.push((metric.replace('_', " "), score(value), format!("at step {step}{}", against.unwrap_or_default())));
        }
    }
    if let Some((step, value)) = record.best("valid_loss") {
        tiles.push(("valid loss".to_owned(), score(value), format!("at step {step}")));
    }
    if let Some(step) = record.last("step") {
        let time = record.last("seconds").map(|seconds| format!("in {}", duration(seconds)));
        tiles.push(("steps".to_owned(), step.to_string(), time.unwrap_or_default()));
    }
    if tiles.is_empty() {
        return Ok(());
    }
    page.push_str("<dl class=\"grid best\">\n");
    for (name, value, note) in tiles {
        let [name, value, note] = [name, value, note].map(|text| escaped(&text));
        writeln!(page, "<div class=\"card\"><dt>{name}</dt><dd><b>{value}</b>{note}</dd></div>")?;
    }
    page.push_str("</dl>\n");
    Ok(())
}

/// The newest sample, the middle one and the first.
fn samples(page: &mut String, record: &Record) -> Result<()> {
    let all = &record.samples;
    let mut shown = vec![all.len().saturating_sub(1), all.len() / 2, 0];
    shown.dedup();
    if !all.is_empty() {
        writeln!(page, "<h2>Samples</h2>")?;
    }
    for (step, path) in shown.into_iter().filter_map(|i| all.get(i)) {
        // One that vanishes while the report is made is no reason to have none.
        let Ok(bytes) = std::fs::read(path) else { continue };
        page.push_str("<figure class=\"card\">");
        if path.extension().is_some_and(|ending| ending == "png") {
            let data = base64::engine::general_purpose::STANDARD.encode(bytes);
            write!(
                page,
                "<div class=\"strip\"><img alt=\"Bicubic, network and original side by side at step {step}\" \
                 src=\"data:image/png;base64,{data}\"/>\
                 <div class=\"thirds muted\"><span>bicubic</span><span>network</span><span>original</span></div></div>"
            )?;
        } else {
            write!(page, "<pre>{}</pre>", escaped(&String::from_utf8_lossy(&bytes)))?;
        }
        writeln!(page, "<figcaption>step {step}</figcaption></figure>")?;
    }
    Ok(())
}

fn table(page: &mut String, title: &str, facts: &BTreeMap<String, String>) -> Result<()> {
    writeln!(page, "<h2>{title}</h2>\n<div class=\"card\"><table>")?;
    for (name, value) in facts {
        writeln!(page, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escaped(name), escaped(value))?;
    }
    writeln!(page, "</table></div>")?;
    Ok(())
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
