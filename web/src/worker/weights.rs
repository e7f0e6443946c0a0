//! Weights: fetched once, checked, kept.
//!
//! They are kept in the Cache API under their address with their hash as the query, so that new weights of the same name are
//! never mistaken for old ones. Where there is no Cache API (an insecure address, some private windows) or it is full, weights
//! stay in memory for as long as the page is open, by way of the loaded network.

use js_sys::{Promise, Reflect, Uint8Array};
use sha2::{Digest, Sha256};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{DedicatedWorkerGlobalScope, ReadableStreamDefaultReader, RequestCache, RequestInit, Response};

use super::store::Store;
use crate::channel::thrown;
use shared::catalogue::Model;

/// The cache's name. The service worker's caches are named otherwise and outlive no build; this one does.
const CACHE: &str = "atelier-weights";

/// Nobody's weights are larger; a server that sends more is cut off.
const MOST: u64 = 1 << 30;

/// The bytes of a model's weights; `tell` hears what of them is here, unchecked.
///
/// # Errors
/// A sentence, when they cannot be fetched or are not the ones that the list of models promises.
pub async fn get(scope: &DedicatedWorkerGlobalScope, model: &Model, tell: &dyn Fn(&[u8])) -> Result<Vec<u8>, String> {
    let address = format!("models/{}?sha256={}", model.file, model.sha256);
    let store = Store::open(scope, CACHE).await;
    if let Some(store) = &store
        && let Some(bytes) = store.get(&address).await
    {
        if is(model, &bytes) {
            tell(&bytes);
            return Ok(bytes);
        }
        store.forget(&address).await;
    }
    let bytes = fetch(scope, &format!("models/{}", model.file), model, tell).await?;
    if !is(model, &bytes) {
        return Err(format!(
            "the file {} is not the one that models.json promises (its SHA-256 differs), so it was not used. Reload the page to try again.",
            model.file
        ));
    }
    if let Some(store) = &store
        && let Err(error) = store.keep(&address, &bytes).await
    {
        web_sys::console::warn_2(&"The weights are not kept for the next visit:".into(), &error);
    }
    Ok(bytes)
}

/// Whether these are the weights of `model`.
fn is(model: &Model, bytes: &[u8]) -> bool {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    hex.eq_ignore_ascii_case(&model.sha256)
}

async fn fetch(
    scope: &DedicatedWorkerGlobalScope,
    address: &str,
    model: &Model,
    tell: &dyn Fn(&[u8]),
) -> Result<Vec<u8>, String> {
    let unreachable = |e: JsValue| format!("the file {} cannot be fetched: {}", model.file, thrown(&e));
    // Asked anew: the browser's own store may hold older weights of the same name.
    let options = RequestInit::new();
    options.set_cache(RequestCache::NoCache);
    let response: Response = run(scope.fetch_with_str_and_init(address, &options)).await.map_err(unreachable)?;
    if !response.ok() {
        return Err(format!("the file {} cannot be fetched: the server answers {}", model.file, response.status()));
    }
    let body = response.body().ok_or_else(|| format!("the file {} is empty", model.file))?;
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    let mut bytes = Vec::with_capacity(model.bytes.min(MOST) as usize);
    loop {
        let chunk: JsValue = run(reader.read()).await.map_err(unreachable)?;
        if Reflect::get(&chunk, &"done".into()).is_ok_and(|done| done.is_truthy()) {
            return Ok(bytes);
        }
        let value = Reflect::get(&chunk, &"value".into()).map_err(unreachable)?;
        bytes.extend(Uint8Array::new(&value).to_vec());
        if bytes.len() as u64 > model.bytes {
            return Err(format!("the file {} is larger than models.json promises, so it was not used", model.file));
        }
        tell(&bytes);
    }
}

async fn run<T: JsCast>(promise: Promise) -> Result<T, JsValue> {
    JsFuture::from(promise).await.map(JsCast::unchecked_into)
}
