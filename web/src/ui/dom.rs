//! Short forms for what the interface does with the document all the time.

use wasm_bindgen::closure::Closure;
use wasm_bindgen::convert::FromWasmAbi;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    CanvasRenderingContext2d, DataTransfer, Document, Element, EventTarget, File, HtmlCanvasElement, HtmlElement, Window,
};

/// The window.
///
/// # Errors
/// In a worker.
pub fn window() -> Result<Window, JsValue> {
    web_sys::window().ok_or_else(|| "there is no window".into())
}

/// The document.
///
/// # Errors
/// In a worker.
pub fn document() -> Result<Document, JsValue> {
    window()?.document().ok_or_else(|| "there is no document".into())
}

/// The element `id` of the page.
///
/// # Errors
/// When index.html has no such element of that kind.
pub fn by_id<T: JsCast>(id: &str) -> Result<T, JsValue> {
    let element = document()?.get_element_by_id(id).ok_or_else(|| JsValue::from_str(&format!("no #{id}")))?;
    element.dyn_into().map_err(|_| JsValue::from_str(&format!("#{id} is of another kind")))
}

/// A new element with a class and a text; both may be empty.
///
/// # Errors
/// What the browser throws.
pub fn element(tag: &str, class: &str, text: &str) -> Result<HtmlElement, JsValue> {
    let element: HtmlElement = document()?.create_element(tag)?.unchecked_into();
    if !class.is_empty() {
        element.set_class_name(class);
    }
    if !text.is_empty() {
        element.set_text_content(Some(text));
    }
    Ok(element)
}

/// A new canvas of a size, and its context.
///
/// # Errors
/// What the browser throws.
pub fn canvas(width: u32, height: u32) -> Result<(HtmlCanvasElement, CanvasRenderingContext2d), JsValue> {
    let canvas: HtmlCanvasElement = document()?.create_element("canvas")?.unchecked_into();
    canvas.set_width(width);
    canvas.set_height(height);
    let context = context(&canvas)?;
    Ok((canvas, context))
}

/// The 2D context of a canvas.
///
/// # Errors
/// When the browser has none to give.
pub fn context(canvas: &HtmlCanvasElement) -> Result<CanvasRenderingContext2d, JsValue> {
    let context = canvas.get_context("2d")?.ok_or_else(|| JsValue::from_str("no 2D canvas"))?;
    Ok(context.unchecked_into())
}

/// Whether the browser has taken away what was drawn, as it does when its GPU process ends. `contextrestored` says when the canvas
/// can be drawn on again. A size that the browser cannot hold has the same effect, but is never restored.
pub fn is_lost(context: &CanvasRenderingContext2d) -> bool {
    // web-sys lacks it, and so do older browsers.
    let ask = property(context, "isContextLost").and_then(|ask| ask.dyn_into::<js_sys::Function>().ok());
    ask.and_then(|ask| ask.call0(context).ok()).is_some_and(|lost| lost.is_truthy())
}

/// Replaces what is in `parent` by nothing.
pub fn clear(parent: &Element) {
    parent.set_text_content(None);
}

/// Listens for as long as the page is open.
pub fn on<E>(target: impl AsRef<EventTarget>, event: &str, listener: impl FnMut(E) + 'static)
where
    E: JsCast + FromWasmAbi + 'static,
{
    let listener = Closure::<dyn FnMut(E)>::new(listener);
    if let Err(error) = target.as_ref().add_event_listener_with_callback(event, listener.as_ref().unchecked_ref()) {
        warn("cannot listen", &error);
    }
    listener.forget();
}

/// Calls `callback` after so many milliseconds; gives the timer.
///
/// # Errors
/// What the browser throws.
pub fn later(callback: &JsValue, milliseconds: i32) -> Result<i32, JsValue> {
    window()?.set_timeout_with_callback_and_timeout_and_arguments_0(callback.unchecked_ref(), milliseconds)
}

/// The first file of what is dropped or pasted.
pub fn first_file(transfer: &DataTransfer) -> Option<File> {
    transfer.files()?.get(0)
}

/// Whether a file says that it is text.
pub fn is_text(file: &File) -> bool {
    file.type_().starts_with("text/") || [".txt", ".md"].iter().any(|ending| file.name().to_lowercase().ends_with(ending))
}

/// Tells the console about what is odd but stops nothing.
pub fn warn(what: &str, error: &JsValue) {
    web_sys::console::warn_2(&JsValue::from_str(what), error);
}

/// Milliseconds of a clock that only goes forward.
pub fn now() -> f64 {
    window().ok().and_then(|w| w.performance()).map_or_else(js_sys::Date::now, |p| p.now())
}

/// A named property of a JavaScript value, also where it may be missing.
pub fn property(of: &JsValue, name: &str) -> Option<JsValue> {
    js_sys::Reflect::get(of, &name.into()).ok().filter(|value| !value.is_undefined() && !value.is_null())
}
