//! The worker for sentences.

mod engine;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use shared::catalogue::Model;
use shared::checkpoint::Checkpoint;
use shared::pipeline::translate::{Translation, Translator};
use shared::text::Piece;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::DedicatedWorkerGlobalScope;

use super::graphics::Graphics;
use super::{breathe, listen, now, weights};
use crate::channel::{self, thrown};
use crate::language;
use crate::messages::sentences::{self, Alternative, FromWorker, ToWorker};
use crate::messages::{Choice, Engine};
use engine::Network;

/// How often the page hears of a sentence at work, and can stop it, in milliseconds.
const BREATH: f64 = 40.0;

/// Sentences whose translations are kept: who types on wants only the last one translated again.
const KEPT: usize = 500;

/// What the worker keeps between messages.
struct State {
    scope: DedicatedWorkerGlobalScope,
    graphics: Graphics,
    loaded: RefCell<Option<Rc<Loaded>>>,
    /// The text that is wanted; 0 for none. What runs under another number stops.
    wanted: Cell<u32>,
}

/// A network, and what it has translated.
struct Loaded {
    sha256: String,
    choice: Choice,
    /// What `choice` means: where it was left to us, what is faster.
    engine: RefCell<Engine>,
    network: Network,
    done: RefCell<HashMap<String, Vec<Alternative>>>,
}

impl Loaded {
    fn on_gpu(&self) -> bool {
        matches!(*self.engine.borrow(), Engine::WebGpu(_))
    }

    fn keep(&self, sentence: &str, alternatives: &[Alternative]) {
        let mut done = self.done.borrow_mut();
        if done.len() >= KEPT {
            done.clear();
        }
        done.insert(sentence.to_owned(), alternatives.to_vec());
    }
}

impl State {
    fn send(&self, message: &FromWorker) {
        if let Err(error) = channel::send(&self.scope, message, None) {
            // Only a page that is gone cannot be posted to.
            web_sys::console::error_2(&"The worker cannot answer:".into(), &error);
        }
    }

    async fn handle(self: Rc<Self>, message: ToWorker) {
        match message {
            ToWorker::Translate { job, model, engine, text } => {
                self.wanted.set(job);
                match self.translate(job, &model, engine, &text).await {
                    Ok(Some(done)) => self.send(&done),
                    Ok(None) => self.send(&FromWorker::Stopped { job }),
                    Err(message) => self.send(&FromWorker::Failed { job, message }),
                }
            }
            ToWorker::Detect { job, text, languages } => {
                if let Some(language) = language::detect(&text, &languages) {
                    self.send(&FromWorker::Detected { job, language: language.to_owned() });
                }
            }
            ToWorker::Stop => self.wanted.set(0),
        }
    }

    /// The last word about it; `None` when stopped.
    async fn translate(&self, job: u32, model: &Model, choice: Choice, text: &str) -> Result<Option<FromWorker>, String> {
        let mut loaded = self.load(job, model, choice).await?;
        let pieces = loaded.network.translator.pieces(text).map_err(|e| e.to_string())?;
        let told = pieces.iter().map(|&piece| match piece {
            Piece::Sentence(text) => sentences::Piece { text: text.to_owned(), sentence: true },
            Piece::Between(text) => sentences::Piece { text: text.to_owned(), sentence: false },
        });
        self.send(&FromWorker::Started { job, pieces: told.collect() });
        let (begin, mut words) = (now(&self.scope), 0);
        for (piece, part) in pieces.iter().enumerate() {
            let &Piece::Sentence(sentence) = part else { continue };
            breathe(&self.scope).await.map_err(|e| thrown(&e))?;
            let known = loaded.done.borrow().get(sentence).cloned();
            let alternatives = match known {
                Some(known) => known,
                None => match self.sentence(job, piece, sentence, (model, choice), &mut loaded).await {
                    Ok(Some(alternatives)) => {
                        words += alternatives.first().map_or(0, |best| best.target.len());
                        loaded.keep(sentence, &alternatives);
                        alternatives
                    }
                    Ok(None) => return Ok(None),
                    Err(error) => {
                        self.send(&FromWorker::Skipped { job, piece, message: error.to_string() });
                        continue;
                    }
                },
            };
            if self.wanted.get() != job {
                return Ok(None);
            }
            self.send(&FromWorker::Sentence { job, piece, alternatives });
        }
        let engine = loaded.engine.borrow().clone();
        Ok(Some(FromWorker::Done { job, seconds: (now(&self.scope) - begin) / 1e3, words, engine }))
    }

    /// The translations of a sentence; `None` when stopped. A graphics card that is lost is looked for again.
    async fn sentence(
        &self,
        job: u32,
        piece: usize,
        sentence: &str,
        (model, choice): (&Model, Choice),
        loaded: &mut Rc<Loaded>,
    ) -> shared::Result<Option<Vec<Alternative>>> {
        let mut written = self.write(job, piece, sentence, loaded).await;
        if matches!(written, Err(shared::Error::Gpu(_))) && self.graphics.recover(&self.scope).await.is_some() {
            self.send(&FromWorker::Ready { gpu: self.graphics.gpu() });
            // The network was on the device that is gone.
            self.loaded.take();
            *loaded = self.load(job, model, choice).await.map_err(shared::Error::Gpu)?;
            written = self.write(job, piece, sentence, loaded).await;
        }
        match written {
            Err(error @ (shared::Error::Gpu(_) | shared::Error::Memory(_))) if choice == Choice::Auto && loaded.on_gpu() => {
                // Where the person left the choice to us, a GPU that fails is no reason to stop.
                *loaded.engine.borrow_mut() = Engine::cpu(Some(error.to_string()));
                self.write(job, piece, sentence, loaded).await
            }
            other => other,
        }
    }

    /// The same on what it is to run on.
    async fn write(&self, job: u32, piece: usize, sentence: &str, loaded: &Loaded) -> shared::Result<Option<Vec<Alternative>>> {
        let translator = &loaded.network.translator;
        let mut writing = loaded.network.begin(sentence, loaded.on_gpu())?;
        let mut breath = now(&self.scope);
        while writing.step().await? {
            // At once: the next text may already be at work with what the GPU holds.
            if self.wanted.get() != job {
                return Ok(None);
            }
            if now(&self.scope) - breath < BREATH {
                continue;
            }
            if let Some(best) = writing.best() {
                let text = translator.tokenizer().decode(&best.words)?;
                self.send(&FromWorker::Partial { job, piece, text });
            }
            breathe(&self.scope).await.map_err(|e| shared::Error::Text(thrown(&e)))?;
            if self.wanted.get() != job {
                return Ok(None);
            }
            breath = now(&self.scope);
        }
        let mut alternatives: Vec<Alternative> = Vec::new();
        for hypothesis in writing.into_result() {
            let translation = translator.read(hypothesis)?;
            // Two ways to cut the same words into parts are one translation.
            if alternatives.iter().all(|other| other.text != translation.text) {
                alternatives.push(alternative(translator, sentence, &translation)?);
            }
        }
        Ok(Some(alternatives))
    }

    async fn load(&self, job: u32, model: &Model, choice: Choice) -> Result<Rc<Loaded>, String> {
        let there = |loaded: &Rc<Loaded>| loaded.sha256 == model.sha256 && loaded.choice == choice;
        let loaded = self.loaded.borrow().clone().filter(there);
        if let Some(loaded) = loaded {
            return Ok(loaded);
        }
        let tell = |bytes: &[u8]| self.send(&FromWorker::Weights { job, received: bytes.len() as u64, total: model.bytes });
        let bytes = weights::get(&self.scope, model, &tell).await?;
        let checkpoint = Checkpoint::from_bytes(&bytes).map_err(|e| e.to_string())?;
        let (network, engine) = self.network(&checkpoint, choice).await?;
        let (sha256, engine, done) = (model.sha256.clone(), engine.into(), RefCell::default());
        let loaded = Rc::new(Loaded { sha256, choice, engine, network, done });
        *self.loaded.borrow_mut() = Some(loaded.clone());
        Ok(loaded)
    }

    /// The network, and what it will run on.
    async fn network(&self, checkpoint: &Checkpoint, choice: Choice) -> Result<(Network, Engine), String> {
        let adapter = self.graphics.gpu();
        let context = match self.graphics.context() {
            Ok(context) if choice.wants_gpu(adapter.as_ref()) => Some(context),
            Err(error) if choice == Choice::WebGpu => {
                return Err(format!("This browser gives no access to a graphics card. {error}"));
            }
            _ => None,
        };
        let on_cpu = || Network::new(checkpoint, None).map_err(|e| e.to_string());
        let (Some(context), Some(adapter)) = (context, adapter) else { return Ok((on_cpu()?, Engine::cpu(None))) };
        let both = async {
            let network = Network::new(checkpoint, Some(&context))?;
            let faster = choice == Choice::WebGpu || network.gpu_is_faster(&self.scope).await?;
            Ok((network, if faster { Engine::WebGpu(adapter) } else { Engine::cpu(None) }))
        };
        match both.await {
            Ok(both) => Ok(both),
            Err(shared::Error::Gpu(error) | shared::Error::Memory(error)) if choice == Choice::Auto => {
                Ok((on_cpu()?, Engine::cpu(Some(error))))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

fn alternative(translator: &Translator, sentence: &str, translation: &Translation) -> shared::Result<Alternative> {
    let alignment = translator.alignment(sentence, translation)?;
    Ok(Alternative {
        text: translation.text.clone(),
        source: alignment.source,
        target: alignment.target,
        weights: alignment.weights,
        confidence: alignment.confidence,
    })
}

/// Looks for a GPU, then listens.
pub fn start() {
    console_error_panic_hook::set_once();
    spawn_local(async move {
        let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
        let graphics = Graphics::find(&scope).await;
        let state = Rc::new(State { scope: scope.clone(), graphics, loaded: RefCell::default(), wanted: Cell::default() });
        let listener = state.clone();
        listen(&scope, move |message, _| spawn_local(listener.clone().handle(message)));
        state.send(&FromWorker::Ready { gpu: state.graphics.gpu() });
    });
}
