use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;
use base64::Engine;

use super::plot::{self, Panel};
use super::{Record, duration, score};

/// The look: one column, the reader's light or dark.
const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1d22; --muted: #5d6370; --line: #dfe1e6; --paper: #f7f7f5; --card: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9eaee; --muted: #a2a8b4; --line: #343842; --paper: #14161a; --card: #1c1f25; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 0.75rem; font-size: 1.2rem; }
p { margin: 0.5rem 0; }
.muted { color: var(--muted); }
.card { border: 1px solid var(--line); border-radius: 0.75rem; background: var(--card); overflow: hidden; }
.grid { display: grid; gap: 0.75rem; }
.best { grid-template-columns: repeat(auto-fit, minmax(min(10rem, 45%), 1fr)); margin-top: 1.5rem; }
.best > * { padding: 0.75rem 1rem; overflow-wrap: anywhere; }
.best dt { color: var(--muted); } .best dd { margin: 0; font-size: 0.875rem; color: var(--muted); }
.best b { display: block; font-size: 1.6rem; line-height: 1.3; color: var(--ink); font-variant-numeric: tabular-nums; }
.curves { grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); }
figure { margin: 0 0 0.75rem; } .curves figure { margin: 0; padding: 0.25rem; }
svg { display: block; width: 100%; height: auto; } svg text { font-family: inherit; }
.strip { overflow-x: auto; } .strip > * { min-width: 36rem; } .strip img { display: block; width: 100%; height: auto; }
.thirds { display: grid; grid-template-columns: repeat(3, 1fr); padding: 0.4rem 0; text-align: center; }
figcaption { padding: 0.4rem 1rem; font-size: 0.875rem; color: var(--muted); border-top: 1px solid var(--line); }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; }
td, th { padding: 0.4rem 1rem; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { width: 35%; font-weight: 500; color: var(--muted); } tr + tr { border-top: 1px solid var(--line); }
td { font-variant-numeric: tabular-nums; }
pre { margin: 0.75rem 0; padding: 0.75rem 1rem; overflow-x: auto; font-size: 0.875rem; }
figure pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
";

/// The report of a run: one page that needs no other file.
///
/// # Errors
/// When the curves cannot be drawn.
pub(super) fn html(record: &Record, curves: &[Panel]) -> Result<String> {
    let name = escaped(&record.name);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>{name}, a run of Atelier</title><style>{STYLE}</style></head>\n<body><main>\n<h1>{name}</h1>\n"
    );
    let facts = ["status", "started", "device"].map(|fact| escaped(record.fact(fact)));
    let facts: Vec<String> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
    writeln!(page, "<p class=\"muted\">{}</p>", facts.join(" · "))?;
    best(&mut page, record)?;
    writeln!(page, "<h2>Curves</h2>\n<div class=\"grid curves\">")?;
    for panel in curves {
        let title = escaped(panel.title());
        let svg = plot::svg(std::slice::from_ref(panel))?;
        writeln!(page, "<figure class=\"card\" role=\"img\" aria-label=\"Curve: {title}\">{svg}</figure>")?;
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
    Ok(page + "</main></body></html>\n")
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

/// For HTML, in texts and in attributes. Control characters are none of its characters.
fn escaped(text: &str) -> String {
    let text = text.replace(|c: char| c.is_control() && c != '\n' && c != '\t', "\u{fffd}");
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
