//! The interface. `index.html` holds all of its elements; this gives them life.
//!
//! Every room of the page (`enlarge`, `restyle`, `translate`) has a worker of its own, so that each goes on while the other works.

mod camera;
mod card;
mod catalogue;
mod dom;
mod enlarge;
mod link;
mod offline;
mod restyle;
mod rooms;
mod translate;

use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;
use wasm_bindgen_futures::spawn_local;
use web_sys::{HtmlElement, HtmlProgressElement, UrlSearchParams};

use crate::messages::Choice;
use dom::{by_id, later, warn, window};
use enlarge::Enlarger;
use restyle::Restyler;
use translate::Interpreter;

fn set_text(id: &str, text: &str) {
    match by_id::<HtmlElement>(id) {
        Ok(element) => element.set_text_content(Some(text)),
        Err(error) => warn("text", &error),
    }
}

fn show(id: &str, visible: bool) {
    match by_id::<HtmlElement>(id) {
        Ok(element) => element.set_hidden(!visible),
        Err(error) => warn("element", &error),
    }
}

/// Tells those who listen instead of looking.
fn announce(message: &str) {
    set_text("status", message);
}

/// Says something that is no error, in whatever room the person is.
fn notice(message: &str) {
    set_text("notice-text", message);
    show("notice", !message.is_empty());
}

fn focus(id: &str) {
    let options = web_sys::FocusOptions::new();
    options.set_prevent_scroll(false);
    if let Err(error) = by_id::<HtmlElement>(id).and_then(|element| element.focus_with_options(&options)) {
        warn("focus", &error);
    }
}

/// How far a progress bar is; without a share it shows that something happens.
fn set_progress(id: &str, share: Option<f64>) {
    let set = by_id::<HtmlProgressElement>(id).and_then(|bar| match share {
        Some(share) => {
            bar.set_value(share);
            Ok(())
        }
        None => bar.remove_attribute("value"),
    });
    if let Err(error) = set {
        warn("progress", &error);
    }
}

/// Says that something is copied, on the button that did it too.
fn copied(button: &'static str) {
    announce("Copied to the clipboard.");
    set_text(button, "Copied");
    let back = Closure::once_into_js(move || set_text(button, "Copy"));
    if let Err(error) = later(&back, 2000) {
        warn("timer", &error);
    }
}

/// The engine that the address asks for.
///
/// # Errors
/// What the browser throws.
fn wanted_engine() -> Result<Choice, JsValue> {
    let search = window()?.location().search()?;
    Ok(Choice::parse(&UrlSearchParams::new_with_str(&search)?.get("engine").unwrap_or_default()))
}

/// Brings the page to life.
pub fn start() {
    console_error_panic_hook::set_once();
    spawn_local(async {
        if let Err(error) = begin().await {
            web_sys::console::error_2(&"The page cannot start:".into(), &error);
            notice(&format!("The page cannot start: {}", crate::channel::thrown(&error)));
        }
    });
}

async fn begin() -> Result<(), JsValue> {
    // The worker is the largest download, so it starts first.
    let enlarger = Enlarger::new()?;
    let interpreter = Interpreter::new()?;
    let restyler = Restyler::new()?;
    rooms::listen(&interpreter, &restyler)?;
    let idle = {
        let (enlarger, interpreter, restyler) = (enlarger.clone(), interpreter.clone(), restyler.clone());
        move || enlarger.is_idle() && interpreter.is_idle() && restyler.is_idle()
    };
    offline::start(idle)?;
    match catalogue::fetch().await {
        Ok(catalogue) => {
            enlarger.set_catalogue(&catalogue);
            interpreter.set_catalogue(&catalogue);
            restyler.set_catalogue(&catalogue);
            notice("");
        }
        Err(message) => notice(&format!("There are no models here. {}", crate::text::sentence(&message))),
    }
    Ok(())
}
