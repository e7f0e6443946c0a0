//! A round pad with the styles of a blend at its rim: where the knob is says how much of each. The sliders beside it say the same, and
//! are for keyboards and screen readers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wasm_bindgen::JsValue;
use web_sys::{HtmlCanvasElement, HtmlElement, PointerEvent};

use super::Restyler;
use crate::blend::{RIM, places, weights};
use crate::ui::dom::{by_id, canvas, context, on, warn};

/// Pixels of a picture at the rim.
const PICTURE: u32 = 88;

/// The pad.
pub struct Pad {
    pad: HtmlElement,
    knob: HtmlElement,
    /// Pictures, and where they are, -1 to 1 from left to right and from top to bottom.
    rim: RefCell<Vec<(HtmlCanvasElement, [f64; 2])>>,
    held: Cell<bool>,
}

impl Pad {
    /// As index.html has it.
    ///
    /// # Errors
    /// When it lacks an element.
    pub fn new() -> Result<Self, JsValue> {
        Ok(Self { pad: by_id("restyle-pad")?, knob: by_id("restyle-knob")?, rim: RefCell::default(), held: Cell::default() })
    }

    /// Puts these pictures at the rim, and the knob where their `weights` are.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn show(&self, pictures: &[HtmlCanvasElement], weights: &[f64]) -> Result<(), JsValue> {
        self.pad.set_hidden(pictures.len() < 2);
        let mut rim = self.rim.borrow_mut();
        if rim.len() != pictures.len() {
            rim.drain(..).for_each(|(old, _)| old.remove());
            for at in places(pictures.len()) {
                let (picture, _) = canvas(PICTURE, PICTURE)?;
                put(&picture, at)?;
                self.pad.insert_before(&picture, Some(&self.knob))?;
                rim.push((picture, at));
            }
        }
        for ((small, _), picture) in rim.iter().zip(pictures) {
            // The square in the middle.
            let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
            let side = width.min(height);
            let (x, y, to) = ((width - side) / 2.0, (height - side) / 2.0, f64::from(PICTURE));
            context(small)?.draw_image_with_html_canvas_element_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(
                picture, x, y, side, side, 0.0, 0.0, to, to,
            )?;
        }
        if self.held.get() {
            return Ok(());
        }
        let sum = weights.iter().sum::<f64>().max(f64::EPSILON);
        let middle = |axis: usize| rim.iter().zip(weights).map(|((_, at), weight)| at[axis] * weight / sum).sum::<f64>();
        put(&self.knob, [middle(0), middle(1)])
    }

    /// How much of each where a pointer is.
    fn weights(&self, event: &PointerEvent) -> Result<Vec<f64>, JsValue> {
        let bounds = self.pad.get_bounding_client_rect();
        let along = |at: i32, from: f64, size: f64| 2.0 * (f64::from(at) - from) / size.max(1.0) - 1.0;
        let [x, y] = [along(event.client_x(), bounds.x(), bounds.width()), along(event.client_y(), bounds.y(), bounds.height())];
        // No further out than the pictures.
        let out = (x.hypot(y) / RIM).max(1.0);
        let at = [x / out, y / out];
        put(&self.knob, at)?;
        Ok(weights(at, &self.rim.borrow().iter().map(|(_, place)| *place).collect::<Vec<_>>()))
    }
}

fn put(element: &HtmlElement, [x, y]: [f64; 2]) -> Result<(), JsValue> {
    element.style().set_property("left", &format!("{}%", 50.0 * (x + 1.0)))?;
    element.style().set_property("top", &format!("{}%", 50.0 * (y + 1.0)))
}

/// Listens to pointers.
pub fn listen(app: &Rc<Restyler>) {
    let moved = |app: &Rc<Restyler>, event: &PointerEvent| match app.controls.pad.weights(event) {
        Ok(weights) => {
            app.controls.weigh(&weights);
            app.change();
        }
        Err(error) => warn("pad", &error),
    };
    let pad = &app.controls.pad.pad;
    let pressed = app.clone();
    on(pad, "pointerdown", move |event: PointerEvent| {
        event.prevent_default();
        let pad = &pressed.controls.pad;
        // Without capture it still follows the pointer over the pad.
        let _ = pad.pad.set_pointer_capture(event.pointer_id());
        pad.held.set(true);
        moved(&pressed, &event);
    });
    let dragged = app.clone();
    on(pad, "pointermove", move |event: PointerEvent| {
        if dragged.controls.pad.held.get() {
            moved(&dragged, &event);
        }
    });
    for end in ["pointerup", "pointercancel"] {
        let released = app.clone();
        on(pad, end, move |_: PointerEvent| released.controls.pad.held.set(false));
    }
}
