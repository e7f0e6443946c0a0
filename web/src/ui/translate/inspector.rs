//! Under a translation: which word came from which, how sure the network was, and what else it could be.

use wasm_bindgen::{JsCast, JsValue};
use web_sys::{HtmlElement, MouseEvent};

use crate::messages::sentences::Alternative;
use crate::ui::dom::{by_id, clear, element, on};
use crate::ui::show;

/// Where that is shown.
pub struct Inspector {
    heat: HtmlElement,
    alternatives: HtmlElement,
}

impl Inspector {
    /// Finds the elements.
    ///
    /// # Errors
    /// When index.html lacks one.
    pub fn new() -> Result<Self, JsValue> {
        Ok(Self { heat: by_id("heat")?, alternatives: by_id("alternatives")? })
    }

    /// Hides it.
    pub fn clear(&self) {
        show("inspector", false);
    }

    /// Puts the focus on a translation.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn focus(&self, which: usize) -> Result<(), JsValue> {
        match self.alternatives.query_selector(&format!("li:nth-child({}) button", which + 1))? {
            Some(button) => button.unchecked_into::<HtmlElement>().focus(),
            None => Ok(()),
        }
    }

    /// Points at a word of the translation.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn point(&self, word: Option<usize>) -> Result<(), JsValue> {
        if let Some(row) = self.heat.query_selector(".pointed")? {
            row.class_list().remove_1("pointed")?;
        }
        let Some(word) = word else { return Ok(()) };
        // The first row names the words of the source.
        match self.heat.query_selector(&format!("tr:nth-of-type({})", word + 2))? {
            Some(row) => row.class_list().add_1("pointed"),
            None => Ok(()),
        }
    }

    /// Shows the translations of a sentence; `choose` hears which one is preferred to the one that is `chosen`.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn show(
        &self,
        alternatives: &[Alternative],
        chosen: usize,
        choose: impl Fn(usize) + Clone + 'static,
    ) -> Result<(), JsValue> {
        let Some(alternative) = alternatives.get(chosen) else { return Ok(()) };
        clear(&self.alternatives);
        for (i, other) in alternatives.iter().enumerate() {
            let button = element("button", "alternative", &other.text)?;
            button.set_attribute("type", "button")?;
            button.set_attribute("aria-pressed", if i == chosen { "true" } else { "false" })?;
            let choose = choose.clone();
            on(&button, "click", move |_: MouseEvent| choose(i));
            let item = element("li", "", "")?;
            item.append_child(&button)?;
            self.alternatives.append_child(&item)?;
        }
        clear(&self.heat);
        let table = heat(alternative)?;
        self.heat.append_child(&table)?;
        show("inspector", true);
        Ok(())
    }
}

/// A table: a row a word of the translation, a column a word of the source.
fn heat(alternative: &Alternative) -> Result<HtmlElement, JsValue> {
    let table = element("table", "heat", "")?;
    table.append_child(&*element(
        "caption",
        "unseen",
        "How much every word of the translation looked at every word of the text",
    )?)?;
    let head = element("tr", "", "")?;
    head.append_with_node_2(&*element("td", "", "")?, &*header("col", "sure", "sure")?)?;
    for word in &alternative.source {
        let cell = header("col", "from", "")?;
        cell.append_child(&*element("span", "", word)?)?;
        head.append_child(&cell)?;
    }
    table.append_child(&head)?;
    for (i, word) in alternative.target.iter().enumerate() {
        let row = element("tr", "", "")?;
        row.append_child(&*header("row", "", word)?)?;
        let sure = alternative.confidence.get(i).copied().unwrap_or_default();
        row.append_child(&*element("td", "sure", &format!("{:.0} %", 100.0 * sure))?)?;
        let weights = alternative.weights.get(i).map(Vec::as_slice).unwrap_or_default();
        for (j, &weight) in weights.iter().enumerate() {
            let cell = element("td", "weight", "")?;
            cell.style().set_property("--weight", &format!("{:.3}", weight.clamp(0.0, 1.0)))?;
            let from = alternative.source.get(j).map(String::as_str).unwrap_or_default();
            let percent = format!("{:.0} %", 100.0 * weight);
            cell.set_attribute("title", &format!("{word} ← {from}: {percent}"))?;
            // To be read aloud, where there is something to say.
            if weight >= 0.1 {
                cell.append_child(&*element("span", "unseen", &percent)?)?;
            }
            row.append_child(&cell)?;
        }
        table.append_child(&row)?;
    }
    Ok(table)
}

fn header(scope: &str, class: &str, text: &str) -> Result<HtmlElement, JsValue> {
    let cell = element("th", class, text)?;
    cell.set_attribute("scope", scope)?;
    Ok(cell)
}
