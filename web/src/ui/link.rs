//! The worker, as the page sees it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::ArrayBuffer;
use wasm_bindgen::JsValue;
use web_sys::{ErrorEvent, MessageEvent, Worker, WorkerOptions, WorkerType};

use super::dom::{on, warn};
use crate::channel::{self, WORKER};
use crate::messages::{FromWorker, ToWorker};

/// A worker that can be started again.
pub struct Link {
    worker: RefCell<Worker>,
    /// Whether the worker listens; until then messages wait.
    ready: Cell<bool>,
    waiting: RefCell<Vec<(ToWorker, Option<ArrayBuffer>)>>,
}

/// What the worker does.
pub enum Event {
    /// It says something.
    Message(FromWorker, Option<ArrayBuffer>),
    /// It died, e.g. for want of memory.
    Lost(String),
}

impl Link {
    /// Starts a worker; `listener` hears of it.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn new(listener: Rc<dyn Fn(Event)>) -> Result<Self, JsValue> {
        Ok(Self { worker: RefCell::new(spawn(listener)?), ready: Cell::default(), waiting: RefCell::default() })
    }

    /// Ends the worker and starts a new one.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn restart(&self, listener: Rc<dyn Fn(Event)>) -> Result<(), JsValue> {
        self.worker.borrow().terminate();
        self.ready.set(false);
        self.waiting.take();
        *self.worker.borrow_mut() = spawn(listener)?;
        Ok(())
    }

    /// The worker listens now.
    pub fn set_ready(&self) {
        self.ready.set(true);
        for (message, buffer) in self.waiting.take() {
            self.send(message, buffer);
        }
    }

    /// Sends a message, when the worker listens.
    pub fn send(&self, message: ToWorker, buffer: Option<ArrayBuffer>) {
        if !self.ready.get() {
            self.waiting.borrow_mut().push((message, buffer));
        } else if let Err(error) = channel::send(&*self.worker.borrow(), &message, buffer) {
            warn("The worker cannot be told:", &error);
        }
    }
}

fn spawn(listener: Rc<dyn Fn(Event)>) -> Result<Worker, JsValue> {
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    let worker = Worker::new_with_options(WORKER, &options)?;
    let heard = listener.clone();
    on(&worker, "message", move |event: MessageEvent| match channel::receive(&event) {
        Ok((message, buffer)) => heard(Event::Message(message, buffer)),
        Err(error) => warn("The page cannot read a message:", &error),
    });
    on(&worker, "error", move |event: ErrorEvent| listener(Event::Lost(event.message())));
    Ok(worker)
}
