//! From which language to which.

use std::cell::RefCell;

use shared::catalogue::{Catalogue, Model};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{HtmlButtonElement, HtmlOptionElement, HtmlSelectElement};

use crate::language;
use crate::ui::dom::{by_id, clear, element, on, window};

/// Where the pair is kept for the next visit.
const KEY: &str = "atelier-pair";

/// The models that there are, and the one that is chosen.
pub struct Pairs {
    models: RefCell<Vec<Model>>,
    select: HtmlSelectElement,
    swap: HtmlButtonElement,
}

impl Pairs {
    /// Finds the elements.
    ///
    /// # Errors
    /// When index.html lacks one.
    pub fn new() -> Result<Self, JsValue> {
        Ok(Self { models: RefCell::default(), select: by_id("pair")?, swap: by_id("swap")? })
    }

    /// Offers the models for sentences: languages first, then what stands in their place.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn offer(&self, catalogue: &Catalogue) -> Result<(), JsValue> {
        let mut models: Vec<Model> = catalogue.models.iter().filter(|m| !m.source.is_empty()).cloned().collect();
        models.sort_by_key(|model| (model.task != "translate", model.name.clone()));
        clear(&self.select);
        for model in &models {
            let label = format!("{} → {}", language::name(&model.source), language::name(&model.target));
            let option: HtmlOptionElement = element("option", "", &label)?.unchecked_into();
            option.set_value(&model.name);
            self.select.append_child(&option)?;
        }
        *self.models.borrow_mut() = models;
        if let Some(kept) = window()?.local_storage().ok().flatten().and_then(|store| store.get_item(KEY).ok()?) {
            self.choose(&kept);
        }
        self.show_swap();
        Ok(())
    }

    /// The model that is chosen.
    pub fn model(&self) -> Option<Model> {
        let name = self.select.value();
        self.models.borrow().iter().find(|model| model.name == name).cloned()
    }

    /// Chooses a model by its name, if it is there.
    pub fn choose(&self, name: &str) {
        if self.models.borrow().iter().any(|model| model.name == name) {
            self.select.set_value(name);
            self.changed();
        }
    }

    /// Languages that can be read, by their codes.
    pub fn languages(&self) -> Vec<String> {
        let mut languages: Vec<String> =
            self.models.borrow().iter().filter(|m| m.task == "translate").map(|m| m.source.clone()).collect();
        languages.dedup();
        languages
    }

    /// The name of a model that reads `source`, if there is one; best of all to `target`.
    pub fn from(&self, source: &str, target: &str) -> Option<String> {
        let models = self.models.borrow();
        let reads = |model: &&Model| model.source == source;
        let exactly = models.iter().filter(reads).find(|model| model.target == target);
        exactly.or_else(|| models.iter().find(reads)).map(|model| model.name.clone())
    }

    /// Goes over to the opposite direction; whether there is one.
    pub fn swap(&self) -> bool {
        let opposite = self.opposite();
        if let Some(name) = &opposite {
            self.choose(name);
        }
        opposite.is_some()
    }

    fn opposite(&self) -> Option<String> {
        let model = self.model()?;
        let models = self.models.borrow();
        models.iter().find(|m| m.source == model.target && m.target == model.source).map(|m| m.name.clone())
    }

    fn show_swap(&self) {
        self.swap.set_disabled(self.opposite().is_none());
    }

    /// Another is chosen: keeps it for the next visit.
    pub fn changed(&self) {
        self.show_swap();
        let storage = window().and_then(|w| w.local_storage()).ok().flatten();
        // A full or forbidden storage only means that the next visit begins with the first pair.
        let _ = storage.map(|store| store.set_item(KEY, &self.select.value()));
    }

    /// Calls `changed` when the person chooses another.
    pub fn on_change(&self, changed: impl Fn() + 'static) {
        on(&self.select, "change", move |_: web_sys::Event| changed());
    }
}

/// What an empty text shows.
pub fn placeholder(source: &str) -> &'static str {
    match source {
        shared::text::DATES => "Type dates, one a line",
        _ => "Type or paste a text",
    }
}

/// Something to try.
pub fn example(source: &str) -> &'static str {
    match source {
        "de" => {
            "Ein Mann mit einem orangefarbenen Hut geht mit seinem Hund über die Straße.\n\nZwei Kinder spielen im Park. Wo ist meine Tasche?"
        }
        "en" => {
            "A man in an orange hat walks across the street with his dog.\n\nTwo children are playing in the park. Where is my bag?"
        }
        "fr" => {
            "Un homme avec un chapeau orange traverse la rue avec son chien.\n\nDeux enfants jouent dans le parc. Où est mon sac ?"
        }
        shared::text::DATES => "Montag, den 24. Dezember 2001\nle 14 juillet 1989\nMay 3rd, 2021\n31.12.99",
        _ => "",
    }
}
