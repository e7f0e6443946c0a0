//! The service worker, which lets the page open without a network.

use std::cell::Cell;

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{HtmlElement, MouseEvent, ServiceWorkerContainer};

use super::dom::{by_id, on, property, warn, window};
use super::{notice, show};

/// Written by `seal` after the build.
const SERVICE_WORKER: &str = "./sw.js";

/// Registers the service worker. When one of a newer build takes over, a page that is `idle` reloads, and one in use says so.
///
/// # Errors
/// When index.html lacks an element.
pub fn start(idle: impl Fn() -> bool + 'static) -> Result<(), JsValue> {
    on(by_id::<HtmlElement>("reload")?, "click", |_: MouseEvent| reload());
    // Absent, not only failing, where the address is insecure.
    let Some(container) = property(&window()?.navigator(), "serviceWorker") else { return Ok(()) };
    let container: ServiceWorkerContainer = container.unchecked_into();
    // The first one takes over from nobody.
    let controlled = Cell::new(property(&container, "controller").is_some());
    on(&container, "controllerchange", move |_: web_sys::Event| {
        if !controlled.replace(true) {
            return;
        }
        if idle() {
            reload();
        } else {
            notice("There is a newer version of this page.");
            show("reload", true);
        }
    });
    spawn_local(async move {
        if let Err(error) = JsFuture::from(container.register(SERVICE_WORKER)).await {
            warn("The page will not open without a network:", &error);
        }
    });
    Ok(())
}

fn reload() {
    if let Err(error) = window().and_then(|w| w.location().reload()) {
        warn("reload", &error);
    }
}
