//! Pages that need no other file.

use anyhow::Result;
use base64::Engine;
use shared::picture::{Format, Picture};

use super::plot::{self, Panel};

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

/// A page of this title, which is HTML already, as is `body`.
pub fn html(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>{title}</title><style>{STYLE}</style></head>\n<body><main>\n{body}</main></body></html>\n"
    )
}

/// Curves within a page.
///
/// # Errors
/// When they cannot be drawn.
pub fn curves(panel: &Panel) -> Result<String> {
    let (title, svg) = (escaped(panel.title()), plot::svg(std::slice::from_ref(panel))?);
    Ok(format!("<figure class=\"card\" role=\"img\" aria-label=\"Curve: {title}\">{svg}</figure>\n"))
}

/// A picture within a page, with words for who does not see it.
///
/// # Errors
/// When it cannot be encoded.
pub fn image(picture: &Picture, alt: &str) -> Result<String> {
    let data = base64::engine::general_purpose::STANDARD.encode(picture.encode(Format::Png)?);
    Ok(format!("<img alt=\"{alt}\" style=\"display: block; width: 100%\" src=\"data:image/png;base64,{data}\"/>"))
}

/// For HTML, in texts and in attributes. Control characters are none of its characters.
pub fn escaped(text: &str) -> String {
    let text = text.replace(|c: char| c.is_control() && c != '\n' && c != '\t', "\u{fffd}");
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
