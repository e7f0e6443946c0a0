//! Styles of the person's own: any picture.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use js_sys::ArrayBuffer;
use shared::checkpoint::Style;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Blob, HtmlElement, HtmlInputElement, MouseEvent};

use super::{Restyler, Task};
use crate::messages::pictures::ToWorker;
use crate::ui::announce;
use crate::ui::dom::{by_id, on, warn};
use crate::{channel, text};

/// What was taken, or is about to be.
#[derive(Default)]
pub struct OwnStyles {
    taken: RefCell<Vec<Taken>>,
    /// What the worker has not taken yet, by name.
    waiting: RefCell<VecDeque<String>>,
    count: Cell<usize>,
}

/// A style and its file, which a worker that is started again needs again.
struct Taken {
    style: Style,
    file: Vec<u8>,
    /// Whether the gallery has it.
    shown: bool,
}

impl OwnStyles {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.taken.borrow().is_empty()
    }

    /// The worker has lost them.
    pub fn forgotten(&self) {
        *self.waiting.borrow_mut() = self.taken.borrow().iter().map(|taken| taken.style.name.clone()).collect();
    }

    fn add(&self, title: String, file: Vec<u8>) {
        self.count.set(self.count.get() + 1);
        // No painting is called so: the names of styles have no blanks.
        let name = format!("own {}", self.count.get());
        self.waiting.borrow_mut().push_back(name.clone());
        self.taken.borrow_mut().push(Taken { style: Style { name, title }, file, shown: false });
    }

    /// Takes it no more.
    pub fn remove(&self, name: &str) -> Option<Style> {
        let mut all = self.taken.borrow_mut();
        let at = all.iter().position(|taken| taken.style.name == name)?;
        Some(all.remove(at).style)
    }
}

impl Restyler {
    /// Takes the style of a file.
    pub fn take_style(self: &Rc<Self>, file: Blob, name: String) {
        let app = self.clone();
        spawn_local(async move {
            match JsFuture::from(file.array_buffer()).await.map(JsCast::unchecked_into::<ArrayBuffer>) {
                Ok(bytes) => {
                    app.error("");
                    app.own.add(name, channel::bytes(&bytes));
                    app.next();
                }
                Err(error) => app.error(&format!("“{name}” cannot be read. {}", channel::thrown(&error))),
            }
        });
    }

    /// Has the worker take the next one; whether there was one.
    pub fn adopt_next(&self) -> bool {
        let Some(model) = self.own_model.borrow().clone().map(Box::new) else { return false };
        let Some(name) = self.own.waiting.borrow_mut().pop_front() else { return false };
        let taken = self.own.taken.borrow();
        let Some(Taken { style, file, .. }) = taken.iter().find(|taken| taken.style.name == name) else { return false };
        let (style, file) = (style.clone(), channel::buffer(file));
        self.ask(Task::Adopt(name), |job| ToWorker::Adopt { job, model, style }, Some(file));
        true
    }

    /// The worker has taken it.
    pub fn adopted(self: &Rc<Self>, name: &str) {
        let new = self.own.taken.borrow_mut().iter_mut().find(|taken| taken.style.name == name && !taken.shown).map(|taken| {
            taken.shown = true;
            taken.style.clone()
        });
        if let Some(style) = new {
            if let Err(error) = self.controls.show_own(self, &style) {
                warn("gallery", &error);
            }
            self.thumbnails.borrow_mut().push_front(self.controls.styles() - 1);
            self.change();
            announce(&format!("“{}” is a style now.", style.title));
        }
    }

    /// The worker could not take it.
    pub fn not_adopted(&self, name: &str, why: &str) {
        let title = self.own.remove(name).map(|style| style.title).unwrap_or_default();
        self.error(&format!("No style can be taken from “{title}”. {}", text::sentence(why)));
    }
}

/// Listens to what takes a style.
///
/// # Errors
/// When index.html lacks an element.
pub fn listen(app: &Rc<Restyler>) -> Result<(), JsValue> {
    let file: HtmlInputElement = by_id("restyle-style-file")?;
    let (input, taker) = (file.clone(), app.clone());
    on(&file, "change", move |_: web_sys::Event| {
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            let name = file.name();
            taker.take_style(file.unchecked_into(), name);
        }
        // So that the same file can be chosen again.
        input.set_value("");
    });
    on(by_id::<HtmlElement>("restyle-take-style")?, "click", move |_: MouseEvent| file.click());
    Ok(())
}
