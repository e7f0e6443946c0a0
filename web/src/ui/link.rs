//! The worker, as the page sees it.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::rc::Rc;

use js_sys::ArrayBuffer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;
use web_sys::{ErrorEvent, MessageEvent, Worker, WorkerOptions, WorkerType};

use super::dom::{on, warn};
use crate::channel;

/// A worker that can be started again, and what is said to it and by it.
pub struct Link<To, From> {
    loader: &'static str,
    worker: RefCell<Worker>,
    /// Whether the worker listens; until then messages wait.
    ready: Cell<bool>,
    waiting: RefCell<Vec<(To, Option<ArrayBuffer>)>>,
    says: PhantomData<From>,
}

/// What the worker does.
pub enum Event<From> {
    /// It says something.
    Message(From, Option<ArrayBuffer>),
    /// It died, e.g. for want of memory.
    Lost(String),
}

impl<To: Serialize, From: DeserializeOwned + 'static> Link<To, From> {
    /// Starts the worker that `loader` loads; `listener` hears of it.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn new(loader: &'static str, listener: Rc<dyn Fn(Event<From>)>) -> Result<Self, JsValue> {
        let worker = RefCell::new(spawn(loader, listener)?);
        Ok(Self { loader, worker, ready: Cell::default(), waiting: RefCell::default(), says: PhantomData })
    }

    /// Ends the worker and starts a new one.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn restart(&self, listener: Rc<dyn Fn(Event<From>)>) -> Result<(), JsValue> {
        self.worker.borrow().terminate();
        self.ready.set(false);
        self.waiting.take();
        *self.worker.borrow_mut() = spawn(self.loader, listener)?;
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
    pub fn send(&self, message: To, buffer: Option<ArrayBuffer>) {
        if !self.ready.get() {
            self.waiting.borrow_mut().push((message, buffer));
        } else if let Err(error) = channel::send(&*self.worker.borrow(), &message, buffer) {
            warn("The worker cannot be told:", &error);
        }
    }
}

fn spawn<From: DeserializeOwned + 'static>(loader: &str, listener: Rc<dyn Fn(Event<From>)>) -> Result<Worker, JsValue> {
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    let worker = Worker::new_with_options(loader, &options)?;
    let heard = listener.clone();
    on(&worker, "message", move |event: MessageEvent| match channel::receive(&event) {
        Ok((message, buffer)) => heard(Event::Message(message, buffer)),
        Err(error) => warn("The page cannot read a message:", &error),
    });
    on(&worker, "error", move |event: ErrorEvent| listener(Event::Lost(event.message())));
    Ok(worker)
}
