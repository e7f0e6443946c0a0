//! Pictures in: dropped, pasted, chosen, taken.

use std::cell::Cell;
use std::rc::Rc;

use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Blob, ClipboardEvent, DataTransfer, DragEvent, HtmlElement, HtmlInputElement, ImageBitmap, ImageData, MouseEvent};

use super::{Enlarger, Opened, Phase, sample};
use crate::messages::pictures::ToWorker;
use crate::ui::dom::{by_id, canvas, document, first_file, is_text, on, warn, window};
use crate::ui::{announce, focus, rooms, set_text, show};
use crate::{formats, limits, text};

/// The picture that is being opened.
pub struct Opening {
    name: String,
    /// The file, while the browser's own decoder may still try it.
    rest: Option<Blob>,
}

/// No picture file is larger; reading one that is would only end the worker.
const MOST_BYTES: f64 = 1e9;

impl Enlarger {
    /// Opens a file.
    pub fn open_file(self: &Rc<Self>, file: Blob, name: String) {
        if self.phase.get() == Phase::Running {
            announce("Stop first, then open another picture.");
            return;
        }
        let job = self.begin_opening(&name);
        let app = self.clone();
        spawn_local(async move {
            if file.size() > MOST_BYTES {
                let size = text::bytes(file.size() as u64);
                return app.not_opened(&format!("the file has {size}, which is more than a browser can hold"));
            }
            let read = JsFuture::from(file.array_buffer()).await.map(JsCast::unchecked_into::<ArrayBuffer>);
            if app.job.get() != job {
                return;
            }
            match read {
                Ok(bytes) => {
                    let head = Uint8Array::new(&bytes).subarray(0, 16).to_vec();
                    let rest = (!formats::is_ours(&head)).then_some(file);
                    *app.opening.borrow_mut() = Some(Opening { name, rest });
                    app.tell_worker(ToWorker::Open { job }, Some(bytes));
                }
                Err(error) => app.not_opened(&crate::channel::thrown(&error)),
            }
        });
    }

    /// Opens pixels.
    pub fn open_pixels(self: &Rc<Self>, pixels: &ImageData, name: String) {
        let job = self.begin_opening(&name);
        let (width, height) = (pixels.width() as usize, pixels.height() as usize);
        let buffer = crate::channel::buffer(&pixels.data());
        self.tell_worker(ToWorker::OpenPixels { job, width, height }, Some(buffer));
    }

    fn begin_opening(&self, name: &str) -> u32 {
        let job = self.next_job();
        *self.opening.borrow_mut() = Some(Opening { name: name.to_owned(), rest: None });
        self.saving.take();
        // Until the new picture is there the old one and its result stay: the file may turn out to be none.
        if self.phase.get() != Phase::Loading {
            self.before.set(self.phase.get());
        }
        self.enter(Phase::Loading);
        // A picture may be dropped or pasted anywhere.
        if let Err(error) = rooms::go("enlarge") {
            warn("room", &error);
        }
        announce("Opening the picture.");
        job
    }

    /// The worker has it.
    pub fn opened(self: &Rc<Self>, width: usize, height: usize, alpha: bool, pixels: &ArrayBuffer) {
        let Some(Opening { name, .. }) = self.opening.take() else { return };
        let scale = self.options.scale();
        self.run.take();
        // The stage has no size before it is seen.
        *self.picture.borrow_mut() = Some(Opened { name: name.clone(), width, height, alpha });
        self.enter(Phase::Ready);
        let shown = limits::check(width, height).map_err(|e| JsValue::from_str(&e));
        if let Err(error) = shown.and_then(|()| self.viewer.open(width, height, alpha, pixels, scale)) {
            self.close();
            return self.error(&format!("“{name}” cannot be shown: {}", crate::channel::thrown(&error)));
        }
        set_text("name", &name);
        set_text("size", &format!("{} pixels", text::size(width, height)));
        announce(&format!("{name} is open, {width} by {height} pixels."));
        focus("enlarge");
    }

    /// The worker cannot read it; the browser's own decoder may.
    pub fn not_opened(self: &Rc<Self>, message: &str) {
        let Some(Opening { name, rest }) = self.opening.take() else { return };
        let refuse = |app: &Self, name: &str, message: &str| {
            let message = format!("“{name}” cannot be opened as a picture. {}", text::sentence(message));
            if app.before.get() == Phase::Done {
                app.enter(Phase::Done);
                return app.say(&message);
            }
            app.error(&message);
        };
        let Some(file) = rest else { return refuse(self, &name, message) };
        let (app, message) = (self.clone(), message.to_owned());
        let job = self.job.get();
        spawn_local(async move {
            let decoded = decode(&file).await;
            if app.job.get() != job {
                return;
            }
            match decoded {
                Ok(pixels) => app.open_pixels(&pixels, name),
                Err(error) => {
                    warn("The browser's own decoder:", &error);
                    refuse(&app, &name, &message);
                }
            }
        });
    }

    fn open_transfer(self: &Rc<Self>, transfer: Option<DataTransfer>) -> bool {
        let Some(file) = transfer.as_ref().and_then(first_file) else { return false };
        let name = file.name();
        self.open_file(file.unchecked_into(), name);
        true
    }
}

/// The browser's own decoder, for what ours does not know.
async fn decode(file: &Blob) -> Result<ImageData, JsValue> {
    let bitmap: ImageBitmap = JsFuture::from(window()?.create_image_bitmap_with_blob(file)?).await?.dyn_into()?;
    let (width, height) = (bitmap.width(), bitmap.height());
    limits::check(width as usize, height as usize).map_err(|e| JsValue::from_str(&e))?;
    let (_, context) = canvas(width, height)?;
    context.draw_image_with_image_bitmap(&bitmap, 0.0, 0.0)?;
    bitmap.close();
    context.get_image_data(0.0, 0.0, width.into(), height.into())
}

/// Listens to everything that brings pictures.
///
/// # Errors
/// When index.html lacks an element.
pub fn listen(app: &Rc<Enlarger>) -> Result<(), JsValue> {
    for id in ["file", "capture"] {
        let (input, app) = (by_id::<HtmlInputElement>(id)?, app.clone());
        on(input.clone(), "change", move |_: web_sys::Event| {
            if let Some(file) = input.files().and_then(|files| files.get(0)) {
                let name = file.name();
                app.open_file(file.unchecked_into(), name);
            }
            // So that the same file can be chosen again.
            input.set_value("");
        });
    }
    let file: HtmlInputElement = by_id("file")?;
    on(by_id::<HtmlElement>("choose")?, "click", move |_: MouseEvent| file.click());

    let opened = app.clone();
    on(by_id::<HtmlElement>("sample")?, "click", move |_: MouseEvent| match sample::draw(sample::TO_ENLARGE) {
        Ok(pixels) => opened.open_pixels(&pixels, "Sample".into()),
        Err(error) => opened.error(&format!("The sample cannot be drawn: {}", crate::channel::thrown(&error))),
    });

    let pasted = app.clone();
    on(document()?, "paste", move |event: ClipboardEvent| {
        let transfer = event.clipboard_data();
        let something = transfer.as_ref().is_some_and(|t| t.types().length() > 0);
        if rooms::is("restyle") {
            return;
        }
        if pasted.open_transfer(transfer) {
            event.prevent_default();
        } else if something && pasted.is_here() && pasted.phase.get() == Phase::Idle {
            pasted.error("What you pasted is not a picture.");
        }
    });
    listen_to_drops(app)
}

fn listen_to_drops(app: &Rc<Enlarger>) -> Result<(), JsValue> {
    // dragenter and dragleave come for every element that is crossed, so they are counted.
    let depth = Rc::new(Cell::new(0_i32));
    let document = document()?;
    let entered = depth.clone();
    on(&document, "dragenter", move |event: DragEvent| {
        if carries_files(&event) {
            entered.set(entered.get() + 1);
            show("veil", true);
        }
    });
    let left = depth.clone();
    on(&document, "dragleave", move |event: DragEvent| {
        if carries_files(&event) {
            left.set(left.get() - 1);
            show("veil", left.get() > 0);
        }
    });
    on(&document, "dragover", |event: DragEvent| {
        if carries_files(&event) {
            event.prevent_default();
        }
    });
    let dropped = app.clone();
    on(&document, "drop", move |event: DragEvent| {
        if !carries_files(&event) {
            return;
        }
        event.prevent_default();
        depth.set(0);
        show("veil", false);
        let transfer = event.data_transfer();
        let for_translation = rooms::is("translate") && transfer.as_ref().and_then(first_file).is_some_and(|file| is_text(&file));
        if !rooms::is("restyle") && !for_translation {
            dropped.open_transfer(transfer);
        }
    });
    Ok(())
}

fn carries_files(event: &DragEvent) -> bool {
    event.data_transfer().is_some_and(|t| t.types().includes(&"Files".into(), 0))
}
