//! Enlarging: progress, time left, Stop, the result.

use std::cell::Cell;
use std::rc::Rc;

use wasm_bindgen::JsValue;
use web_sys::{HtmlElement, MouseEvent};

use super::{Enlarger, Phase};
use crate::messages::Engine;
use crate::messages::pictures::ToWorker;
use crate::ui::dom::{by_id, now, on, property, warn, window};
use crate::ui::{announce, focus, notice, set_progress, set_text};
use crate::{estimate, limits, text};
use shared::catalogue::Model;

/// An enlargement, running or done.
pub struct Run {
    /// With what.
    pub model: Model,
    engine: Option<Engine>,
    tiles: usize,
    /// When the first tile began, in milliseconds.
    began: f64,
    /// The quarters that were announced.
    quarters: Cell<usize>,
}

impl Enlarger {
    /// Starts to enlarge what is open as it was chosen.
    pub fn enlarge(self: &Rc<Self>) {
        let (Some(picture), Some(model)) = (self.picture.borrow().clone(), self.options.model()) else { return };
        if self.phase.get() == Phase::Running {
            return;
        }
        let (width, height) = (picture.width * model.scale, picture.height * model.scale);
        self.viewer.clear_result();
        self.viewer.set_scale(model.scale);
        let room = limits::check(width, height).map_err(|e| JsValue::from_str(&e));
        if let Err(error) = room.and_then(|()| self.viewer.begin_result(width, height)) {
            self.viewer.clear_result();
            return self.error(&format!("{} Choose a smaller scale or a smaller picture.", crate::channel::thrown(&error)));
        }
        let job = self.next_job();
        let message =
            ToWorker::Enlarge { job, model: Box::new(model.clone()), engine: self.options.engine(), workers: workers() };
        *self.run.borrow_mut() = Some(Run { model, engine: None, tiles: 0, began: now(), quarters: Cell::default() });
        self.tell_worker(message, None);
        self.enter(Phase::Running);
        self.progress("Preparing", None, "");
        announce("Enlarging has begun. Escape stops it.");
        focus("stop");
    }

    /// Stops; the tile at hand is still computed.
    pub fn stop(&self) {
        self.tell_worker(ToWorker::Stop, None);
        self.progress("Stopping after this tile", None, "");
    }

    fn progress(&self, title: &str, value: Option<f64>, detail: &str) {
        set_text("work-title", title);
        set_text("work-detail", detail);
        set_progress("progress", value);
    }

    /// The weights arrive.
    pub fn show_weights(&self, received: u64, total: u64) {
        let detail = format!("{} of {}", text::bytes(received), text::bytes(total));
        self.progress("Fetching the model", Some(received as f64 / total.max(1) as f64), &detail);
    }

    /// The tiles will follow.
    pub fn started(&self, engine: Engine, tiles: usize, again: bool) {
        if let Err(error) = self.room.set_attribute("data-engine", engine.name()) {
            warn("engine", &error);
        }
        if let Engine::Cpu { gpu_error: Some(error), .. } = &engine {
            let sentence = format!("The graphics card failed, so the processor goes on. ({error})");
            notice(&sentence);
            announce(&sentence);
        }
        if again {
            let sentence = "The browser lost the graphics card and found it again, so the picture was started anew.";
            notice(sentence);
            announce(sentence);
        }
        // Tiles from an attempt on the GPU may already be there; those of the CPU cover them.
        if let Some(run) = self.run.borrow_mut().as_mut() {
            self.progress(&format!("Enlarging on {}", engine.label()), Some(0.0), &format!("0 of {tiles} tiles"));
            (run.engine, run.tiles, run.began) = (Some(engine), tiles, now());
        }
    }

    /// A tile is there.
    pub fn tile(self: &Rc<Self>, done: usize, draw: impl FnOnce() -> Result<(), JsValue>) {
        if let Err(error) = draw() {
            self.tell_worker(ToWorker::Stop, None);
            return self.run_failed(&format!("The result cannot be drawn: {}", crate::channel::thrown(&error)));
        }
        let run = self.run.borrow();
        let Some(run) = run.as_ref() else { return };
        let left = estimate::left((now() - run.began) / 1e3, done, run.tiles).filter(|&left| left > 0.0);
        let left = left.map(|left| format!(" · about {} left", text::about(left))).unwrap_or_default();
        let title = run.engine.as_ref().map(|engine| format!("Enlarging on {}", engine.label())).unwrap_or_default();
        let share = done as f64 / run.tiles.max(1) as f64;
        self.progress(&title, Some(share), &format!("{done} of {} tiles{left}", run.tiles));
        let quarter = (share * 4.0) as usize;
        if quarter > run.quarters.replace(quarter) && quarter < 4 {
            announce(&format!("{} percent{left}.", quarter * 25));
        }
    }

    /// All tiles are there.
    pub fn finished(&self, seconds: f64) {
        let facts = {
            let (run, picture) = (self.run.borrow(), self.picture.borrow());
            let (Some(run), Some(picture)) = (run.as_ref(), picture.as_ref()) else { return };
            let engine = run.engine.clone().unwrap_or_else(|| Engine::cpu(None));
            let scale = run.model.scale;
            let from = text::size(picture.width, picture.height);
            let to = text::size(picture.width * scale, picture.height * scale);
            set_text("fact-size", &format!("{from} → {to}"));
            set_text("fact-engine", &engine.label());
            set_text("fact-time", &text::seconds(seconds));
            let measured = estimate::measured_rate(picture.width * picture.height, run.model.parameters, seconds);
            remember_rate(matches!(engine, Engine::WebGpu(_)), measured);
            format!("Finished: {to} pixels in {}, on {}.", text::seconds(seconds), engine.label())
        };
        self.enter(Phase::Done);
        self.viewer.compare(true);
        announce(&facts);
        focus("outcome-title");
    }

    /// Stopped as asked.
    pub fn stopped(&self) {
        self.run.take();
        self.viewer.clear_result();
        self.enter(Phase::Ready);
        announce("Stopped.");
        focus("enlarge");
    }

    /// It did not work.
    pub fn run_failed(&self, message: &str) {
        self.next_job();
        self.run.take();
        self.viewer.clear_result();
        self.error(&format!("The picture was not enlarged. {}", text::sentence(message)));
    }
}

/// Workers that share a picture on the CPU. Each has a wasm memory and a network of its own, about 100 MB.
fn workers() -> usize {
    let Ok(navigator) = window().map(|w| w.navigator()) else { return 1 };
    // Gigabytes, rounded; only some browsers say it.
    let memory = property(&navigator, "deviceMemory").and_then(|memory| memory.as_f64());
    let most = if memory.is_some_and(|memory| memory <= 2.0) { 2.0 } else { 4.0 };
    navigator.hardware_concurrency().clamp(1.0, most) as usize
}

fn rate_key(gpu: bool) -> &'static str {
    if gpu { "atelier-rate-gpu" } else { "atelier-rate-cpu" }
}

/// How fast the engine was last time, for [`estimate::seconds`].
pub fn rate(gpu: bool) -> f64 {
    let stored = window().and_then(|w| w.local_storage()).ok().flatten().and_then(|s| s.get_item(rate_key(gpu)).ok()?);
    let measured = stored.and_then(|text| text.parse::<f64>().ok()).filter(|rate| rate.is_finite() && *rate > 0.0);
    measured.unwrap_or_else(|| estimate::assumed_rate(gpu))
}

fn remember_rate(gpu: bool, rate: f64) {
    let storage = window().and_then(|w| w.local_storage()).ok().flatten();
    // A full or forbidden storage only means that the next estimate is no better than this one.
    let _ = storage.map(|s| s.set_item(rate_key(gpu), &format!("{rate:.0}")));
}

/// Listens to the buttons.
///
/// # Errors
/// When index.html lacks one.
pub fn listen(app: &Rc<Enlarger>) -> Result<(), JsValue> {
    let submitted = app.clone();
    on(by_id::<HtmlElement>("options")?, "submit", move |event: web_sys::Event| {
        event.prevent_default();
        submitted.enlarge();
    });
    let stopped = app.clone();
    on(by_id::<HtmlElement>("stop")?, "click", move |_: MouseEvent| stopped.stop());
    Ok(())
}
