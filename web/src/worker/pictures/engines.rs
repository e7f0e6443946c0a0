//! What there is to run on, and the network that is loaded.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use candle_core::Device;
use futures_util::future::try_join_all;
use shared::catalogue::Model;
use shared::checkpoint::{Checkpoint, Style};
use shared::engine::webgpu::Context;
use shared::models::ImageConfig;
use shared::session::{self, Session};
use web_sys::DedicatedWorkerGlobalScope;

use super::hand::Hand;
use crate::messages::{Choice, Engine, Gpu};
use crate::worker::{gpu, pause};

/// How often a lost GPU is asked for again, and after how long. A browser restarts its GPU process in about half a second.
const RETRIES: usize = 8;
const RETRY_MS: i32 = 250;

/// The engines of this browser.
pub struct Engines {
    context: RefCell<Result<Arc<Context>, String>>,
    /// The network that ran last, by the hash of its weights: a second picture finds it, and on the GPU its plans, in place.
    loaded: RefCell<Option<Rc<Loaded>>>,
}

/// A network that is loaded.
pub struct Loaded {
    sha256: String,
    engine: Engine,
    /// What its styles are called, where it has many.
    pub styles: Vec<Style>,
    /// Here.
    pub session: Session,
    /// The file, for more hands.
    pub checkpoint: Vec<u8>,
    hands: RefCell<Vec<Rc<Hand>>>,
}

impl Loaded {
    /// `count` workers that have this network too.
    ///
    /// # Errors
    /// A sentence, when they do not start.
    pub async fn hands(&self, count: usize) -> Result<Vec<Rc<Hand>>, String> {
        let there = self.hands.borrow().len();
        let more = (there..count).map(|_| Hand::start().map(Rc::new)).collect::<Result<Vec<_>, _>>()?;
        try_join_all(more.iter().map(|hand| hand.load(&self.checkpoint))).await?;
        let mut hands = self.hands.borrow_mut();
        hands.extend(more);
        Ok(hands.iter().take(count).cloned().collect())
    }

    /// Ends the workers.
    pub fn dismiss(&self) {
        self.hands.take();
    }
}

impl Engines {
    /// Asks the browser for a GPU.
    pub async fn find() -> Self {
        let context = Context::new().await.map_err(|e| e.to_string());
        Self { context: context.into(), loaded: RefCell::default() }
    }

    /// Opens the GPU again where its device was lost: its driver was restarted, or the browser took it away. Says why it was
    /// lost; `None` when it was not, or when there is no other.
    pub async fn recover(&self, scope: &DedicatedWorkerGlobalScope) -> Option<String> {
        for _ in 0..RETRIES {
            // First a pause: what failed may be known before its cause.
            pause(scope, RETRY_MS).await.ok()?;
            let why = self.why_lost()?;
            match Context::new().await {
                Ok(context) => {
                    *self.context.borrow_mut() = Ok(context);
                    return Some(why);
                }
                Err(error) => web_sys::console::warn_1(&error.to_string().into()),
            }
        }
        None
    }

    /// Whether there was a GPU that is gone.
    pub fn lost(&self) -> bool {
        self.why_lost().is_some()
    }

    fn why_lost(&self) -> Option<String> {
        self.context.borrow().as_ref().ok()?.lost()
    }

    /// The GPU.
    pub fn gpu(&self) -> Option<Gpu> {
        gpu(&self.context.borrow())
    }

    /// What `choice` means here.
    ///
    /// # Errors
    /// When the GPU is asked for and there is none.
    pub fn resolve(&self, choice: Choice) -> Result<Engine, String> {
        match (choice.wants_gpu(self.gpu().as_ref()), &*self.context.borrow()) {
            (true, Err(error)) => Err(format!("This browser gives no access to a graphics card. {error}")),
            (true, Ok(_)) => Ok(self.gpu().map_or_else(|| Engine::cpu(None), Engine::WebGpu)),
            (false, _) => Ok(Engine::cpu(None)),
        }
    }

    /// The network with the weights of `sha256` on `engine`, if it is still there.
    pub fn loaded(&self, sha256: &str, engine: &Engine) -> Option<Rc<Loaded>> {
        self.loaded.borrow().clone().filter(|loaded| loaded.sha256 == sha256 && loaded.engine.name() == engine.name())
    }

    /// Loads a network.
    ///
    /// # Errors
    /// A sentence, when the weights do not fit or the GPU refuses.
    pub fn load(&self, model: &Model, bytes: Vec<u8>, engine: &Engine) -> shared::Result<Rc<Loaded>> {
        let checkpoint = Checkpoint::from_bytes(&bytes)?;
        let scale = checkpoint.image()?.scale();
        if scale != model.scale {
            let why = format!("{} enlarges by {scale}, models.json says {}", model.file, model.scale);
            return Err(shared::Error::Checkpoint(why));
        }
        self.open(model.sha256.clone(), &checkpoint, bytes, engine)
    }

    /// Loads `checkpoint`, to be found again as `sha256`; `bytes` are its file's, for more hands.
    ///
    /// # Errors
    /// As [`Engines::load`].
    pub fn open(&self, sha256: String, checkpoint: &Checkpoint, bytes: Vec<u8>, engine: &Engine) -> shared::Result<Rc<Loaded>> {
        // The old one goes first: two at once may be more than the memory holds.
        self.loaded.take();
        let on = match (engine, &*self.context.borrow()) {
            (Engine::WebGpu(_), Ok(context)) => session::Engine::WebGpu(context.clone()),
            _ => session::Engine::Candle(Device::Cpu),
        };
        let session = Session::new(checkpoint, on)?;
        let (engine, styles, hands) = (engine.clone(), checkpoint.metadata.styles.clone(), RefCell::default());
        let loaded = Rc::new(Loaded { sha256, engine, styles, session, checkpoint: bytes, hands });
        *self.loaded.borrow_mut() = Some(loaded.clone());
        Ok(loaded)
    }

    /// Has the GPU compile what the network of `config` runs.
    pub fn warm_up(&self, config: &ImageConfig) {
        // What fails here fails again, and is reported, when the network is loaded.
        let _ = self.context.borrow().as_ref().map(|context| Session::warm_up(config, context));
    }

    /// Forgets the network.
    pub fn unload(&self) {
        self.loaded.take();
    }
}
