//! The worker for sentences.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use candle_core::Device;
use shared::catalogue::Model;
use shared::checkpoint::Checkpoint;
use shared::pipeline::search::Search;
use shared::pipeline::translate::{Translation, Translator};
use shared::text::Piece;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use super::{breathe, weights};
use crate::channel::{self, thrown};
use crate::language;
use crate::messages::Engine;
use crate::messages::sentences::{self, Alternative, FromWorker, ToWorker};

/// How often the page hears of a sentence at work, and can stop it, in milliseconds.
const BREATH: f64 = 40.0;

/// Sentences whose translations are kept: who types on wants only the last one translated again.
const KEPT: usize = 500;

/// What the worker keeps between messages.
struct State {
    scope: DedicatedWorkerGlobalScope,
    loaded: RefCell<Option<Rc<Loaded>>>,
    /// The text that is wanted; 0 for none. What runs under another number stops.
    wanted: Cell<u32>,
}

/// A network, and what it has translated.
struct Loaded {
    sha256: String,
    translator: Translator,
    done: RefCell<HashMap<String, Vec<Alternative>>>,
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
            ToWorker::Translate { job, model, text } => {
                self.wanted.set(job);
                match self.translate(job, &model, &text).await {
                    Ok(Some((seconds, words))) => self.send(&FromWorker::Done { job, seconds, words }),
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

    /// The seconds that it took and the words that were written; `None` when stopped.
    async fn translate(&self, job: u32, model: &Model, text: &str) -> Result<Option<(f64, usize)>, String> {
        let loaded = self.load(job, model).await?;
        let translator = &loaded.translator;
        let pieces = translator.pieces(text).map_err(|e| e.to_string())?;
        let told = pieces.iter().map(|&piece| match piece {
            Piece::Sentence(text) => sentences::Piece { text: text.to_owned(), sentence: true },
            Piece::Between(text) => sentences::Piece { text: text.to_owned(), sentence: false },
        });
        self.send(&FromWorker::Started { job, engine: Engine::cpu(None), pieces: told.collect() });
        let (begin, mut words) = (self.now(), 0);
        for (piece, part) in pieces.iter().enumerate() {
            let &Piece::Sentence(sentence) = part else { continue };
            breathe(&self.scope).await.map_err(|e| thrown(&e))?;
            let known = loaded.done.borrow().get(sentence).cloned();
            let alternatives = match known {
                Some(known) => known,
                None => match self.sentence(job, piece, sentence, translator).await {
                    Ok(Some(alternatives)) => {
                        words += alternatives.first().map_or(0, |best| best.target.len());
                        let mut done = loaded.done.borrow_mut();
                        if done.len() >= KEPT {
                            done.clear();
                        }
                        done.insert(sentence.to_owned(), alternatives.clone());
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
        Ok(Some(((self.now() - begin) / 1e3, words)))
    }

    /// The translations of a sentence; `None` when stopped.
    async fn sentence(
        &self,
        job: u32,
        piece: usize,
        sentence: &str,
        translator: &Translator,
    ) -> shared::Result<Option<Vec<Alternative>>> {
        let mut decoding = translator.begin(sentence, &Search::default())?;
        let mut breath = self.now();
        while decoding.step()? {
            if self.now() - breath < BREATH {
                continue;
            }
            if let Some(best) = decoding.best() {
                let text = translator.tokenizer().decode(&best.words)?;
                self.send(&FromWorker::Partial { job, piece, text });
            }
            breathe(&self.scope).await.map_err(|e| shared::Error::Text(thrown(&e)))?;
            if self.wanted.get() != job {
                return Ok(None);
            }
            breath = self.now();
        }
        let mut alternatives: Vec<Alternative> = Vec::new();
        for hypothesis in decoding.into_result() {
            let translation = translator.read(hypothesis)?;
            // Two ways to cut the same words into parts are one translation.
            if alternatives.iter().all(|other| other.text != translation.text) {
                alternatives.push(alternative(translator, sentence, &translation)?);
            }
        }
        Ok(Some(alternatives))
    }

    async fn load(&self, job: u32, model: &Model) -> Result<Rc<Loaded>, String> {
        let loaded = self.loaded.borrow().clone().filter(|loaded| loaded.sha256 == model.sha256);
        if let Some(loaded) = loaded {
            return Ok(loaded);
        }
        let tell = |bytes: &[u8]| self.send(&FromWorker::Weights { job, received: bytes.len() as u64, total: model.bytes });
        let bytes = weights::get(&self.scope, model, &tell).await?;
        let translator = Checkpoint::from_bytes(&bytes).and_then(|checkpoint| Translator::new(&checkpoint, &Device::Cpu));
        let translator = translator.map_err(|e| e.to_string())?;
        let loaded = Rc::new(Loaded { sha256: model.sha256.clone(), translator, done: RefCell::default() });
        *self.loaded.borrow_mut() = Some(loaded.clone());
        Ok(loaded)
    }

    fn now(&self) -> f64 {
        self.scope.performance().map_or_else(js_sys::Date::now, |p| p.now())
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

/// Listens.
pub fn start() {
    console_error_panic_hook::set_once();
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let state = Rc::new(State { scope: scope.clone(), loaded: RefCell::default(), wanted: Cell::default() });
    let listener = state.clone();
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| match channel::receive(&event) {
        Ok((message, _)) => spawn_local(listener.clone().handle(message)),
        Err(error) => web_sys::console::error_2(&JsValue::from_str("The worker cannot read a message:"), &error),
    });
    scope.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();
    state.send(&FromWorker::Ready);
}
