//! The workers, which hold the engines and are driven by messages: one for pictures, one for sentences.

pub mod pictures;
pub mod sentences;
mod weights;

use wasm_bindgen::JsValue;
use web_sys::DedicatedWorkerGlobalScope;

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
