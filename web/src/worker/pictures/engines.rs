//! What there is to run on, and the network that is loaded.

use std::cell::RefCell;
use std::rc::Rc;

use candle_core::Device;
use futures_util::future::try_join_all;
use shared::catalogue::Model;
use shared::checkpoint::{Checkpoint, Style};
use shared::models::ImageConfig;
use shared::session::{self, Session};
use web_sys::DedicatedWorkerGlobalScope;

use super::hand::Hand;
use crate::messages::{Choice, Engine};
use crate::worker::graphics::Graphics;
use crate::worker::tuning;

/// The engines of this browser.
pub struct Engines {
    /// The graphics card.
    pub graphics: Graphics,
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
    pub async fn find(scope: &DedicatedWorkerGlobalScope) -> Self {
        Self { graphics: Graphics::find(scope).await, loaded: RefCell::default() }
    }

    /// What `choice` means here.
    ///
    /// # Errors
    /// When the GPU is asked for and there is none.
    pub fn resolve(&self, choice: Choice) -> Result<Engine, String> {
        match (choice.wants_gpu(self.graphics.gpu().as_ref()), self.graphics.context()) {
            (true, Err(error)) => Err(format!("This browser gives no access to a graphics card. {error}")),
            (true, Ok(_)) => Ok(self.graphics.gpu().map_or_else(|| Engine::cpu(None), Engine::WebGpu)),
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
        // The old one goes first: two at once may be more than the memory holds.
        self.unload();
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
        self.unload();
        let on = match (engine, self.graphics.context()) {
            (Engine::WebGpu(_), Ok(context)) => session::Engine::WebGpu(context),
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
        let _ = self.graphics.context().map(|context| Session::warm_up(config, &context));
    }

    /// Measures how the kernels of the network that ran last are best cut, where it is the GPU's; stops when it is no longer `idle`.
    pub async fn tune(&self, scope: &DedicatedWorkerGlobalScope, idle: impl Fn() -> bool) {
        let loaded = self.loaded.borrow().clone().filter(|loaded| matches!(loaded.engine, Engine::WebGpu(_)));
        if let (Some(loaded), Ok(context)) = (loaded, self.graphics.context()) {
            tuning::measure(scope, &context, &loaded.session, &loaded.sha256, idle).await;
        }
    }

    /// Forgets the network.
    pub fn unload(&self) {
        self.loaded.take();
    }
}
