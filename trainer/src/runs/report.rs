use std::fmt::Write;

use base64::Engine;

use super::Record;

/// The look: one column, the reader's light or dark.
const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1d22; --muted: #5d6370; --line: #d9dbe0; --paper: #fbfbfa; --card: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9eaee; --muted: #a2a8b4; --line: #343842; --paper: #14161a; --card: #1c1f25; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { margin: 0; font-size: 1.9rem; overflow-wrap: anywhere; } h2 { margin: 2.5rem 0 0.75rem; font-size: 1.2rem; }
.muted { color: var(--muted); }
.best { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 0.75rem; margin-top: 1.5rem; }
.best div, figure, .scroll { border: 1px solid var(--line); border-radius: 0.75rem; background: var(--card); }
.best div { padding: 0.75rem 1rem; } .best b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
figure { margin: 0 0 1rem; padding: 0.75rem; } figure img, figure svg { display: block; width: 100%; height: auto; }
figure.curves { overflow-x: auto; } figure.curves svg { min-width: 40rem; }
figcaption { padding-top: 0.5rem; font-size: 0.875rem; color: var(--muted); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: 0.875rem; }
td, th { padding: 0.4rem 1rem; text-align: left; vertical-align: top; } tr + tr { border-top: 1px solid var(--line); }
th { font-weight: 600; overflow-wrap: anywhere; } td { overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
pre { overflow-x: auto; padding: 0.75rem 1rem; border: 1px solid var(--line); border-radius: 0.75rem; background: var(--card); }
";

/// The report of a run: one page that needs no other file.
pub fn html(record: &Record, curves: &str) -> String {
    let name = escaped(&record.name);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{name}, a run of Atelier</title><style>{STYLE}</style></head><body><main>\n<h1>{name}</h1>\n"
    );
    // Writing to a String cannot fail.
    let status = [record.fact("status"), record.fact("started"), record.fact("device")].map(escaped);
    let _ = writeln!(page, "<p class=\"muted\">{}</p>", status.join(" · "));
    let _ = writeln!(page, "<section class=\"best\" aria-label=\"Best values\">");
    for metric in record.metrics() {
        if let Some((step, value)) = record.best(metric) {
            let against = record.last(&format!("bicubic_{metric}")).map(|v| format!(", bicubic {v:.3}")).unwrap_or_default();
            let metric = escaped(metric);
            let _ = writeln!(page, "<div>{metric}<b>{value:.3}</b><span class=\"muted\">at step {step}{against}</span></div>");
        }
    }
    if let (Some(step), Some(seconds)) = (record.rows.last().and(record.last("step")), record.last("seconds")) {
        let _ = writeln!(page, "<div>steps<b>{step}</b><span class=\"muted\">in {}</span></div>", time(seconds));
    }
    let _ = writeln!(page, "</section>\n<h2>Curves</h2>");
    if record.rows.is_empty() {
        let _ = writeln!(page, "<p>Not validated yet.</p>");
    } else {
        let _ = writeln!(
            page,
            "<figure class=\"curves\" role=\"img\" tabindex=\"0\" aria-label=\"Losses, metrics and learning rate over the steps\">{curves}</figure>"
        );
    }
    samples(&mut page, record);
    let _ = writeln!(page, "<h2>Configuration</h2>");
    table(&mut page, &record.config);
    let _ = writeln!(page, "<pre>trainer train --config runs/{name}/config.toml --name again</pre>\n<h2>Machine</h2>");
    table(&mut page, &record.machine);
    page + "</main></body></html>\n"
}

/// The newest sample, the first and the middle one.
fn samples(page: &mut String, record: &Record) {
    let all = &record.samples;
    let mut shown: Vec<usize> = vec![all.len().saturating_sub(1), all.len() / 2, 0];
    shown.dedup();
    if !all.is_empty() {
        let _ = writeln!(page, "<h2>Samples</h2>");
    }
    for path in shown.into_iter().filter_map(|i| all.get(i)) {
        let Ok(bytes) = std::fs::read(path) else { continue };
        let step = path.file_stem().unwrap_or_default().to_string_lossy();
        let step = step.trim_start_matches('0');
        if path.extension().is_some_and(|e| e == "png") {
            let data = base64::engine::general_purpose::STANDARD.encode(bytes);
            let _ = writeln!(
                page,
                "<figure><img alt=\"Bicubic, network and original side by side at step {step}\" src=\"data:image/png;base64,{data}\">\
                 <figcaption>Step {step}: bicubic, network, original</figcaption></figure>"
            );
        } else {
            let text = escaped(&String::from_utf8_lossy(&bytes));
            let _ = writeln!(page, "<figure><pre>{text}</pre><figcaption>Step {step}</figcaption></figure>");
        }
    }
}

fn table(page: &mut String, facts: &std::collections::BTreeMap<String, String>) {
    let _ = writeln!(page, "<div class=\"scroll\"><table>");
    for (name, value) in facts {
        let _ = writeln!(page, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escaped(name), escaped(value.trim_matches('"')));
    }
    let _ = writeln!(page, "</table></div>");
}

/// Seconds for people.
pub(super) fn time(seconds: f64) -> String {
    let minutes = (seconds / 60.0) as u64;
    match minutes {
        0 => format!("{seconds:.0} s"),
        1..60 => format!("{minutes} min {:.0} s", seconds % 60.0),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

/// For HTML, in texts and in attributes.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
