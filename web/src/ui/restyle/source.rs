//! Pictures in, and videos: dropped, pasted, chosen, or the sample.

use std::rc::Rc;

use js_sys::ArrayBuffer;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Blob, ClipboardEvent, DataTransfer, DragEvent, Element, HtmlElement, HtmlInputElement, ImageData, MouseEvent};

use super::{Restyler, Task, image, put};
use crate::messages::pictures::ToWorker;
use crate::ui::dom::{by_id, document, first_file, on};
use crate::ui::enlarge::sample;
use crate::ui::{announce, rooms, set_text};
use crate::{channel, limits, text};

impl Restyler {
    /// Opens a file.
    fn open_file(self: &Rc<Self>, file: Blob, name: String) {
        self.camera.stop();
        if file.type_().starts_with("video/") {
            return self.open_film(file, name);
        }
        self.film.close();
        let app = self.clone();
        spawn_local(async move {
            match JsFuture::from(file.array_buffer()).await.map(JsCast::unchecked_into::<ArrayBuffer>) {
                Ok(bytes) => {
                    app.error("");
                    app.ask(Task::Open { name, redraw: true }, |job| ToWorker::Open { job }, Some(bytes));
                }
                Err(error) => app.error(&format!("“{name}” cannot be read. {}", channel::thrown(&error))),
            }
        });
    }

    /// Opens pixels.
    pub fn open_pixels(self: &Rc<Self>, pixels: &ImageData, name: String) {
        self.error("");
        self.film.close();
        self.give_pixels(pixels, name, true);
    }

    /// Gives pixels to the worker.
    pub fn give_pixels(&self, pixels: &ImageData, name: String, redraw: bool) {
        let (width, height) = (pixels.width() as usize, pixels.height() as usize);
        let buffer = channel::buffer(&pixels.data());
        self.ask(Task::Open { name, redraw }, |job| ToWorker::OpenPixels { job, width, height }, Some(buffer));
    }

    /// The worker has it.
    pub fn opened(&self, name: String, [width, height]: [usize; 2], pixels: &ArrayBuffer, redraw: bool) {
        let shown = || -> Result<ImageData, JsValue> {
            limits::check(width, height).map_err(|e| JsValue::from_str(&e))?;
            let pixels = image(pixels, width)?;
            put(&by_id("restyle-before")?, [width, height], &pixels)?;
            // Until it is redrawn the picture stands in for its result.
            put(&by_id("restyle-result")?, [width, height], &pixels)?;
            Ok(pixels)
        };
        match shown() {
            Ok(pixels) => {
                set_text("restyle-name", &name);
                set_text("restyle-facts", &text::size(width, height));
                announce(&format!("{name} is open, {width} by {height} pixels."));
                *self.picture.borrow_mut() = Some((name, pixels));
                self.renew_thumbnails();
                // A slider may have moved meanwhile.
                self.dirty.set(redraw || self.dirty.get());
            }
            Err(error) => self.error(&format!("“{name}” cannot be shown. {}", channel::thrown(&error))),
        }
    }

    fn open_transfer(self: &Rc<Self>, transfer: Option<DataTransfer>) -> bool {
        let Some(file) = transfer.as_ref().and_then(first_file) else { return false };
        let name = file.name();
        self.open_file(file.unchecked_into(), name);
        true
    }
}

/// Listens to everything that brings pictures.
///
/// # Errors
/// When index.html lacks an element.
pub fn listen(app: &Rc<Restyler>) -> Result<(), JsValue> {
    let file: HtmlInputElement = by_id("restyle-file")?;
    let (input, opened) = (file.clone(), app.clone());
    on(&file, "change", move |_: web_sys::Event| {
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            let name = file.name();
            opened.open_file(file.unchecked_into(), name);
        }
        // So that the same file can be chosen again.
        input.set_value("");
    });
    for id in ["restyle-choose", "restyle-another"] {
        let file = file.clone();
        on(by_id::<HtmlElement>(id)?, "click", move |_: MouseEvent| file.click());
    }
    let opened = app.clone();
    on(by_id::<HtmlElement>("restyle-sample")?, "click", move |_: MouseEvent| match sample::draw(sample::TO_RESTYLE) {
        Ok(pixels) => opened.open_pixels(&pixels, "Sample".into()),
        Err(error) => opened.error(&format!("The sample cannot be drawn: {}", channel::thrown(&error))),
    });
    let pasted = app.clone();
    on(document()?, "paste", move |event: ClipboardEvent| {
        if rooms::is("restyle") && pasted.open_transfer(event.clipboard_data()) {
            event.prevent_default();
        }
    });
    let dropped = app.clone();
    on(document()?, "drop", move |event: DragEvent| {
        if !rooms::is("restyle") {
            return;
        }
        let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        let on_gallery = target.and_then(|target| target.closest("#restyle-gallery").ok().flatten()).is_some();
        let transfer = event.data_transfer();
        match transfer.as_ref().and_then(first_file).filter(|_| on_gallery) {
            Some(file) => {
                let name = file.name();
                dropped.take_style(file.unchecked_into(), name);
            }
            None => drop(dropped.open_transfer(transfer)),
        }
    });
    Ok(())
}
