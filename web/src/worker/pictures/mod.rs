//! The worker for pictures.

mod engines;
mod enlarge;
mod hand;
mod restyle;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::ArrayBuffer;
use shared::checkpoint::Checkpoint;
use shared::picture::{Format, Picture, Region};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::DedicatedWorkerGlobalScope;

use super::{listen, pause};
use crate::channel;
use crate::messages::pictures::{FileFormat, FromWorker, Sheet, ToWorker};
use crate::messages::{Choice, Engine};
use engines::Engines;

/// JPEG quality: at 92 the artefacts of JPEG stay below what the enlargement added.
const JPEG_QUALITY: u8 = 92;

/// Rows of a picture that are sent at a time: all of a large one would be 400 MB once more.
const BAND: usize = 512;

/// After so long without a message, nobody waits for anything.
const IDLE_MS: i32 = 2_000;

/// What the worker keeps between messages.
pub struct State {
    scope: DedicatedWorkerGlobalScope,
    engines: Engines,
    picture: RefCell<Option<Rc<Picture>>>,
    result: RefCell<Option<Picture>>,
    /// The network that takes any style, with those that it has taken.
    adopted: RefCell<Option<Rc<Checkpoint>>>,
    /// The enlargement that is wanted; 0 for none. What runs under another number stops at its next tile.
    wanted: Cell<u32>,
    /// Whether the page has lost what is being enlarged and needs it again.
    redraw: Cell<bool>,
    /// How many messages have come.
    heard: Cell<u64>,
}

impl State {
    fn send(&self, message: &FromWorker, buffer: Option<ArrayBuffer>) {
        if let Err(error) = channel::send(&self.scope, message, buffer) {
            // Only a page that is gone cannot be posted to.
            web_sys::console::error_2(&"The worker cannot answer:".into(), &error);
        }
    }

    async fn handle(self: Rc<Self>, message: ToWorker, buffer: Option<ArrayBuffer>) {
        self.heard.set(self.heard.get() + 1);
        match message {
            ToWorker::Open { job } => self.open(job, Picture::decode(&bytes(buffer))),
            ToWorker::OpenPixels { job, width, height } => self.open(job, Picture::from_rgba8(width, height, bytes(buffer))),
            ToWorker::Enlarge { job, model, engine, workers } => {
                self.wanted.set(job);
                match enlarge::run(&self, job, &model, engine, workers).await {
                    Ok(()) => self.tune().await,
                    Err(message) => self.send(&FromWorker::Failed { job, message }, None),
                }
            }
            ToWorker::Styles { job, model, engine } => {
                if let Err(message) = restyle::styles(&self, job, &model, engine).await {
                    self.send(&FromWorker::Failed { job, message }, None);
                }
            }
            ToWorker::Adopt { job, model, style } => {
                if let Err(message) = restyle::adopt_style(&self, job, &model, style, buffer).await {
                    self.send(&FromWorker::Failed { job, message }, None);
                }
            }
            ToWorker::Restyle { job, model, engine, wish } => {
                match restyle::run(&self, job, &model, engine, &wish, buffer).await {
                    Ok(()) => self.tune().await,
                    Err(message) => self.send(&FromWorker::Failed { job, message }, None),
                }
            }
            ToWorker::Stop => self.wanted.set(0),
            ToWorker::Encode { job, format } => self.encode(job, format),
            ToWorker::Redraw { job, sheet } => self.redraw(job, sheet),
            ToWorker::Forget => {
                self.wanted.set(0);
                self.picture.take();
                self.result.take();
            }
        }
    }

    /// Has `attempt` run on what `choice` means; it is told whether the GPU was lost by one before. A GPU that is lost is asked for again,
    /// once: a picture that ends every device must end too. Where the person left the choice to us, one that fails is no reason to
    /// stop, and the processor does it.
    ///
    /// # Errors
    /// A sentence for the person.
    async fn on_engine<T>(&self, choice: Choice, attempt: impl AsyncFn(&Engine, bool) -> shared::Result<T>) -> Result<T, String> {
        let mut engine = self.engines.resolve(choice)?;
        let mut again = false;
        loop {
            let error = match attempt(&engine, again).await {
                Err(error @ (shared::Error::Gpu(_) | shared::Error::Memory(_))) if matches!(engine, Engine::WebGpu(_)) => {
                    error.to_string()
                }
                other => return other.map_err(|e| e.to_string()),
            };
            self.engines.unload();
            if !again && let Some(why) = self.engines.graphics.recover(&self.scope).await {
                self.send(&FromWorker::Ready { gpu: self.engines.graphics.gpu() }, None);
                engine = match self.engines.resolve(choice)? {
                    // A browser that lost its GPU may offer a program instead.
                    Engine::Cpu { .. } => Engine::cpu(Some(why)),
                    gpu @ Engine::WebGpu(_) => {
                        again = true;
                        gpu
                    }
                };
            } else if choice == Choice::Auto {
                (engine, again) = (Engine::cpu(Some(error)), false);
            } else if self.engines.graphics.lost().is_some() {
                return Err(format!(
                    "The graphics card was lost and the browser gives no other ({error}). Choose the processor under “Runs on”, or \
                     restart the browser."
                ));
            } else {
                return Err(error);
            }
        }
    }

    /// Measures the GPU, unless somebody asks for something.
    async fn tune(&self) {
        let heard = self.heard.get();
        let idle = || self.heard.get() == heard;
        if pause(&self.scope, IDLE_MS).await.is_ok() && idle() {
            self.engines.tune(&self.scope, idle).await;
        }
    }

    fn open(&self, job: u32, picture: shared::Result<Picture>) {
        self.wanted.set(0);
        match picture {
            Ok(picture) => {
                self.result.take();
                let (width, height, alpha) = (picture.width(), picture.height(), picture.has_alpha());
                let pixels = channel::buffer(&picture.to_rgba8());
                *self.picture.borrow_mut() = Some(Rc::new(picture));
                self.send(&FromWorker::Opened { job, width, height, alpha }, Some(pixels));
            }
            Err(error) => self.send(&FromWorker::Failed { job, message: error.to_string() }, None),
        }
    }

    fn redraw(&self, job: u32, sheet: Sheet) {
        let (picture, result) = (self.picture.borrow(), self.result.borrow());
        match (sheet, &*picture, &*result) {
            (Sheet::Picture, Some(picture), _) => self.show(job, sheet, picture, bands(picture)),
            (Sheet::Result, _, Some(result)) => self.show(job, sheet, result, bands(result)),
            // It is still being enlarged, if at all.
            (Sheet::Result, _, None) => self.redraw.set(true),
            (Sheet::Picture, None, _) => {}
        }
    }

    /// Sends regions of a picture that the page has lost.
    fn show(&self, job: u32, sheet: Sheet, picture: &Picture, regions: impl IntoIterator<Item = Region>) {
        for Region { x, y, width, height } in regions {
            let pixels = channel::buffer(&picture.region_rgba8(x, y, width, height));
            self.send(&FromWorker::Redrawn { job, sheet, x, y, width, height }, Some(pixels));
        }
    }

    fn encode(&self, job: u32, format: FileFormat) {
        let format = match format {
            FileFormat::Png => Format::Png,
            FileFormat::Jpeg => Format::Jpeg { quality: JPEG_QUALITY },
            FileFormat::WebP => Format::WebP,
        };
        let encoded = match self.result.borrow().as_ref() {
            Some(result) => result.encode(format).map_err(|e| e.to_string()),
            None => Err("there is no enlarged picture to save".into()),
        };
        match encoded {
            Ok(file) => self.send(&FromWorker::Encoded { job }, Some(channel::buffer(&file))),
            Err(message) => self.send(&FromWorker::Failed { job, message }, None),
        }
    }
}

fn bands(picture: &Picture) -> impl Iterator<Item = Region> {
    let (width, height) = (picture.width(), picture.height());
    (0..height).step_by(BAND).map(move |y| Region { x: 0, y, width, height: BAND.min(height - y) })
}

fn bytes(buffer: Option<ArrayBuffer>) -> Vec<u8> {
    buffer.map(|buffer| channel::bytes(&buffer)).unwrap_or_default()
}

/// Looks for a GPU, then listens; a hand only listens.
pub fn start() {
    console_error_panic_hook::set_once();
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    if hand::is_one(&scope) {
        return hand::serve(scope);
    }
    spawn_local(async move {
        let engines = Engines::find(&scope).await;
        let gpu = engines.graphics.gpu();
        let state = Rc::new(State {
            scope: scope.clone(),
            engines,
            picture: RefCell::default(),
            result: RefCell::default(),
            adopted: RefCell::default(),
            wanted: Cell::default(),
            redraw: Cell::default(),
            heard: Cell::default(),
        });
        let listener = state.clone();
        listen(&scope, move |message, buffer| spawn_local(listener.clone().handle(message, buffer)));
        state.send(&FromWorker::Ready { gpu }, None);
    });
}
