//! The result out: as a file, or to the clipboard.

use std::rc::Rc;

use js_sys::{Array, ArrayBuffer, Object, Promise, Reflect};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Blob, BlobPropertyBag, ClipboardItem, HtmlAnchorElement, HtmlCanvasElement, HtmlElement, MouseEvent, Url};

use super::{Enlarger, Phase};
use crate::messages::pictures::{FileFormat, ToWorker};
use crate::text;
use crate::ui::dom::{by_id, document, element, later, on, property, warn, window};
use crate::ui::{announce, copied, notice};

/// A file that the worker encodes.
pub struct Saving {
    format: FileFormat,
    name: String,
}

/// Quality of lossy WebP, which only the browser can write; about JPEG 92.
const WEBP_QUALITY: f64 = 0.9;
/// How long a file's address stays good: the browser may ask where to put it.
const KEEP_MS: i32 = 60_000;

impl Enlarger {
    fn file_name(&self, format: FileFormat) -> Option<String> {
        let (picture, run) = (self.picture.borrow(), self.run.borrow());
        Some(text::file_name(&picture.as_ref()?.name, run.as_ref()?.model.scale, format.extension()))
    }

    fn download(self: &Rc<Self>, format: FileFormat) {
        let Some(name) = self.file_name(format) else { return };
        announce(&format!("Preparing {name}."));
        self.busy(true);
        if format != FileFormat::WebP {
            return self.encode(format, name);
        }
        let app = self.clone();
        spawn_local(async move {
            match to_blob(app.viewer.result(), format, Some(WEBP_QUALITY)).await {
                Ok(blob) if blob.type_() == format.mime() => app.hand_over(&blob, &name),
                // A browser that cannot write WebP writes PNG; the worker writes WebP without loss.
                _ => app.encode(format, name),
            }
        });
    }

    fn encode(&self, format: FileFormat, name: String) {
        *self.saving.borrow_mut() = Some(Saving { format, name });
        self.tell_worker(ToWorker::Encode { job: self.job.get(), format }, None);
    }

    /// The worker has written the file.
    pub fn encoded(self: &Rc<Self>, file: &ArrayBuffer) {
        let Some(Saving { format, name }) = self.saving.take() else { return };
        let options = BlobPropertyBag::new();
        options.set_type(format.mime());
        match Blob::new_with_buffer_source_sequence_and_options(&Array::of1(file), &options) {
            Ok(blob) => self.hand_over(&blob, &name),
            Err(error) => self.save_failed(&crate::channel::thrown(&error)),
        }
    }

    fn hand_over(&self, file: &Blob, name: &str) {
        self.busy(false);
        match offer(file, name) {
            Ok(()) => announce(&format!("{name} is downloaded, {}.", text::bytes(file.size() as u64))),
            Err(error) => self.save_failed(&crate::channel::thrown(&error)),
        }
    }

    /// The result is still there, so this is no state of its own.
    pub fn save_failed(&self, message: &str) {
        self.busy(false);
        self.saving.take();
        let sentence = format!("The picture was not saved. {}", text::sentence(message));
        notice(&sentence);
        announce(&sentence);
    }

    fn busy(&self, busy: bool) {
        let value = if busy { "true" } else { "false" };
        if let Err(error) = by_id::<HtmlElement>("outcome").and_then(|outcome| outcome.set_attribute("aria-busy", value)) {
            warn("busy", &error);
        }
    }

    fn copy(self: &Rc<Self>) {
        let app = self.clone();
        // The clipboard is only ours during the click, so it is given a promise of the picture (WebKit insists on that).
        let canvas = self.viewer.result().clone();
        let picture =
            wasm_bindgen_futures::future_to_promise(
                async move { to_blob(&canvas, FileFormat::Png, None).await.map(JsValue::from) },
            );
        spawn_local(async move {
            match to_clipboard(&picture).await {
                Ok(()) => copied("copy"),
                Err(error) => {
                    app.save_failed(&format!("the browser does not let it be copied ({})", crate::channel::thrown(&error)))
                }
            }
        });
    }
}

async fn to_clipboard(picture: &Promise) -> Result<(), JsValue> {
    // Absent, not only failing, where the address is insecure.
    let clipboard = property(&window()?.navigator(), "clipboard").ok_or("there is no clipboard here")?;
    let items = Object::new();
    Reflect::set(&items, &"image/png".into(), picture)?;
    let item = ClipboardItem::new_with_record_from_str_to_blob_promise(&items)?;
    JsFuture::from(clipboard.unchecked_into::<web_sys::Clipboard>().write(&Array::of1(&item))).await.map(drop)
}

/// What is on a canvas, as a file; `quality` from 0 to 1 where the format has one.
///
/// # Errors
/// When the browser cannot encode it.
pub async fn to_blob(canvas: &HtmlCanvasElement, format: FileFormat, quality: Option<f64>) -> Result<Blob, JsValue> {
    let promise = Promise::new(&mut |resolve, reject| {
        let quality = quality.map_or(JsValue::UNDEFINED, JsValue::from);
        if let Err(error) = canvas.to_blob_with_type_and_encoder_options(&resolve, format.mime(), &quality) {
            // A promise that is already settled ignores this.
            let _ = reject.call1(&JsValue::NULL, &error);
        }
    });
    JsFuture::from(promise).await?.dyn_into().map_err(|_| "the browser could not encode it".into())
}

/// Has the browser download a file.
///
/// # Errors
/// What the browser throws.
pub fn offer(file: &Blob, name: &str) -> Result<(), JsValue> {
    let address = Url::create_object_url_with_blob(file)?;
    let link: HtmlAnchorElement = element("a", "unseen", "")?.unchecked_into();
    link.set_href(&address);
    link.set_download(name);
    let body = document()?.body().ok_or("no body")?;
    body.append_child(&link)?;
    link.click();
    link.remove();
    let forget = Closure::once_into_js(move || {
        if let Err(error) = Url::revoke_object_url(&address) {
            warn("address", &error);
        }
    });
    later(&forget, KEEP_MS).map(drop)
}

/// Listens to the buttons.
///
/// # Errors
/// When index.html lacks one.
pub fn listen(app: &Rc<Enlarger>) -> Result<(), JsValue> {
    for (id, format) in
        [("download-png", FileFormat::Png), ("download-jpeg", FileFormat::Jpeg), ("download-webp", FileFormat::WebP)]
    {
        let app = app.clone();
        on(by_id::<HtmlElement>(id)?, "click", move |_: MouseEvent| {
            if app.phase.get() == Phase::Done && app.saving.borrow().is_none() {
                app.download(format);
            }
        });
    }
    let app = app.clone();
    on(by_id::<HtmlElement>("copy")?, "click", move |_: MouseEvent| app.copy());
    Ok(())
}
