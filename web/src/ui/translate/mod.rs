//! Where sentences are translated, as they are typed.

mod files;
mod inspector;
mod output;
mod pairs;

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use shared::catalogue::{Catalogue, Model};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{HtmlButtonElement, HtmlElement, HtmlSelectElement, HtmlTextAreaElement, KeyboardEvent, MouseEvent};

use super::dom::{by_id, document, later, now, on, property, warn, window};
use super::link::{Event, Link};
use super::{announce, card, copied, focus, set_progress, set_text, show, wanted_engine};
use crate::channel::{SENTENCES, thrown};
use crate::messages::sentences::{FromWorker, ToWorker};
use crate::messages::{Choice, Engine, Gpu};
use crate::{estimate, language, text};
use inspector::Inspector;
use output::Output;
use pairs::Pairs;

/// A pause in typing after which it is translated, in milliseconds.
const PAUSE: i32 = 400;

/// What this room is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing is typed.
    Idle,
    /// It is being translated.
    Running,
    /// It is translated, or stopped.
    Done,
    /// It could not be.
    Error,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Done => "done",
            Self::Error => "error",
        }
    }
}

/// The room.
pub struct Interpreter {
    room: HtmlElement,
    source: HtmlTextAreaElement,
    engine_choice: HtmlSelectElement,
    phase: Cell<Phase>,
    pairs: Pairs,
    output: Rc<Output>,
    inspector: Inspector,
    /// Started when the room is first entered.
    link: OnceCell<Link<ToWorker, FromWorker>>,
    /// The number of the text that is wanted; what answers to others is dropped.
    job: Cell<u32>,
    /// The timer that waits for a pause in typing.
    pause: Cell<Option<i32>>,
    began: Cell<f64>,
    /// What the file is called that the text is from.
    file: RefCell<Option<String>>,
}

impl Interpreter {
    /// Brings it to life.
    ///
    /// # Errors
    /// When index.html lacks an element.
    pub fn new() -> Result<Rc<Self>, JsValue> {
        let interpreter = Rc::new(Self {
            room: by_id("room-translate")?,
            source: by_id("source")?,
            engine_choice: by_id("translate-engine")?,
            phase: Cell::new(Phase::Idle),
            pairs: Pairs::new()?,
            output: Output::new()?,
            inspector: Inspector::new()?,
            link: OnceCell::new(),
            job: Cell::default(),
            pause: Cell::default(),
            began: Cell::default(),
            file: RefCell::default(),
        });
        interpreter.listen()?;
        Ok(interpreter)
    }

    /// The person comes in.
    pub fn enter(self: &Rc<Self>) {
        if self.link.get().is_none() {
            match Link::new(SENTENCES, self.listener()) {
                Ok(link) => drop(self.link.set(link)),
                Err(error) => self.error(&format!("The engine cannot start: {}", thrown(&error))),
            }
        }
    }

    /// Whether nothing would be lost if the page were loaded anew.
    pub fn is_idle(&self) -> bool {
        self.source.value().is_empty()
    }

    /// The models that there are.
    pub fn set_catalogue(self: &Rc<Self>, catalogue: &Catalogue) {
        if let Err(error) = self.pairs.offer(catalogue) {
            warn("pairs", &error);
        }
        self.changed_pair();
    }

    fn listener(self: &Rc<Self>) -> Rc<dyn Fn(Event<FromWorker>)> {
        let room = self.clone();
        Rc::new(move |event| match event {
            Event::Message(message, _) => room.receive(message),
            Event::Lost(reason) => room.lost(&reason),
        })
    }

    fn receive(self: &Rc<Self>, message: FromWorker) {
        if message.job().is_some_and(|job| job != self.job.get()) {
            return;
        }
        match message {
            FromWorker::Ready { gpu } => {
                self.show_engines(gpu.as_ref());
                if let Some(link) = self.link.get() {
                    link.set_ready();
                }
            }
            FromWorker::Weights { received, total, .. } => {
                let share = received as f64 / total.max(1) as f64;
                self.progress(Some(share), &format!("Fetching the model, {} of {}", text::bytes(received), text::bytes(total)));
            }
            FromWorker::Started { pieces, .. } => {
                self.began.set(now());
                self.inspector.clear();
                let drawn = self.output.begin(&pieces, self.pairs.model().map(|m| m.target).unwrap_or_default().as_str());
                self.drawn(drawn);
                self.show_progress();
            }
            FromWorker::Partial { piece, text, .. } => self.output.partial(piece, &text),
            FromWorker::Sentence { piece, alternatives, .. } => {
                self.drawn(self.output.sentence(piece, alternatives));
                if self.output.selected().is_none() {
                    self.select(piece);
                }
                self.show_progress();
            }
            FromWorker::Skipped { piece, message, .. } => {
                self.drawn(self.output.skipped(piece, &message));
                self.show_progress();
            }
            FromWorker::Detected { language, .. } => self.detected(&language),
            FromWorker::Done { seconds, words, engine, .. } => self.finished(seconds, words, &engine),
            FromWorker::Stopped { .. } => {
                self.go(Phase::Done);
                set_text("translate-facts", "Stopped.");
                announce("Stopped.");
            }
            FromWorker::Failed { message, .. } => self.error(&text::sentence(&message)),
        }
    }

    fn drawn(&self, result: Result<(), JsValue>) {
        if let Err(error) = result {
            warn("translation", &error);
        }
    }

    /// The worker died.
    fn lost(self: &Rc<Self>, reason: &str) {
        self.next_job();
        if let Some(link) = self.link.get()
            && let Err(error) = link.restart(self.listener())
        {
            warn("The worker cannot be restarted:", &error);
        }
        self.error(&format!("The engine stopped unexpectedly, probably for want of memory. ({reason})"));
    }

    fn error(&self, message: &str) {
        self.go(Phase::Error);
        set_text("translate-error", message);
        announce(message);
    }

    fn go(&self, phase: Phase) {
        self.phase.set(phase);
        self.drawn(self.room.set_attribute("data-state", phase.name()));
        show("translate-error", phase == Phase::Error);
        show("translate-stop", phase == Phase::Running);
        show("translate-work", phase == Phase::Running);
        show("translate-facts", phase == Phase::Done);
        for id in ["translate-copy", "translate-save"] {
            if let Ok(button) = by_id::<HtmlButtonElement>(id) {
                button.set_disabled(phase == Phase::Idle || self.output.text().trim().is_empty());
            }
        }
    }

    fn next_job(&self) -> u32 {
        self.job.set(self.job.get() + 1);
        self.job.get()
    }

    /// Translates what is typed, when the typing pauses.
    fn typed(self: &Rc<Self>, pause: i32) {
        let room = self.clone();
        let translate = Closure::once_into_js(move || {
            room.pause.set(None);
            room.translate();
        });
        let timer = window().and_then(|window| {
            if let Some(timer) = self.pause.take() {
                window.clear_timeout_with_handle(timer);
            }
            later(&translate, pause)
        });
        match timer {
            Ok(timer) => self.pause.set(Some(timer)),
            Err(error) => warn("timer", &error),
        }
        set_text("source-count", &count(&self.source.value()));
    }

    fn translate(self: &Rc<Self>) {
        let job = self.next_job();
        let typed = self.source.value();
        show("suggestion", false);
        let Some(model) = self.pairs.model() else { return };
        let Some(link) = self.link.get() else { return };
        if typed.trim().is_empty() {
            link.send(ToWorker::Stop, None);
            self.inspector.clear();
            self.output.clear();
            return self.go(Phase::Idle);
        }
        self.go(Phase::Running);
        self.progress(None, "Translating");
        let engine = Choice::parse(&self.engine_choice.value());
        link.send(ToWorker::Translate { job, model: Box::new(model.clone()), engine, text: typed.clone() }, None);
        let languages = self.pairs.languages();
        if languages.contains(&model.source) {
            link.send(ToWorker::Detect { job, text: typed, languages }, None);
        }
    }

    fn stop(&self) {
        if self.phase.get() == Phase::Running
            && let Some(link) = self.link.get()
        {
            link.send(ToWorker::Stop, None);
        }
    }

    fn progress(&self, share: Option<f64>, title: &str) {
        set_text("translate-work-title", title);
        set_progress("translate-progress", share);
    }

    fn show_progress(&self) {
        let (done, all) = self.output.progress();
        let left = estimate::left((now() - self.began.get()) / 1e3, done, all).filter(|&left| left > 1.0);
        let left = left.map(|left| format!(" · about {} left", text::about(left))).unwrap_or_default();
        let title = if all > 1 { format!("{done} of {all} sentences{left}") } else { "Translating".into() };
        self.progress((all > 1).then_some(done as f64 / all.max(1) as f64), &title);
    }

    fn finished(&self, seconds: f64, words: usize, engine: &Engine) {
        self.drawn(self.room.set_attribute("data-engine", engine.name()));
        let failed = match engine {
            Engine::Cpu { gpu_error: Some(error), .. } => format!(", because the graphics card failed ({error})"),
            _ => String::new(),
        };
        let engine = engine.label();
        let speed = match words {
            0 => "Translated before".to_owned(),
            _ => format!("{words} words in {}", text::seconds(seconds)),
        };
        set_text("translate-facts", &format!("{speed} · {engine}{failed}"));
        self.go(Phase::Done);
        let translated = self.output.text();
        // A page of text is not read aloud unasked.
        let short = translated.chars().count() <= 300;
        announce(&if short { format!("Translated: {translated}") } else { "Translated.".into() });
    }

    /// The text is in another language than the one that is chosen.
    fn detected(&self, detected: &str) {
        let Some(model) = self.pairs.model() else { return };
        if detected == model.source || self.pairs.from(detected, &model.source).is_none() {
            return show("suggestion", false);
        }
        let name = language::name(detected);
        set_text("suggestion-text", &format!("This looks like {name}."));
        set_text("suggestion-take", &format!("Translate from {name}"));
        self.drawn(by_id::<HtmlElement>("suggestion-take").and_then(|take| take.set_attribute("data-language", detected)));
        show("suggestion", true);
    }

    /// Shows where the words of a sentence come from.
    fn select(self: &Rc<Self>, piece: usize) {
        self.output.select(piece);
        let Some((alternatives, chosen)) = self.output.alternatives(piece) else { return };
        let room = self.clone();
        let choose = move |which| {
            room.drawn(room.output.choose(piece, which));
            room.select(piece);
            // The button that was pressed is gone with the others.
            room.drawn(room.inspector.focus(which));
        };
        self.drawn(self.inspector.show(&alternatives, chosen, choose));
    }

    fn changed_pair(self: &Rc<Self>) {
        let model = self.pairs.model();
        let (source, target) = model.map(|m| (m.source, m.target)).unwrap_or_default();
        set_text("source-title", language::name(&source));
        set_text("target-title", language::name(&target));
        self.drawn(self.source.set_attribute("placeholder", pairs::placeholder(&source)));
        self.drawn(self.source.set_attribute("lang", if source.len() == 2 { &source } else { "" }));
        self.show_card();
        if !self.source.value().trim().is_empty() {
            self.translate();
        }
    }

    /// The worker has looked for a GPU.
    fn show_engines(&self, gpu: Option<&Gpu>) {
        let automatic = if Choice::Auto.wants_gpu(gpu) { "Automatic: what is faster" } else { "Automatic: processor" };
        if let Some(option) = self.engine_choice.query_selector("[value=auto]").ok().flatten() {
            option.set_text_content(Some(automatic));
        }
    }

    fn show_card(self: &Rc<Self>) {
        let room = self.clone();
        card::show("translate-card", move || -> Option<Model> { room.pairs.model() });
    }

    fn copy(self: &Rc<Self>) {
        let room = self.clone();
        spawn_local(async move {
            match to_clipboard(&room.output.text()).await {
                Ok(()) => copied("translate-copy"),
                Err(error) => {
                    let why = format!("The browser does not let it be copied ({}).", thrown(&error));
                    set_text("translate-facts", &why);
                    announce(&why);
                }
            }
        });
    }

    fn listen(self: &Rc<Self>) -> Result<(), JsValue> {
        let room = self.clone();
        on(&self.source, "input", move |_: web_sys::Event| room.typed(PAUSE));
        let room = self.clone();
        on(&self.source, "keydown", move |event: KeyboardEvent| {
            if event.key() == "Enter" && (event.ctrl_key() || event.meta_key()) {
                event.prevent_default();
                room.typed(0);
            }
        });
        let room = self.clone();
        self.pairs.on_change(move || {
            room.pairs.changed();
            room.changed_pair();
        });
        self.engine_choice.set_value(wanted_engine()?.name());
        let room = self.clone();
        on(&self.engine_choice, "change", move |_: web_sys::Event| room.typed(0));
        let room = self.clone();
        on(by_id::<HtmlElement>("swap")?, "click", move |_: MouseEvent| {
            let translated = room.output.text();
            if !room.pairs.swap() {
                return;
            }
            if !translated.trim().is_empty() {
                room.source.set_value(&translated);
                set_text("source-count", &count(&translated));
            }
            room.changed_pair();
        });
        let room = self.clone();
        on(by_id::<HtmlElement>("suggestion-take")?, "click", move |_: MouseEvent| {
            let language = by_id::<HtmlElement>("suggestion-take").ok().and_then(|e| e.get_attribute("data-language"));
            let source = room.pairs.model().map(|m| m.source).unwrap_or_default();
            if let Some(name) = language.and_then(|language| room.pairs.from(&language, &source)) {
                room.pairs.choose(&name);
                room.changed_pair();
                focus("source");
            }
        });
        let room = self.clone();
        on(by_id::<HtmlElement>("example")?, "click", move |_: MouseEvent| {
            let source = room.pairs.model().map(|m| m.source).unwrap_or_default();
            room.source.set_value(pairs::example(&source));
            room.typed(0);
        });
        let room = self.clone();
        on(by_id::<HtmlElement>("clear")?, "click", move |_: MouseEvent| {
            room.source.set_value("");
            room.file.take();
            room.typed(0);
            focus("source");
        });
        let room = self.clone();
        on(by_id::<HtmlElement>("translate-stop")?, "click", move |_: MouseEvent| room.stop());
        let room = self.clone();
        on(by_id::<HtmlElement>("translate-copy")?, "click", move |_: MouseEvent| room.copy());
        let room = self.clone();
        on(document()?, "keydown", move |event: KeyboardEvent| {
            if event.key() == "Escape" && !room.room.hidden() {
                room.stop();
            }
        });
        let room = self.clone();
        self.output.on_select(move |piece, word| {
            if room.output.selected() != Some(piece) {
                room.select(piece);
            }
            room.drawn(room.inspector.point(word));
        });
        files::listen(self)?;
        let room = self.clone();
        card::listen("translate-card", move || room.show_card())
    }
}

fn count(typed: &str) -> String {
    match typed.chars().count() {
        0 => String::new(),
        1 => "1 character".into(),
        many => format!("{many} characters"),
    }
}

async fn to_clipboard(text: &str) -> Result<(), JsValue> {
    // Absent, not only failing, where the address is insecure.
    let clipboard = property(&window()?.navigator(), "clipboard").ok_or("there is no clipboard here")?;
    JsFuture::from(clipboard.unchecked_into::<web_sys::Clipboard>().write_text(text)).await.map(drop)
}
