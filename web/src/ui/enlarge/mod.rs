//! Where pictures are enlarged.
//!
//! [`Enlarger`] knows what this room is doing. Its `data-state` (`idle`, `loading`, `ready`, `running`, `done`, `error`) together
//! with `data-picture` decides, in the style sheets, what is to be seen.

mod camera;
mod input;
mod options;
mod run;
pub(in crate::ui) mod sample;
pub(in crate::ui) mod save;
mod viewer;

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use js_sys::ArrayBuffer;
use shared::catalogue::Catalogue;
use wasm_bindgen::JsValue;
use web_sys::{HtmlElement, KeyboardEvent, MouseEvent};

use super::dom::{by_id, document, on, warn};
use super::link::{Event, Link};
use super::{announce, card, focus, set_text, show};
use crate::channel::PICTURES;
use crate::messages::Gpu;
use crate::messages::pictures::{FromWorker, Sheet, ToWorker};
use options::Options;
use run::Run;
use viewer::Viewer;

/// What this room is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No picture.
    Idle,
    /// A picture is being opened.
    Loading,
    /// A picture is open.
    Ready,
    /// It is being enlarged.
    Running,
    /// It is enlarged.
    Done,
    /// Something went wrong; a message says what.
    Error,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Done => "done",
            Self::Error => "error",
        }
    }
}

/// The picture that is open.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// Its file name.
    pub name: String,
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// Whether something in it is transparent.
    pub alpha: bool,
}

/// The room.
pub struct Enlarger {
    room: HtmlElement,
    phase: Cell<Phase>,
    /// The phase in which a picture was being opened: what is no picture leaves everything as it was.
    before: Cell<Phase>,
    viewer: Rc<Viewer>,
    options: Options,
    link: OnceCell<Link<ToWorker, FromWorker>>,
    /// The number of the last thing that was asked of the worker.
    job: Cell<u32>,
    gpu: RefCell<Option<Gpu>>,
    opening: RefCell<Option<input::Opening>>,
    picture: RefCell<Option<Opened>>,
    run: RefCell<Option<Run>>,
    saving: RefCell<Option<save::Saving>>,
}

impl Enlarger {
    /// Brings it to life.
    ///
    /// # Errors
    /// When index.html lacks an element, or there are no workers.
    pub fn new() -> Result<Rc<Self>, JsValue> {
        let enlarger = Rc::new(Self {
            room: by_id("room-enlarge")?,
            phase: Cell::new(Phase::Idle),
            before: Cell::new(Phase::Idle),
            viewer: Viewer::new()?,
            options: Options::new()?,
            link: OnceCell::new(),
            job: Cell::default(),
            gpu: RefCell::default(),
            opening: RefCell::default(),
            picture: RefCell::default(),
            run: RefCell::default(),
            saving: RefCell::default(),
        });
        if enlarger.link.set(Link::new(PICTURES, enlarger.listener())?).is_err() {
            return Err("started twice".into());
        }
        enlarger.listen()?;
        input::listen(&enlarger)?;
        options::listen(&enlarger)?;
        run::listen(&enlarger)?;
        save::listen(&enlarger)?;
        camera::listen(&enlarger)?;
        let chosen = enlarger.clone();
        card::listen("card", move || chosen.show_card())?;
        enlarger.enter(Phase::Idle);
        Ok(enlarger)
    }

    /// Whether the person is in this room.
    fn is_here(&self) -> bool {
        !self.room.hidden()
    }

    /// Whether nothing would be lost if the page were loaded anew.
    pub fn is_idle(&self) -> bool {
        self.phase.get() == Phase::Idle
    }

    /// The models that there are.
    pub fn set_catalogue(self: &Rc<Self>, catalogue: &Catalogue) {
        self.offer(catalogue.clone().of_task("superres"));
    }

    /// Shows the card of the model that is chosen, if it is open.
    fn show_card(self: &Rc<Self>) {
        let app = self.clone();
        card::show("card", move || app.options.model());
    }

    fn listener(self: &Rc<Self>) -> Rc<dyn Fn(Event<FromWorker>)> {
        let app = self.clone();
        Rc::new(move |event| match event {
            Event::Message(message, buffer) => app.receive(message, buffer),
            Event::Lost(reason) => app.lost(&reason),
        })
    }

    /// A number for the next thing that is asked of the worker; answers to earlier ones are dropped.
    fn next_job(&self) -> u32 {
        self.job.set(self.job.get() + 1);
        self.job.get()
    }

    fn tell_worker(&self, message: ToWorker, buffer: Option<ArrayBuffer>) {
        if let Some(link) = self.link.get() {
            link.send(message, buffer);
        }
    }

    fn receive(self: &Rc<Self>, message: FromWorker, buffer: Option<ArrayBuffer>) {
        if message.job().is_some_and(|job| job != self.job.get()) {
            return;
        }
        match (message, buffer) {
            (FromWorker::Ready { gpu }, _) => {
                *self.gpu.borrow_mut() = gpu;
                self.show_engines();
                if let Some(link) = self.link.get() {
                    link.set_ready();
                }
            }
            (FromWorker::Opened { width, height, alpha, .. }, Some(pixels)) => self.opened(width, height, alpha, &pixels),
            (FromWorker::Weights { received, total, .. }, _) => self.show_weights(received, total),
            (FromWorker::Started { engine, tiles, again, .. }, _) => self.started(engine, tiles, again),
            (FromWorker::Tile { x, y, width, height, done, .. }, Some(pixels)) => {
                self.tile(done, || self.viewer.draw(Sheet::Result, [x, y], [width, height], &pixels));
            }
            (FromWorker::Redrawn { sheet, x, y, width, height, .. }, Some(pixels)) => {
                if let Err(error) = self.viewer.draw(sheet, [x, y], [width, height], &pixels) {
                    warn("redraw", &error);
                }
            }
            (FromWorker::Done { seconds, .. }, _) => self.finished(seconds),
            (FromWorker::Stopped { .. }, _) => self.stopped(),
            (FromWorker::Encoded { .. }, Some(file)) => self.encoded(&file),
            (FromWorker::Failed { message, .. }, _) => self.failed(&message),
            // Of the other room.
            (FromWorker::Styles { .. } | FromWorker::Adopted { .. } | FromWorker::Restyled { .. }, _) => {}
            (message, None) => warn("A message without its pixels", &JsValue::from_str(&format!("{message:?}"))),
        }
    }

    fn failed(self: &Rc<Self>, message: &str) {
        match self.phase.get() {
            Phase::Loading => self.not_opened(message),
            Phase::Running => self.run_failed(message),
            _ => self.save_failed(message),
        }
    }

    /// The worker died and took the picture with it.
    fn lost(self: &Rc<Self>, reason: &str) {
        self.next_job();
        self.run.take();
        self.saving.take();
        self.opening.take();
        self.close();
        if let Some(link) = self.link.get()
            && let Err(error) = link.restart(self.listener())
        {
            warn("The worker cannot be restarted:", &error);
        }
        self.error(&format!(
            "The engine stopped unexpectedly, probably for want of memory. A smaller picture may work. ({reason})"
        ));
    }

    /// Goes over to `phase`. A message of an earlier error stays no longer than that.
    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        let picture = if self.picture.borrow().is_some() { "yes" } else { "no" };
        for (name, value) in [("data-state", phase.name()), ("data-picture", picture)] {
            if let Err(error) = self.room.set_attribute(name, value) {
                warn("state", &error);
            }
        }
        if phase != Phase::Error {
            show("error", false);
        }
        self.options.enable(phase != Phase::Running && phase != Phase::Loading);
        self.show_plan();
    }

    /// Says what went wrong. An open picture stays.
    fn error(&self, message: &str) {
        self.enter(Phase::Error);
        self.say(message);
    }

    /// Says what went wrong, without leaving the phase.
    fn say(&self, message: &str) {
        set_text("error-text", message);
        show("error", true);
        announce(message);
    }

    /// Puts the picture away.
    fn close(&self) {
        self.picture.take();
        self.viewer.clear_result();
        self.enter(Phase::Idle);
    }

    fn listen(self: &Rc<Self>) -> Result<(), JsValue> {
        let app = self.clone();
        self.viewer.on_restored(move |sheet| app.tell_worker(ToWorker::Redraw { job: app.job.get(), sheet }, None));
        let app = self.clone();
        on(by_id::<HtmlElement>("another")?, "click", move |_: MouseEvent| {
            app.next_job();
            app.tell_worker(ToWorker::Forget, None);
            app.run.take();
            app.close();
            announce("Ready for another picture.");
            focus("choose");
        });
        let app = self.clone();
        on(by_id::<HtmlElement>("error-close")?, "click", move |_: MouseEvent| {
            match app.phase.get() {
                Phase::Error => app.enter(if app.picture.borrow().is_some() { Phase::Ready } else { Phase::Idle }),
                _ => show("error", false),
            }
            focus("main");
        });
        let app = self.clone();
        on(document()?, "keydown", move |event: KeyboardEvent| {
            if event.key() == "Escape" && app.is_here() && app.phase.get() == Phase::Running {
                app.stop();
            }
        });
        Ok(())
    }
}
