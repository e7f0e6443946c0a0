//! The card of the model that is chosen. Its Markdown becomes elements with text, never HTML.

use std::rc::Rc;

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Element, HtmlDetailsElement, HtmlElement, Response};

use super::App;
use super::dom::{by_id, clear, element, on, warn, window};
use crate::markdown::{self, Block, Span};
use crate::text;
use shared::catalogue::Model;

impl App {
    /// Shows the card, if it is open.
    pub fn show_card(self: &Rc<Self>) {
        let Some(model) = self.options.model() else { return };
        let app = self.clone();
        spawn_local(async move {
            if let Err(error) = show(&app, &model).await {
                warn("card", &error);
            }
        });
    }
}

async fn show(app: &App, model: &Model) -> Result<(), JsValue> {
    if !by_id::<HtmlDetailsElement>("card")?.open() {
        return Ok(());
    }
    let facts: Element = by_id("card-facts")?;
    clear(&facts);
    let mut rows = vec![
        ("Name", model.name.clone()),
        ("Weights", format!("{} ({})", text::count(model.parameters), text::bytes(model.bytes))),
    ];
    if let Some((psnr, bicubic)) = model.psnr() {
        rows.push(("PSNR on Set5", format!("{psnr:.2} dB (bicubic {bicubic:.2} dB)")));
    }
    if let Some(ssim) = model.metrics.get("set5_ssim") {
        rows.push(("SSIM on Set5", format!("{ssim:.4}")));
    }
    for (name, value) in rows {
        let row = element("div", "", "")?;
        row.append_with_node_2(&*element("dt", "", name)?, &*element("dd", "", &value)?)?;
        facts.append_child(&row)?;
    }
    let prose: HtmlElement = by_id("card-text")?;
    let card = fetch(&format!("models/{}", model.card)).await;
    // Another may have been chosen meanwhile.
    if app.options.model().is_some_and(|now| now.name != model.name) {
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

async fn fetch(address: &str) -> Result<String, JsValue> {
    let response: Response = JsFuture::from(window()?.fetch_with_str(address)).await?.dyn_into()?;
    if !response.ok() {
        return Err(JsValue::from_str(&format!("the server answers {}", response.status())));
    }
    Ok(JsFuture::from(response.text()?).await?.as_string().unwrap_or_default())
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

/// Listens to the card being opened.
///
/// # Errors
/// When index.html lacks it.
pub fn listen(app: &Rc<App>) -> Result<(), JsValue> {
    let app = app.clone();
    on(by_id::<HtmlElement>("card")?, "toggle", move |_: web_sys::Event| app.show_card());
    Ok(())
}
