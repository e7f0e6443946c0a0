//! The interface. `index.html` holds all of its elements; this gives them life.
//!
//! [`App`] knows what the page is doing. Its `data-state` on `<main>` (`idle`, `loading`, `ready`, `running`, `done`, `error`)
//! together with `data-picture` decides, in the style sheets, what is to be seen.

mod camera;
mod card;
mod dom;
mod input;
mod link;
mod offline;
mod options;
mod run;
mod sample;
mod save;
mod viewer;

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use js_sys::ArrayBuffer;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;
use web_sys::{HtmlElement, KeyboardEvent, MouseEvent};

use crate::messages::{FromWorker, Gpu, Sheet, ToWorker};
use dom::{by_id, document, on, warn};
use link::{Event, Link};
use options::Options;
use run::Run;
use viewer::Viewer;

/// What the page is doing.
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

/// The page.
pub struct App {
    main: HtmlElement,
    phase: Cell<Phase>,
    /// The phase in which a picture was being opened: what is no picture leaves everything as it was.
    before: Cell<Phase>,
    viewer: Rc<Viewer>,
    options: Options,
    link: OnceCell<Link>,
    /// The number of the last thing that was asked of the worker.
    job: Cell<u32>,
    gpu: RefCell<Option<Gpu>>,
    opening: RefCell<Option<input::Opening>>,
    picture: RefCell<Option<Opened>>,
    run: RefCell<Option<Run>>,
    saving: RefCell<Option<save::Saving>>,
}

impl App {
    fn new() -> Result<Rc<Self>, JsValue> {
        Ok(Rc::new(Self {
            main: by_id("main")?,
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
        }))
    }

    fn listener(self: &Rc<Self>) -> Rc<dyn Fn(Event)> {
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
            if let Err(error) = self.main.set_attribute(name, value) {
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
        self.announce(message);
    }

    /// Tells those who listen instead of looking.
    fn announce(&self, message: &str) {
        set_text("status", message);
    }

    /// Says something that is no error.
    fn notice(&self, message: &str) {
        set_text("notice-text", message);
        show("notice", !message.is_empty());
    }

    /// Puts the picture away.
    fn close(&self) {
        self.picture.take();
        self.viewer.clear_result();
        self.enter(Phase::Idle);
    }

    fn focus(&self, id: &str) {
        let options = web_sys::FocusOptions::new();
        options.set_prevent_scroll(false);
        if let Err(error) = by_id::<HtmlElement>(id).and_then(|element| element.focus_with_options(&options)) {
            warn("focus", &error);
        }
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
            app.announce("Ready for another picture.");
            app.focus("choose");
        });
        let app = self.clone();
        on(by_id::<HtmlElement>("error-close")?, "click", move |_: MouseEvent| {
            match app.phase.get() {
                Phase::Error => app.enter(if app.picture.borrow().is_some() { Phase::Ready } else { Phase::Idle }),
                _ => show("error", false),
            }
            app.focus("main");
        });
        let app = self.clone();
        on(document()?, "keydown", move |event: KeyboardEvent| {
            if event.key() == "Escape" && app.phase.get() == Phase::Running {
                app.stop();
            }
        });
        Ok(())
    }
}

fn set_text(id: &str, text: &str) {
    match by_id::<HtmlElement>(id) {
        Ok(element) => element.set_text_content(Some(text)),
        Err(error) => warn("text", &error),
    }
}

fn show(id: &str, visible: bool) {
    match by_id::<HtmlElement>(id) {
        Ok(element) => element.set_hidden(!visible),
        Err(error) => warn("element", &error),
    }
}

/// Brings the page to life.
pub fn start() {
    console_error_panic_hook::set_once();
    spawn_local(async {
        if let Err(error) = begin().await {
            web_sys::console::error_2(&"The page cannot start:".into(), &error);
            set_text("error-text", &format!("The page cannot start: {}", crate::channel::thrown(&error)));
            show("error", true);
        }
    });
}

async fn begin() -> Result<(), JsValue> {
    let app = App::new()?;
    // The worker is the largest download, so it starts first.
    if app.link.set(Link::new(app.listener())?).is_err() {
        return Err("started twice".into());
    }
    app.listen()?;
    input::listen(&app)?;
    options::listen(&app)?;
    run::listen(&app)?;
    save::listen(&app)?;
    card::listen(&app)?;
    camera::listen(&app)?;
    offline::start(&app)?;
    app.enter(Phase::Idle);
    app.load_catalogue().await;
    Ok(())
}
