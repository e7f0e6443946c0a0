//! The graphics card, and another one when it is lost.

use std::cell::RefCell;
use std::sync::Arc;

use shared::engine::webgpu::Context;
use web_sys::DedicatedWorkerGlobalScope;

use super::{pause, tuning};
use crate::messages::Gpu;

/// How often a lost GPU is asked for again, and after how long. A browser restarts its GPU process in about half a second.
const RETRIES: usize = 8;
const RETRY_MS: i32 = 250;

/// What the browser gives of a graphics card.
pub struct Graphics(RefCell<Result<Arc<Context>, String>>);

impl Graphics {
    /// Asks the browser for one.
    pub async fn find(scope: &DedicatedWorkerGlobalScope) -> Self {
        Self(open(scope).await.map_err(|e| e.to_string()).into())
    }

    /// The device, or why there is none.
    ///
    /// # Errors
    /// A sentence.
    pub fn context(&self) -> Result<Arc<Context>, String> {
        self.0.borrow().clone()
    }

    /// For the page.
    pub fn gpu(&self) -> Option<Gpu> {
        let context = self.context().ok()?;
        let adapter = context.adapter();
        Some(Gpu { name: adapter.name.clone(), software: adapter.software })
    }

    /// Why the device was lost: its driver was restarted, or the browser took it away. `None` when it was not.
    pub fn lost(&self) -> Option<String> {
        self.context().ok()?.lost()
    }

    /// Opens it again where it was lost, and says why it was; `None` when it was not, or when there is no other.
    pub async fn recover(&self, scope: &DedicatedWorkerGlobalScope) -> Option<String> {
        for _ in 0..RETRIES {
            // First a pause: what failed may be known before its cause.
            pause(scope, RETRY_MS).await.ok()?;
            let why = self.lost()?;
            match open(scope).await {
                Ok(context) => {
                    *self.0.borrow_mut() = Ok(context);
                    return Some(why);
                }
                Err(error) => web_sys::console::warn_1(&error.to_string().into()),
            }
        }
        None
    }
}

/// A device that knows what was measured on earlier visits.
async fn open(scope: &DedicatedWorkerGlobalScope) -> shared::Result<Arc<Context>> {
    let context = Context::new().await?;
    tuning::recall(scope, &context).await;
    Ok(context)
}
