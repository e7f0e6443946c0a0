//! How kernels are best cut on this graphics card: measured while nobody waits, and kept for the next visit.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::engine::webgpu::{Context, Tuning};
use shared::session::Session;
use web_sys::DedicatedWorkerGlobalScope;

use super::store::Store;

const STORE: &str = "atelier-tuning";

/// Goes up when kernels change, so that they are measured anew.
const KERNELS: u32 = 1;

/// A measurement that ends the page, or is never waited for, is tried so often.
const ATTEMPTS: u32 = 3;

/// What is kept of an adapter.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    tuning: Tuning,
    /// By the hash of a network's weights, how often it was begun to be measured and not finished; `None`: it is finished.
    networks: BTreeMap<String, Option<u32>>,
}

impl Kept {
    async fn read(store: &Store, address: &str) -> Self {
        let bytes = store.get(address).await;
        // What another version wrote is as good as nothing.
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    async fn write(&self, store: &Store, address: &str) {
        let Ok(json) = serde_json::to_vec(self) else { return };
        // Without room it is measured again next time.
        let _ = store.keep(address, &json).await;
    }
}

fn address(context: &Context) -> String {
    let name = js_sys::encode_uri_component(&context.adapter().name);
    format!("tuning/{KERNELS}/{name}/{:?}", context.precision())
}

/// Tells `context` what was measured on earlier visits.
pub async fn recall(scope: &DedicatedWorkerGlobalScope, context: &Context) {
    if let Some(store) = Store::open(scope, STORE).await {
        context.learn(&Kept::read(&store, &address(context)).await.tuning);
    }
}

/// Measures the network of `session`, which ran on `context` and has the weights of `sha256`, unless that was done before; stops
/// when it is no longer `idle`, to go on another time.
pub async fn measure(
    scope: &DedicatedWorkerGlobalScope,
    context: &Context,
    session: &Session,
    sha256: &str,
    idle: impl Fn() -> bool,
) {
    // A program that pretends to be a graphics card is not worth it, and without a place to keep it, it would be measured every time.
    if context.adapter().software {
        return;
    }
    let Some(store) = Store::open(scope, STORE).await else { return };
    let address = address(context);
    let mut kept = Kept::read(&store, &address).await;
    let attempts = kept.networks.entry(sha256.to_owned()).or_insert(Some(0));
    let Some(begun) = attempts.filter(|&begun| begun < ATTEMPTS) else { return };
    *attempts = Some(begun + 1);
    // Now, because a driver that crashes takes the page with it.
    kept.write(&store, &address).await;
    let finished = Cell::new(true);
    let go_on = || {
        finished.set(idle());
        finished.get()
    };
    match session.tune(go_on).await {
        Ok(trials) => {
            let text = format!("{} ways to cut the kernels were measured", trials.len());
            web_sys::console::debug_1(&text.into());
            kept.tuning = context.tuning();
            // Who only stopped it did not crash it.
            kept.networks.insert(sha256.to_owned(), if finished.get() { None } else { Some(begun) });
            kept.write(&store, &address).await;
        }
        Err(error) => web_sys::console::warn_1(&format!("The graphics card cannot be measured: {error}").into()),
    }
}
