//! Messages on their way between page and workers: `[json, buffer or null]`.

use js_sys::{Array, ArrayBuffer, Uint8Array};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent, Worker};

/// What trunk calls the starter of the worker for pictures.
pub const PICTURES: &str = "./pictures_loader.js";
/// That of the worker for sentences.
pub const SENTENCES: &str = "./sentences_loader.js";

/// One end of a channel that can send.
pub trait Port {
    /// Posts `message` and hands over what is in `transfer`.
    ///
    /// # Errors
    /// What the browser throws.
    fn post(&self, message: &JsValue, transfer: &JsValue) -> Result<(), JsValue>;
}

impl Port for Worker {
    fn post(&self, message: &JsValue, transfer: &JsValue) -> Result<(), JsValue> {
        self.post_message_with_transfer(message, transfer)
    }
}

impl Port for DedicatedWorkerGlobalScope {
    fn post(&self, message: &JsValue, transfer: &JsValue) -> Result<(), JsValue> {
        self.post_message_with_transfer(message, transfer)
    }
}

/// Sends a message; the buffer is gone on this side.
///
/// # Errors
/// What the browser throws.
pub fn send(port: &impl Port, message: &impl Serialize, buffer: Option<ArrayBuffer>) -> Result<(), JsValue> {
    let json = serde_json::to_string(message).map_err(|e| JsValue::from_str(&e.to_string()))?;
    let (body, transfer) = match buffer {
        Some(buffer) => (Array::of2(&json.into(), &buffer), Array::of1(&buffer)),
        None => (Array::of2(&json.into(), &JsValue::NULL), Array::new()),
    };
    port.post(&body, &transfer)
}

/// Reads a message.
///
/// # Errors
/// When it is none: page and worker are of different builds.
pub fn receive<M: DeserializeOwned>(event: &MessageEvent) -> Result<(M, Option<ArrayBuffer>), JsValue> {
    let body: Array = event.data().dyn_into()?;
    let json = body.get(0).as_string().unwrap_or_default();
    let message = serde_json::from_str(&json).map_err(|e| JsValue::from_str(&e.to_string()))?;
    Ok((message, body.get(1).dyn_into().ok()))
}

/// Copies bytes out of wasm's memory, to be transferred.
pub fn buffer(bytes: &[u8]) -> ArrayBuffer {
    Uint8Array::from(bytes).buffer()
}

/// Copies bytes into wasm's memory.
pub fn bytes(buffer: &ArrayBuffer) -> Vec<u8> {
    Uint8Array::new(buffer).to_vec()
}

/// What was thrown, as text.
pub fn thrown(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => error.message().into(),
        None => error.as_string().unwrap_or_else(|| format!("{error:?}")),
    }
}
