//! The list of models, as the server has it.

use shared::catalogue::Catalogue;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::Response;

use super::dom::window;
use crate::channel;

/// Fetches it.
///
/// # Errors
/// A sentence, when there is none or it is broken.
pub async fn fetch() -> Result<Catalogue, String> {
    let json = text("models/models.json").await.map_err(|e| format!("models.json cannot be fetched: {}", channel::thrown(&e)))?;
    Catalogue::parse(&json).map_err(|e| e.to_string())
}

/// A text file of the page.
///
/// # Errors
/// What the browser throws, or the server's answer.
pub async fn text(address: &str) -> Result<String, JsValue> {
    let response: Response = JsFuture::from(window()?.fetch_with_str(address)).await?.dyn_into()?;
    if !response.ok() {
        return Err(JsValue::from_str(&format!("the server answers {}", response.status())));
    }
    Ok(JsFuture::from(response.text()?).await?.as_string().unwrap_or_default())
}
