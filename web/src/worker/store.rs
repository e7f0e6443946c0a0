//! What is kept for the next visit, in the Cache API.

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Cache, CacheStorage, DedicatedWorkerGlobalScope, Response};

/// Bytes by address.
pub struct Store(Cache);

impl Store {
    /// The one of that name; `None` where the browser has none: at an insecure address, in some private windows.
    pub async fn open(scope: &DedicatedWorkerGlobalScope, name: &str) -> Option<Self> {
        // Absent, not only failing, where the address is insecure.
        let caches = Reflect::get(scope, &"caches".into()).ok()?.dyn_into::<CacheStorage>().ok()?;
        JsFuture::from(caches.open(name)).await.ok()?.dyn_into().ok().map(Self)
    }

    /// What is kept under `address`.
    pub async fn get(&self, address: &str) -> Option<Vec<u8>> {
        let response: Response = JsFuture::from(self.0.match_with_str(address)).await.ok()?.dyn_into().ok()?;
        let buffer = JsFuture::from(response.array_buffer().ok()?).await.ok()?;
        Some(Uint8Array::new(&buffer).to_vec())
    }

    /// Deletes what is kept under `address`.
    pub async fn forget(&self, address: &str) {
        // What cannot be deleted is refused again next time.
        let _ = JsFuture::from(self.0.delete_with_str(address)).await;
    }

    /// Keeps `bytes` under `address`.
    ///
    /// # Errors
    /// What the browser throws when there is no room.
    pub async fn keep(&self, address: &str, bytes: &[u8]) -> Result<(), JsValue> {
        let response = Response::new_with_opt_js_u8_array(Some(&Uint8Array::from(bytes)))?;
        JsFuture::from(self.0.put_with_str(address, &response)).await.map(drop)
    }
}
