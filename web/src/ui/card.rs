//! The card of the model that is chosen. Its Markdown becomes elements with text, never HTML.

use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;
use web_sys::{Element, HtmlDetailsElement, HtmlElement};

use super::catalogue;
use super::dom::{by_id, clear, element, on, warn};
use crate::markdown::{self, Block, Span};
use crate::text;
use shared::catalogue::Model;

/// Shows the card of the model that `chosen` gives in `<details id=..>`, if that is open.
pub fn show(id: &'static str, chosen: impl Fn() -> Option<Model> + 'static) {
    spawn_local(async move {
        if let Err(error) = fill(id, chosen).await {
            warn("card", &error);
        }
    });
}

async fn fill(id: &str, chosen: impl Fn() -> Option<Model>) -> Result<(), JsValue> {
    let Some(model) = chosen() else { return Ok(()) };
    if !by_id::<HtmlDetailsElement>(id)?.open() {
        return Ok(());
    }
    let facts: Element = by_id(&format!("{id}-facts"))?;
    clear(&facts);
    let weights = format!("{} ({})", text::count(model.parameters), text::bytes(model.bytes));
    let known = [("Name".to_owned(), model.name.clone()), ("Weights".to_owned(), weights)];
    for (name, value) in known.into_iter().chain(model.facts()) {
        let row = element("div", "", "")?;
        row.append_with_node_2(&*element("dt", "", &name)?, &*element("dd", "", &value)?)?;
        facts.append_child(&row)?;
    }
    let prose: HtmlElement = by_id(&format!("{id}-text"))?;
    let card = catalogue::text(&format!("models/{}", model.card)).await;
    // Another may have been chosen meanwhile.
    if chosen().is_some_and(|now| now.name != model.name) {
        return Ok(());
    }
    clear(&prose);
    match card {
        Ok(card) => markdown::parse(&card).iter().try_for_each(|block| render(&prose, block)),
        Err(error) => {
            let sentence = format!("Its card cannot be fetched: {}", crate::channel::thrown(&error));
            prose.append_child(&*element("p", "", &sentence)?).map(drop)
        }
    }
}

fn render(parent: &Element, block: &Block) -> Result<(), JsValue> {
    let node = match block {
        // The card hangs below the page's own headings.
        Block::Heading(level, spans) => line(&format!("h{}", (level + 2).min(6)), spans)?,
        Block::Paragraph(spans) => line("p", spans)?,
        Block::Code(code) => {
            let pre = element("pre", "", "")?;
            pre.append_child(&*element("code", "", code)?)?;
            pre
        }
        Block::List(items) => {
            let list = element("ul", "", "")?;
            for item in items {
                list.append_child(&*line("li", item)?)?;
            }
            list
        }
        Block::Picture { shows, file } => {
            let picture = element("img", "", "")?;
            for (name, value) in [("loading", "lazy"), ("alt", shows), ("src", &format!("models/{file}"))] {
                picture.set_attribute(name, value)?;
            }
            let caption = element("figcaption", "", shows)?;
            // Who hears the picture's description need not hear it twice.
            caption.set_attribute("aria-hidden", "true")?;
            let figure = element("figure", "", "")?;
            figure.append_with_node_2(&picture, &caption)?;
            figure
        }
        Block::Table(rows) => {
            let table = element("table", "", "")?;
            for (i, row) in rows.iter().enumerate() {
                let tr = element("tr", "", "")?;
                for cell in row {
                    tr.append_child(&*line(if i == 0 { "th" } else { "td" }, cell)?)?;
                }
                table.append_child(&tr)?;
            }
            let scroll = element("div", "scroll", "")?;
            scroll.append_child(&table)?;
            scroll
        }
    };
    parent.append_child(&node).map(drop)
}

fn line(tag: &str, spans: &[Span]) -> Result<HtmlElement, JsValue> {
    let line = element(tag, "", "")?;
    for span in spans {
        match span {
            Span::Text(text) => line.append_with_str_1(text)?,
            Span::Strong(text) => line.append_with_node_1(&*element("strong", "", text)?)?,
            Span::Code(text) => line.append_with_node_1(&*element("code", "", text)?)?,
        }
    }
    Ok(line)
}

/// Calls `opened` when the card is opened, or closed.
///
/// # Errors
/// When index.html lacks it.
pub fn listen(id: &str, opened: impl Fn() + 'static) -> Result<(), JsValue> {
    on(by_id::<HtmlElement>(id)?, "toggle", move |_: web_sys::Event| opened());
    Ok(())
}
