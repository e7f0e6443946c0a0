//! The workers, which hold the engines and are driven by messages: one for pictures, one for sentences.

mod graphics;
pub mod pictures;
pub mod sentences;
mod store;
mod tuning;
mod weights;

use js_sys::ArrayBuffer;
use serde::de::DeserializeOwned;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use crate::channel;

/// Has `handle` hear every message and its buffer.
fn listen<M: DeserializeOwned + 'static>(scope: &DedicatedWorkerGlobalScope, handle: impl Fn(M, Option<ArrayBuffer>) + 'static) {
    let heard = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| match channel::receive(&event) {
        Ok((message, buffer)) => handle(message, buffer),
        Err(error) => web_sys::console::error_2(&"The worker cannot read a message:".into(), &error),
    });
    scope.set_onmessage(Some(heard.as_ref().unchecked_ref()));
    heard.forget();
}

/// Lets the worker's other messages through; awaiting a promise that is settled does not.
///
/// # Errors
/// What the browser throws.
pub async fn breathe(scope: &DedicatedWorkerGlobalScope) -> Result<(), JsValue> {
    pause(scope, 0).await
}

/// Waits.
///
/// # Errors
/// What the browser throws.
pub async fn pause(scope: &DedicatedWorkerGlobalScope, milliseconds: i32) -> Result<(), JsValue> {
    let timer = js_sys::Promise::new(&mut |resolve, reject| {
        if let Err(error) = scope.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, milliseconds) {
            // A promise that is already settled ignores this.
            let _ = reject.call1(&JsValue::NULL, &error);
        }
    });
    wasm_bindgen_futures::JsFuture::from(timer).await.map(drop)
}

/// Milliseconds of a clock that only goes forward.
pub fn now(scope: &DedicatedWorkerGlobalScope) -> f64 {
    scope.performance().map_or_else(js_sys::Date::now, |p| p.now())
}
