//! More hands: workers of the worker, that compute tiles of its picture on the CPU.
//!
//! Each is the same program with a memory and a network of its own, so nothing is shared and no header of the server is needed
//! for that. What one is asked it answers, one after the other.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use candle_core::Device;
use futures_channel::oneshot;
use js_sys::{ArrayBuffer, Float32Array};
use shared::checkpoint::Checkpoint;
use shared::session::{Engine, Session};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{DedicatedWorkerGlobalScope, ErrorEvent, MessageEvent, Worker, WorkerOptions, WorkerType};

use crate::channel::{self, PICTURES, thrown};
use crate::messages::pictures::{FromHand, ToHand};

/// The name of such a worker, by which it knows what it is.
const NAME: &str = "hand";

type Answer = Result<Option<ArrayBuffer>, String>;

/// Questions without an answer so far; `Err` when there will be none any more.
type Waiting = Rc<RefCell<Result<VecDeque<oneshot::Sender<Answer>>, String>>>;

/// A worker that computes tiles. It ends when this is dropped.
pub struct Hand {
    worker: Worker,
    waiting: Waiting,
    /// Its first word, before which it hears nothing.
    ready: RefCell<Option<oneshot::Receiver<Answer>>>,
}

impl Hand {
    /// Starts one.
    ///
    /// # Errors
    /// Where the browser has no workers of workers.
    pub fn start() -> Result<Self, String> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        options.set_name(NAME);
        let worker = Worker::new_with_options(PICTURES, &options).map_err(|e| thrown(&e))?;
        let (first, ready) = oneshot::channel();
        let waiting: Waiting = Rc::new(RefCell::new(Ok(VecDeque::from([first]))));
        let asked = waiting.clone();
        let heard = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            let answer = match channel::receive(&event) {
                Ok((FromHand::Done, buffer)) => Ok(buffer),
                Ok((FromHand::Failed { message }, _)) => Err(message),
                Err(error) => Err(thrown(&error)),
            };
            if let Some(sender) = asked.borrow_mut().as_mut().ok().and_then(VecDeque::pop_front) {
                // Nobody waits for the tile of a picture that was stopped.
                let _ = sender.send(answer);
            }
        });
        let asked = waiting.clone();
        let died = Closure::<dyn FnMut(ErrorEvent)>::new(move |event: ErrorEvent| {
            // Or it would count as an error of this worker too, and the page would end it.
            event.prevent_default();
            // Dropping the senders tells those who wait.
            *asked.borrow_mut() = Err(event.message());
        });
        // They are the worker's, not ours: its error may be on the way when we drop it, and needs a listener that prevents it.
        worker.set_onmessage(Some(heard.into_js_value().unchecked_ref()));
        worker.set_onerror(Some(died.into_js_value().unchecked_ref()));
        Ok(Self { worker, waiting, ready: RefCell::new(Some(ready)) })
    }

    /// Gives it a network, a checkpoint's bytes.
    ///
    /// # Errors
    /// A sentence, when it does not start or cannot load it.
    pub async fn load(&self, checkpoint: &[u8]) -> Result<(), String> {
        let ready = self.ready.take();
        if let Some(ready) = ready {
            self.answer(ready).await?;
        }
        self.ask(&ToHand::Load, channel::buffer(checkpoint)).await.map(drop)
    }

    /// As [`Session::forward`].
    ///
    /// # Errors
    /// A sentence, when the network fails or the worker has died.
    pub async fn forward(&self, input: &[f32], height: usize, width: usize) -> Result<Vec<f32>, String> {
        let output = self.ask(&ToHand::Forward { height, width }, Float32Array::from(input).buffer()).await?;
        output.map(|output| Float32Array::new(&output).to_vec()).ok_or_else(|| "an answer without a tile".into())
    }

    async fn ask(&self, question: &ToHand, buffer: ArrayBuffer) -> Answer {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().as_mut().map_err(|why| why.clone())?.push_back(sender);
        channel::send(&self.worker, question, Some(buffer)).map_err(|e| thrown(&e))?;
        self.answer(receiver).await
    }

    async fn answer(&self, receiver: oneshot::Receiver<Answer>) -> Answer {
        let died = |_| Err(self.waiting.borrow().as_ref().err().cloned().unwrap_or_default());
        receiver.await.unwrap_or_else(died)
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.worker.terminate();
    }
}

/// Whether this worker is one.
pub fn is_one(scope: &DedicatedWorkerGlobalScope) -> bool {
    scope.name() == NAME
}

/// Listens, as one.
pub fn serve(scope: DedicatedWorkerGlobalScope) {
    let network = Rc::new(RefCell::new(None));
    let port = scope.clone();
    let heard = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let (network, port) = (network.clone(), port.clone());
        spawn_local(async move {
            match work(&network, &event).await {
                Ok(output) => say(&port, &FromHand::Done, output),
                Err(message) => say(&port, &FromHand::Failed { message }, None),
            }
        });
    });
    scope.set_onmessage(Some(heard.as_ref().unchecked_ref()));
    heard.forget();
    say(&scope, &FromHand::Done, None);
}

async fn work(network: &RefCell<Option<Rc<Session>>>, event: &MessageEvent) -> Answer {
    let (question, buffer) = channel::receive(event).map_err(|e| thrown(&e))?;
    let buffer = buffer.ok_or("a question without its data")?;
    match question {
        ToHand::Load => {
            let session = Checkpoint::from_bytes(&channel::bytes(&buffer))
                .and_then(|checkpoint| Session::new(&checkpoint, Engine::Candle(Device::Cpu)));
            *network.borrow_mut() = Some(Rc::new(session.map_err(|e| e.to_string())?));
            Ok(None)
        }
        ToHand::Forward { height, width } => {
            let session = network.borrow().clone().ok_or("there is no network")?;
            let output = session.forward(&Float32Array::new(&buffer).to_vec(), height, width).await;
            Ok(Some(Float32Array::from(output.map_err(|e| e.to_string())?.as_slice()).buffer()))
        }
    }
}

fn say(port: &DedicatedWorkerGlobalScope, answer: &FromHand, buffer: Option<ArrayBuffer>) {
    if let Err(error) = channel::send(port, answer, buffer) {
        web_sys::console::error_2(&JsValue::from_str("A worker cannot answer:"), &error);
    }
}
