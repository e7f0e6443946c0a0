//! Where pictures are redrawn in the style of others.
//!
//! One thing at a time is asked of the worker, and the next thing is only decided when the answer is there: a slider that moves ten
//! times meanwhile, or ten frames of a camera, cost one run.

mod controls;
mod film;
mod live;
mod own;
mod pad;
mod source;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use js_sys::{ArrayBuffer, Uint8ClampedArray};
use shared::catalogue::{Catalogue, Model, OWN_STYLE, STYLE};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;
use web_sys::{HtmlCanvasElement, HtmlElement, ImageData, MouseEvent};

use super::dom::{by_id, context, now, on, warn};
use super::enlarge::save::{offer, to_blob};
use super::link::{Event, Link};
use super::{announce, card, set_progress, set_text, show};
use crate::channel::{self, PICTURES};
use crate::messages::pictures::{FileFormat, FromWorker, ToWorker, Wish};
use crate::text;
use controls::Controls;
use film::Film;
use live::Camera;
use own::OwnStyles;

/// Longest side of a picture in the gallery.
const THUMBNAIL: usize = 128;

/// What the worker was asked for.
#[derive(Debug, Clone, PartialEq)]
enum Task {
    /// To keep a picture.
    Open {
        /// What it is called.
        name: String,
        /// Whether to redraw it at once: not what was stopped, or ended the worker.
        redraw: bool,
    },
    /// Which styles there are.
    Styles,
    /// To take the style of this name.
    Adopt(String),
    /// The picture, redrawn.
    Result,
    /// The picture, small, in the style of this number.
    Thumbnail(usize),
    /// A frame of the camera, redrawn.
    Frame,
    /// A frame of a video, redrawn.
    FilmFrame,
}

/// The room.
pub struct Restyler {
    room: HtmlElement,
    link: OnceCell<Link<ToWorker, FromWorker>>,
    controls: Controls,
    camera: Camera,
    film: Film,
    /// The model of the styles that are there, and the one that takes any other.
    model: RefCell<Option<Model>>,
    own_model: RefCell<Option<Model>>,
    own: OwnStyles,
    /// Whether the card is that of `own_model`.
    card_of_own: Cell<bool>,
    /// The picture that is open, by its name. Kept here too: the worker may have to be started again.
    picture: RefCell<Option<(String, ImageData)>>,
    job: Cell<u32>,
    busy: RefCell<Option<Task>>,
    /// Whether what is shown is older than what is wanted.
    dirty: Cell<bool>,
    thumbnails: RefCell<VecDeque<usize>>,
    /// When the last answer came, in milliseconds, and the frames a second.
    rate: Cell<(f64, f64)>,
}

impl Restyler {
    /// Brings it to life. The worker is started when somebody comes.
    ///
    /// # Errors
    /// When index.html lacks an element.
    pub fn new() -> Result<Rc<Self>, JsValue> {
        let restyler = Rc::new(Self {
            room: by_id("room-restyle")?,
            link: OnceCell::new(),
            controls: Controls::new()?,
            camera: Camera::new()?,
            film: Film::new()?,
            model: RefCell::default(),
            own_model: RefCell::default(),
            own: OwnStyles::default(),
            card_of_own: Cell::default(),
            picture: RefCell::default(),
            job: Cell::default(),
            busy: RefCell::default(),
            dirty: Cell::default(),
            thumbnails: RefCell::default(),
            rate: Cell::default(),
        });
        controls::listen(&restyler)?;
        source::listen(&restyler)?;
        own::listen(&restyler)?;
        film::listen(&restyler)?;
        pad::listen(&restyler);
        live::listen(&restyler)?;
        restyler.listen()?;
        let chosen = restyler.clone();
        card::listen("restyle-card", move || chosen.show_card())?;
        restyler.show_state();
        Ok(restyler)
    }

    /// Whether nothing would be lost if the page were loaded anew.
    pub fn is_idle(&self) -> bool {
        self.picture.borrow().is_none() && self.own.is_empty() && !self.film.is_running() && !self.camera.is_on()
    }

    /// The models that there are.
    pub fn set_catalogue(self: &Rc<Self>, catalogue: &Catalogue) {
        let first = |task| catalogue.clone().of_task(task).models.into_iter().next();
        *self.model.borrow_mut() = first(STYLE);
        *self.own_model.borrow_mut() = first(OWN_STYLE);
        show("restyle-take-style", self.own_model.borrow().is_some());
        if self.model.borrow().is_none() {
            self.error("There is no model here that restyles pictures.");
        }
        self.next();
    }

    /// Somebody comes.
    pub fn enter(self: &Rc<Self>) {
        if self.link.get().is_none() {
            match Link::new(PICTURES, self.listener()) {
                Ok(link) => drop(self.link.set(link)),
                Err(error) => self.error(&format!("The engine cannot be started: {}", channel::thrown(&error))),
            }
        }
        self.next();
    }

    /// Somebody leaves: the camera goes off.
    pub fn leave(&self) {
        self.camera.stop();
        self.show_state();
    }

    fn show_card(&self) {
        let model = self.model_for(self.controls.wants_own());
        card::show("restyle-card", move || model.clone());
    }

    fn listener(self: &Rc<Self>) -> Rc<dyn Fn(Event<FromWorker>)> {
        let app = self.clone();
        Rc::new(move |event| match event {
            Event::Message(message, buffer) => app.receive(message, buffer),
            Event::Lost(reason) => {
                app.restart();
                app.error(&format!("The engine stopped, probably for want of memory. A smaller size may work. ({reason})"));
            }
        })
    }

    /// Ends the worker, with whatever it is at, and starts another one, which gets the picture again.
    fn restart(self: &Rc<Self>) {
        if let Some(Task::Adopt(name)) = self.busy.take() {
            // It would end the next one too.
            self.own.remove(&name);
        }
        self.own.forgotten();
        self.film.stop();
        self.thumbnails.take();
        self.dirty.set(false);
        self.job.set(self.job.get() + 1);
        if let Some(Err(error)) = self.link.get().map(|link| link.restart(self.listener())) {
            warn("The worker cannot be restarted:", &error);
        }
        if let Some((name, pixels)) = self.picture.take() {
            self.give_pixels(&pixels, name, false);
        }
        self.show_state();
    }

    /// Asks the worker for something.
    fn ask(&self, task: Task, message: impl FnOnce(u32) -> ToWorker, buffer: Option<ArrayBuffer>) {
        self.job.set(self.job.get() + 1);
        *self.busy.borrow_mut() = Some(task);
        if let Some(link) = self.link.get() {
            link.send(message(self.job.get()), buffer);
        }
        self.show_state();
    }

    /// What redraws.
    fn model_for(&self, own: bool) -> Option<Model> {
        if own { self.own_model.borrow().clone() } else { self.model.borrow().clone() }
    }

    /// Asks for what is needed most, if the worker has nothing to do.
    fn next(self: &Rc<Self>) {
        let Some(model) = self.model_for(self.controls.wants_own()).map(Box::new) else { return };
        if self.busy.borrow().is_some() || self.link.get().is_none() {
            return;
        }
        let engine = self.controls.engine();
        if self.controls.styles() == 0 {
            return self.ask(Task::Styles, |job| ToWorker::Styles { job, model, engine }, None);
        }
        if self.adopt_next() {
            return;
        }
        let restyle = |model, wish| move |job| ToWorker::Restyle { job, model, engine, wish };
        if self.film.is_running() {
            if let Some((wish, pixels)) = self.film.pending.take() {
                self.ask(Task::FilmFrame, restyle(model, wish), Some(pixels));
            }
            return;
        }
        if self.camera.is_on() {
            if let Some((pixels, [width, height])) = self.camera.frame(self.controls.side_of_frames()) {
                let wish = Wish { frame: Some([width, height]), side: 0, ..self.controls.wish() };
                self.ask(Task::Frame, restyle(model, wish), Some(pixels));
            }
            return;
        }
        if self.picture.borrow().is_none() {
            return;
        }
        if self.dirty.replace(false) {
            return self.ask(Task::Result, restyle(model, self.controls.wish()), None);
        }
        let Some(number) = self.thumbnails.borrow_mut().pop_front() else { return };
        let Some((name, own)) = self.controls.style(number) else { return };
        let Some(model) = self.model_for(own).map(Box::new) else { return };
        let wish = Wish { parts: vec![(name, 1.0)], strength: 1.0, keep_colours: false, side: THUMBNAIL, frame: None };
        self.ask(Task::Thumbnail(number), restyle(model, wish), None);
    }

    /// Something that decides the result has changed.
    fn change(self: &Rc<Self>) {
        self.dirty.set(true);
        self.next();
        self.show_state();
        let own = self.controls.wants_own();
        if self.card_of_own.replace(own) != own {
            self.show_card();
        }
    }

    fn receive(self: &Rc<Self>, message: FromWorker, buffer: Option<ArrayBuffer>) {
        if message.job().is_some_and(|job| job != self.job.get()) {
            return;
        }
        match (message, buffer) {
            (FromWorker::Ready { .. }, _) => {
                if let Some(link) = self.link.get() {
                    link.set_ready();
                }
                return;
            }
            (FromWorker::Weights { received, total, .. }, _) => {
                set_text("restyle-work", &format!("Fetching the model, {} of {}", text::bytes(received), text::bytes(total)));
                return set_progress("restyle-progress", Some(received as f64 / total.max(1) as f64));
            }
            (FromWorker::Styles { styles, .. }, _) => {
                self.busy.take();
                if let Err(error) = self.controls.show_gallery(self, &styles) {
                    warn("gallery", &error);
                }
                self.renew_thumbnails();
                self.dirty.set(true);
            }
            (FromWorker::Opened { width, height, .. }, Some(pixels)) => {
                if let Some(Task::Open { name, redraw }) = self.busy.take() {
                    self.opened(name, [width, height], &pixels, redraw);
                }
            }
            (FromWorker::Adopted { .. }, _) => {
                if let Some(Task::Adopt(name)) = self.busy.take() {
                    self.adopted(&name);
                }
            }
            (FromWorker::Restyled { engine, width, height, seconds, .. }, Some(pixels)) => {
                let task = self.busy.take();
                if let Err(error) = self.restyled(task, &engine.label(), [width, height], seconds, &pixels) {
                    self.error(&format!("The result cannot be shown: {}", channel::thrown(&error)));
                }
            }
            (FromWorker::Failed { message, .. }, _) => {
                let task = self.busy.take();
                self.camera.stop();
                self.failed(task, &message);
            }
            _ => return,
        }
        self.next();
        self.show_state();
    }

    fn restyled(
        &self,
        task: Option<Task>,
        engine: &str,
        [width, height]: [usize; 2],
        seconds: f64,
        pixels: &ArrayBuffer,
    ) -> Result<(), JsValue> {
        let size = text::size(width, height);
        match task {
            Some(Task::Thumbnail(number)) => return self.controls.draw_thumbnail(number, [width, height], pixels),
            Some(Task::FilmFrame) => {
                draw("restyle-result", [width, height], pixels)?;
                self.film.answer(Ok(()));
                return Ok(());
            }
            Some(Task::Frame) => {
                let (before, rate) = self.rate.get();
                let a_second = 1e3 / (now() - before).max(1.0);
                // A mean over the last ten or so, which one can read.
                let rate = if rate > 0.0 { 0.9 * rate + 0.1 * a_second } else { a_second };
                self.rate.set((now(), rate));
                set_text("restyle-facts", &format!("{rate:.1} frames a second, {size}, on {engine}"));
            }
            _ => {
                let facts = format!("{size} in {} on {engine}", text::seconds(seconds));
                set_text("restyle-facts", &facts);
                announce(&format!("Redrawn: {facts}."));
            }
        }
        draw("restyle-result", [width, height], pixels)
    }

    /// Draws the gallery again, from the picture that is open.
    fn renew_thumbnails(&self) {
        *self.thumbnails.borrow_mut() = (0..self.controls.styles()).collect();
    }

    fn failed(self: &Rc<Self>, task: Option<Task>, message: &str) {
        match task {
            Some(Task::Open { name, .. }) => {
                self.error(&format!("“{name}” cannot be opened as a picture. {}", text::sentence(message)))
            }
            Some(Task::FilmFrame) => self.film.answer(Err(message)),
            Some(Task::Adopt(name)) => self.not_adopted(&name, message),
            Some(Task::Styles) => {
                self.model.take();
                self.error(&format!("The styles cannot be loaded. {}", text::sentence(message)));
            }
            _ => {
                self.thumbnails.take();
                self.error(&format!("The picture was not redrawn. {}", text::sentence(message)));
            }
        }
    }

    /// Says what went wrong; nothing for nothing.
    fn error(&self, message: &str) {
        set_text("restyle-error-text", message);
        show("restyle-error", !message.is_empty());
        if !message.is_empty() {
            announce(message);
        }
    }

    /// Shows what there is and what is going on.
    fn show_state(&self) {
        let live = self.camera.is_on();
        let picture = self.picture.borrow().is_some();
        let state = if live {
            "live"
        } else if picture {
            "picture"
        } else {
            "idle"
        };
        let busy = self.busy.borrow();
        let film = self.film.progress();
        let (working, title) = match &*busy {
            _ if film.is_some() => (true, ""),
            Some(Task::Open { .. }) => (true, "Opening the picture"),
            Some(Task::Styles) => (picture || live, "Fetching the model"),
            Some(Task::Adopt(_)) => (true, "Taking the style"),
            Some(Task::Result) => (true, "Redrawing"),
            // Behind a picture of the gallery.
            _ => (picture && !live && self.dirty.get(), "Redrawing"),
        };
        show("restyle-working", working);
        if working {
            let (title, share) = film.map_or((title.to_owned(), None), |(title, share)| (title, Some(share)));
            set_text("restyle-work", &title);
            set_progress("restyle-progress", share);
        }
        for (name, value) in [("data-state", state), ("aria-busy", if working { "true" } else { "false" })] {
            if let Err(error) = self.room.set_attribute(name, value) {
                warn("state", &error);
            }
        }
    }

    fn listen(self: &Rc<Self>) -> Result<(), JsValue> {
        let app = self.clone();
        on(by_id::<HtmlElement>("restyle-stop")?, "click", move |_: MouseEvent| {
            app.restart();
            announce("Stopped.");
        });
        let app = self.clone();
        on(by_id::<HtmlElement>("restyle-error-close")?, "click", move |_: MouseEvent| app.error(""));
        for (id, format) in
            [("restyle-png", FileFormat::Png), ("restyle-jpeg", FileFormat::Jpeg), ("restyle-webp", FileFormat::WebP)]
        {
            let app = self.clone();
            on(by_id::<HtmlElement>(id)?, "click", move |_: MouseEvent| app.save(format));
        }
        Ok(())
    }

    fn save(self: &Rc<Self>, format: FileFormat) {
        let name = match &*self.picture.borrow() {
            Some((name, _)) => text::result_name(name, "restyled", format.extension()),
            None => return,
        };
        let app = self.clone();
        spawn_local(async move {
            let saved: Result<(), JsValue> = async {
                let canvas: HtmlCanvasElement = by_id("restyle-result")?;
                offer(&to_blob(&canvas, format, Some(0.92)).await?, &name)
            }
            .await;
            match saved {
                Ok(()) => announce(&format!("{name} is downloaded.")),
                Err(error) => app.error(&format!("The picture was not saved. {}", channel::thrown(&error))),
            }
        });
    }
}

/// RGBA as the browser has it.
///
/// # Errors
/// When the size does not fit.
fn image(pixels: &ArrayBuffer, width: usize) -> Result<ImageData, JsValue> {
    let width = u32::try_from(width).map_err(|_| "too wide")?;
    // What lies in this program's own memory would be shared, not copied, and be another picture once that memory is used again.
    ImageData::new_with_js_u8_clamped_array(&Uint8ClampedArray::new(pixels), width)
}

/// Shows RGBA on the canvas `id`, which takes its size.
///
/// # Errors
/// What the browser throws.
fn draw(id: &str, [width, height]: [usize; 2], pixels: &ArrayBuffer) -> Result<(), JsValue> {
    let canvas: HtmlCanvasElement = by_id(id)?;
    put(&canvas, [width, height], &image(pixels, width)?)
}

/// The same for a canvas at hand.
fn put(canvas: &HtmlCanvasElement, [width, height]: [usize; 2], pixels: &ImageData) -> Result<(), JsValue> {
    let size = |size: usize| u32::try_from(size).map_err(|_| JsValue::from_str("too large"));
    // Setting a size clears the canvas even if it is the same, which would flicker.
    if (canvas.width(), canvas.height()) != (size(width)?, size(height)?) {
        canvas.set_width(size(width)?);
        canvas.set_height(size(height)?);
    }
    context(canvas)?.put_image_data(pixels, 0.0, 0.0)
}
