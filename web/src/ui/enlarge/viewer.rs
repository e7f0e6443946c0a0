//! The stage: the picture before and after, with a slider between, zoom and pan.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{ArrayBuffer, Uint8ClampedArray};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    Element, HtmlButtonElement, HtmlCanvasElement, HtmlElement, ImageData, KeyboardEvent, MouseEvent, PointerEvent,
    ResizeObserver, WheelEvent,
};

use crate::messages::pictures::Sheet;
use crate::ui::dom::{by_id, context, is_lost, on, warn, window};
use crate::view::View;

/// A step of the zoom buttons and keys.
const STEP: f64 = 1.25;
/// How far an arrow key moves the picture, in CSS pixels.
const PAN: f64 = 48.0;

/// The stage and its two sheets.
pub struct Viewer {
    frame: HtmlElement,
    stage: HtmlElement,
    before_layer: HtmlElement,
    after_layer: HtmlElement,
    before: HtmlCanvasElement,
    result: HtmlCanvasElement,
    split: HtmlElement,
    level: HtmlElement,
    view: Cell<View>,
    /// Where the slider stands, 0 to 100.
    percent: Cell<f64>,
    comparing: Cell<bool>,
    fingers: RefCell<Vec<Finger>>,
}

/// A pointer that is down on the stage.
#[derive(Clone, Copy)]
struct Finger {
    id: i32,
    at: [f64; 2],
    /// Whether it moves the slider, not the picture.
    splits: bool,
}

impl Viewer {
    /// Finds the elements and listens to them.
    ///
    /// # Errors
    /// When index.html lacks one.
    pub fn new() -> Result<Rc<Self>, JsValue> {
        let after_layer: HtmlElement = by_id("after")?;
        let before: HtmlCanvasElement = by_id("before")?;
        let before_layer = before.parent_element().ok_or("no layer")?.unchecked_into();
        let viewer = Rc::new(Self {
            frame: by_id("viewer")?,
            stage: by_id("stage")?,
            before_layer,
            after_layer,
            before,
            result: by_id("result")?,
            split: by_id("split")?,
            level: by_id("zoom-level")?,
            view: Cell::new(View::new([1.0, 1.0], [1.0, 1.0])),
            percent: Cell::new(50.0),
            comparing: Cell::new(false),
            fingers: RefCell::default(),
        });
        viewer.listen()?;
        Ok(viewer)
    }

    /// Shows a picture from its RGBA. It will be enlarged by `scale`, so it lies on a sheet of that size.
    ///
    /// # Errors
    /// When the browser cannot hold it.
    pub fn open(&self, width: usize, height: usize, alpha: bool, pixels: &ArrayBuffer, scale: usize) -> Result<(), JsValue> {
        self.clear_result();
        size(&self.before, width, height)?;
        self.draw(Sheet::Picture, [0, 0], [width, height], pixels)?;
        self.stage.class_list().toggle_with_force("alpha", alpha)?;
        self.set_scale(scale);
        Ok(())
    }

    /// The sheet has the size of the picture times `scale`.
    pub fn set_scale(&self, scale: usize) {
        let sheet = [self.before.width(), self.before.height()].map(|side| f64::from(side) * scale as f64);
        self.view.set(View::new(self.stage_size(), sheet));
        self.show();
    }

    /// Makes room for a result.
    ///
    /// # Errors
    /// When the browser cannot hold it.
    pub fn begin_result(&self, width: usize, height: usize) -> Result<(), JsValue> {
        self.compare(false);
        size(&self.result, width, height)
    }

    /// Draws a part of a sheet.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn draw(&self, sheet: Sheet, at: [usize; 2], size: [usize; 2], pixels: &ArrayBuffer) -> Result<(), JsValue> {
        let canvas = match sheet {
            Sheet::Picture => &self.before,
            Sheet::Result => &self.result,
        };
        put(canvas, pixels, at, size)
    }

    /// Calls `redraw` for a sheet that the browser lost and gives back, blank.
    pub fn on_restored(&self, redraw: impl Fn(Sheet) + Clone + 'static) {
        for (canvas, sheet) in [(&self.before, Sheet::Picture), (&self.result, Sheet::Result)] {
            let redraw = redraw.clone();
            on(canvas, "contextrestored", move |_: web_sys::Event| redraw(sheet));
        }
    }

    /// Takes the result away.
    pub fn clear_result(&self) {
        self.compare(false);
        self.result.set_width(1);
        self.result.set_height(1);
    }

    /// The canvas of the result.
    pub fn result(&self) -> &HtmlCanvasElement {
        &self.result
    }

    /// Whether the slider is there.
    pub fn compare(&self, on: bool) {
        self.comparing.set(on);
        let value = if on { "yes" } else { "no" };
        if let Err(error) = self.frame.set_attribute("data-compare", value) {
            warn("viewer", &error);
        }
        self.set_split(50.0);
    }

    /// The stage may have been hidden until now.
    pub fn refresh(&self) {
        self.change(|view| view.resize(self.stage_size()));
    }

    fn stage_size(&self) -> [f64; 2] {
        [self.stage.client_width().into(), self.stage.client_height().into()]
    }

    fn change(&self, change: impl FnOnce(&mut View)) {
        let mut view = self.view.get();
        change(&mut view);
        self.view.set(view);
        self.show();
    }

    fn show(&self) {
        let view = self.view.get();
        let [left, top, width, height] = view.place();
        for canvas in [&self.before, &self.result] {
            let style = canvas.style();
            set(&style, "width", &format!("{width}px"));
            set(&style, "height", &format!("{height}px"));
            set(&style, "transform", &format!("translate({left}px, {top}px)"));
        }
        let percent = (view.zoom() * pixel_ratio() * 100.0).round();
        self.level.set_text_content(Some(&format!("{percent} %")));
        // What the class asks for cannot fail for a class without spaces.
        let _ = self.stage.class_list().toggle_with_force("pans", view.can_pan());
    }

    fn set_split(&self, percent: f64) {
        let percent = percent.clamp(0.0, 100.0);
        self.percent.set(percent);
        let (left, right) = if self.comparing.get() { (percent, 100.0 - percent) } else { (0.0, 0.0) };
        // Both are cut: under a transparent result the original must not show.
        set(&self.after_layer.style(), "clip-path", &format!("inset(0 0 0 {left}%)"));
        set(&self.before_layer.style(), "clip-path", &format!("inset(0 {right}% 0 0)"));
        set(&self.split.style(), "left", &format!("{percent}%"));
        for (name, value) in [
            ("aria-valuenow", format!("{percent:.0}")),
            ("aria-valuetext", format!("{percent:.0} % original, {:.0} % enlarged", 100.0 - percent)),
        ] {
            if let Err(error) = self.split.set_attribute(name, &value) {
                warn("slider", &error);
            }
        }
    }

    fn listen(self: &Rc<Self>) -> Result<(), JsValue> {
        let button = |id: &str, act: fn(&Self)| -> Result<(), JsValue> {
            let viewer = self.clone();
            on(by_id::<HtmlButtonElement>(id)?, "click", move |_: MouseEvent| act(&viewer));
            Ok(())
        };
        button("zoom-in", |v| v.zoom_by(STEP))?;
        button("zoom-out", |v| v.zoom_by(1.0 / STEP))?;
        button("zoom-fit", |v| v.change(View::fit))?;
        button("zoom-full", Self::zoom_full)?;

        let viewer = self.clone();
        on(&self.stage, "wheel", move |event: WheelEvent| {
            event.prevent_default();
            // Lines and pages, where the browser counts in those, come in small numbers.
            let unit = if event.delta_mode() == WheelEvent::DOM_DELTA_PIXEL { 1.0 } else { 30.0 };
            // Pinching on a touchpad arrives as ctrl + wheel in small steps.
            let speed = if event.ctrl_key() { 0.01 } else { 0.002 };
            let factor = (-event.delta_y() * unit * speed).clamp(-1.0, 1.0).exp();
            let at = viewer.on_stage(&event);
            viewer.change(|view| view.zoom_to(view.zoom() * factor, at));
        });
        let viewer = self.clone();
        on(&self.stage, "dblclick", move |event: MouseEvent| {
            let at = viewer.on_stage(&event);
            let full = 1.0 / pixel_ratio();
            viewer.change(|view| if (view.zoom() - full).abs() > 1e-6 { view.zoom_to(full, at) } else { view.fit() });
        });
        let viewer = self.clone();
        on(&self.stage, "keydown", move |event: KeyboardEvent| viewer.key(&event));
        let viewer = self.clone();
        on(&self.split, "keydown", move |event: KeyboardEvent| viewer.split_key(&event));

        let viewer = self.clone();
        on(&self.stage, "pointerdown", move |event: PointerEvent| viewer.press(&event));
        let viewer = self.clone();
        on(&self.stage, "pointermove", move |event: PointerEvent| viewer.drag(&event));
        for end in ["pointerup", "pointercancel"] {
            let viewer = self.clone();
            on(&self.stage, end, move |event: PointerEvent| {
                viewer.fingers.borrow_mut().retain(|finger| finger.id != event.pointer_id());
            });
        }

        let viewer = self.clone();
        let resized = Closure::<dyn FnMut()>::new(move || viewer.refresh());
        ResizeObserver::new(resized.as_ref().unchecked_ref())?.observe(&self.stage);
        resized.forget();
        Ok(())
    }

    fn zoom_by(&self, factor: f64) {
        self.change(|view| view.zoom_to(view.zoom() * factor, view.middle()));
    }

    /// One pixel of the result on one of the screen.
    fn zoom_full(&self) {
        self.change(|view| view.zoom_to(1.0 / pixel_ratio(), view.middle()));
    }

    fn key(&self, event: &KeyboardEvent) {
        if event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        match event.key().as_str() {
            "+" | "=" => self.zoom_by(STEP),
            "-" => self.zoom_by(1.0 / STEP),
            "0" => self.change(View::fit),
            "1" => self.zoom_full(),
            "ArrowLeft" => self.change(|view| view.pan([PAN, 0.0])),
            "ArrowRight" => self.change(|view| view.pan([-PAN, 0.0])),
            "ArrowUp" => self.change(|view| view.pan([0.0, PAN])),
            "ArrowDown" => self.change(|view| view.pan([0.0, -PAN])),
            _ => return,
        }
        event.prevent_default();
    }

    fn split_key(&self, event: &KeyboardEvent) {
        let step = if event.shift_key() { 10.0 } else { 2.0 };
        let percent = match event.key().as_str() {
            "ArrowLeft" | "ArrowDown" => self.percent.get() - step,
            "ArrowRight" | "ArrowUp" => self.percent.get() + step,
            "PageDown" => self.percent.get() - 10.0,
            "PageUp" => self.percent.get() + 10.0,
            "Home" => 0.0,
            "End" => 100.0,
            _ => return,
        };
        self.set_split(percent);
        event.prevent_default();
        // The stage would pan as well.
        event.stop_propagation();
    }

    fn press(&self, event: &PointerEvent) {
        if event.button() != 0 {
            return;
        }
        if let Err(error) = self.stage.set_pointer_capture(event.pointer_id()) {
            warn("pointer", &error);
        }
        let on_split = event.target().is_some_and(|t| t.dyn_into::<Element>().is_ok_and(|t| self.split.contains(Some(&t))));
        // A picture that is all there has nowhere to go, so the whole of it moves the slider.
        let splits = self.comparing.get() && (on_split || !self.view.get().can_pan());
        let at = self.on_stage(event);
        self.fingers.borrow_mut().push(Finger { id: event.pointer_id(), at, splits });
        if splits && self.fingers.borrow().len() == 1 {
            self.set_split(at[0] / self.stage_size()[0].max(1.0) * 100.0);
        }
    }

    fn drag(&self, event: &PointerEvent) {
        let before = self.fingers.borrow().clone();
        let Some(index) = before.iter().position(|finger| finger.id == event.pointer_id()) else { return };
        let at = self.on_stage(event);
        self.fingers.borrow_mut()[index].at = at;
        match &before[..] {
            [finger] if finger.splits => self.set_split(at[0] / self.stage_size()[0].max(1.0) * 100.0),
            [finger] => self.change(|view| view.pan(difference(at, finger.at))),
            [first, second] => {
                let now = if index == 0 { [at, second.at] } else { [first.at, at] };
                let (was, is) = (distance(first.at, second.at), distance(now[0], now[1]));
                let (was_at, is_at) = (middle(first.at, second.at), middle(now[0], now[1]));
                self.change(|view| {
                    view.pan(difference(is_at, was_at));
                    view.zoom_to(view.zoom() * is / was.max(1.0), is_at);
                });
            }
            _ => {}
        }
    }

    fn on_stage(&self, event: &MouseEvent) -> [f64; 2] {
        let stage = self.stage.get_bounding_client_rect();
        [f64::from(event.client_x()) - stage.left(), f64::from(event.client_y()) - stage.top()]
    }
}

fn difference(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0] - b[0], a[1] - b[1]]
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    let [x, y] = difference(a, b);
    x.hypot(y)
}

fn middle(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [f64::midpoint(a[0], b[0]), f64::midpoint(a[1], b[1])]
}

fn pixel_ratio() -> f64 {
    window().map_or(1.0, |w| w.device_pixel_ratio()).max(0.1)
}

fn set(style: &web_sys::CssStyleDeclaration, name: &str, value: &str) {
    if let Err(error) = style.set_property(name, value) {
        warn("style", &error);
    }
}

/// Sizes a canvas and finds out whether the browser really has it: one that is too large takes no pixel, without an error. So does
/// one that was lost, whatever its size; that will be drawn when it is restored.
fn size(canvas: &HtmlCanvasElement, width: usize, height: usize) -> Result<(), JsValue> {
    let too_large =
        || JsValue::from_str(&format!("{} pixels are more than this browser can hold.", crate::text::size(width, height)));
    let context = context(canvas)?;
    let lost = is_lost(&context);
    canvas.set_width(u32::try_from(width).map_err(|_| too_large())?);
    canvas.set_height(u32::try_from(height).map_err(|_| too_large())?);
    if lost {
        return Ok(());
    }
    let (x, y) = (width as f64 - 1.0, height as f64 - 1.0);
    context.fill_rect(x, y, 1.0, 1.0);
    // Read through a canvas of one pixel: browsers take a canvas that is read from off the graphics card.
    let (_, probe) = crate::ui::dom::canvas(1, 1)?;
    let held = probe
        .draw_image_with_html_canvas_element_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(canvas, x, y, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0)
        .and_then(|()| probe.get_image_data(0.0, 0.0, 1.0, 1.0))
        .is_ok_and(|corner| corner.data().get(3) == Some(&255));
    context.clear_rect(x, y, 1.0, 1.0);
    if held { Ok(()) } else { Err(too_large()) }
}

fn put(canvas: &HtmlCanvasElement, pixels: &ArrayBuffer, [x, y]: [usize; 2], [width, height]: [usize; 2]) -> Result<(), JsValue> {
    let pixels = Uint8ClampedArray::new(pixels);
    let data = ImageData::new_with_js_u8_clamped_array_and_sh(&pixels, width as u32, height as u32)?;
    context(canvas)?.put_image_data(&data, x as f64, y as f64)
}
