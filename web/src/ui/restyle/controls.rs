//! What a person chooses: styles, how much of each, how strongly, how large.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::ArrayBuffer;
use shared::checkpoint::Style;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{HtmlCanvasElement, HtmlElement, HtmlInputElement, HtmlSelectElement, MouseEvent};

use super::pad::Pad;
use super::{Restyler, image, put};
use crate::messages::Choice;
use crate::messages::pictures::Wish;
use crate::ui::dom::{by_id, element, on, warn};
use crate::ui::{set_text, show, wanted_engine};

/// Longest side of a frame where the picture's own size is chosen.
const FRAME_SIDE: usize = 512;

/// A style in the gallery.
struct Tile {
    name: String,
    /// Whether it is of a picture of the person's own.
    own: bool,
    button: HtmlElement,
    canvas: HtmlCanvasElement,
    /// How much of it is in a blend, and the row that says so.
    weight: HtmlInputElement,
    row: HtmlElement,
}

/// The form.
pub struct Controls {
    gallery: HtmlElement,
    /// The last of the gallery: takes a style from a picture.
    take: HtmlElement,
    weights: HtmlElement,
    blend: HtmlInputElement,
    strength: HtmlInputElement,
    keep: HtmlInputElement,
    side: HtmlSelectElement,
    engine: HtmlSelectElement,
    compare: HtmlInputElement,
    tiles: RefCell<Vec<Tile>>,
    /// Where a blend is mixed by hand.
    pub pad: Pad,
}

fn is_pressed(button: &HtmlElement) -> bool {
    button.get_attribute("aria-pressed").as_deref() == Some("true")
}

impl Controls {
    /// As index.html has it.
    ///
    /// # Errors
    /// When it lacks an element.
    pub fn new() -> Result<Self, JsValue> {
        let engine: HtmlSelectElement = by_id("restyle-engine")?;
        engine.set_value(wanted_engine()?.name());
        Ok(Self {
            gallery: by_id("restyle-gallery")?,
            take: by_id("restyle-take-style")?,
            weights: by_id("restyle-weights")?,
            blend: by_id("restyle-blend")?,
            strength: by_id("restyle-strength")?,
            keep: by_id("restyle-keep")?,
            side: by_id("restyle-side")?,
            engine,
            compare: by_id("restyle-compare")?,
            tiles: RefCell::default(),
            pad: Pad::new()?,
        })
    }

    /// What it shall run on.
    pub fn engine(&self) -> Choice {
        Choice::parse(&self.engine.value())
    }

    /// Longest side; 0: as it is.
    pub fn side(&self) -> usize {
        self.side.value().parse().unwrap_or_default()
    }

    /// Longest side of what moves.
    pub fn side_of_frames(&self) -> usize {
        if self.side() == 0 { FRAME_SIDE } else { self.side() }
    }

    /// What is chosen, for the picture that is open.
    pub fn wish(&self) -> Wish {
        let tiles = self.tiles.borrow();
        let pressed: Vec<&Tile> = tiles.iter().filter(|tile| is_pressed(&tile.button)).collect();
        let part = |tile: &&Tile| (tile.name.clone(), tile.weight.value_as_number() as f32);
        let mut parts: Vec<(String, f32)> = pressed.iter().map(part).filter(|(_, part)| *part > 0.0).collect();
        // One alone, or several that all stand at nothing, count the same.
        if parts.is_empty() || !self.blend.checked() {
            parts = pressed.iter().map(|tile| (tile.name.clone(), 1.0)).collect();
        }
        let strength = (self.strength.value_as_number() as f32 / 100.0).clamp(0.0, 1.0);
        Wish { parts, strength, keep_colours: self.keep.checked(), side: self.side(), frame: None }
    }

    /// How many styles the gallery has.
    pub fn styles(&self) -> usize {
        self.tiles.borrow().len()
    }

    /// The name of a style, and whether it is the person's own.
    pub fn style(&self, number: usize) -> Option<(String, bool)> {
        self.tiles.borrow().get(number).map(|tile| (tile.name.clone(), tile.own))
    }

    /// Whether a style of the person's own is chosen.
    pub fn wants_own(&self) -> bool {
        self.tiles.borrow().iter().any(|tile| tile.own && is_pressed(&tile.button))
    }

    /// Shows the styles that there are; the first one is chosen.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn show_gallery(&self, app: &Rc<Restyler>, styles: &[Style]) -> Result<(), JsValue> {
        styles.iter().try_for_each(|style| self.add(app, style, false))?;
        self.press(0);
        Ok(())
    }

    /// Shows a style of the person's own, and chooses it.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn show_own(&self, app: &Rc<Restyler>, style: &Style) -> Result<(), JsValue> {
        self.add(app, style, true)?;
        self.press(self.styles() - 1);
        Ok(())
    }

    fn add(&self, app: &Rc<Restyler>, Style { name, title }: &Style, own: bool) -> Result<(), JsValue> {
        let number = self.styles();
        let button = element("button", "style", "")?;
        button.set_attribute("type", "button")?;
        button.set_attribute("aria-pressed", "false")?;
        button.set_title(title);
        let canvas: HtmlCanvasElement = element("canvas", "", "")?.unchecked_into();
        canvas.set_attribute("aria-hidden", "true")?;
        canvas.set_width(128);
        canvas.set_height(96);
        // The work's title; who made it and when stands in the tooltip.
        let (short, _) = title.split_once(',').unwrap_or((title, ""));
        button.append_with_node_2(&canvas, &*element("span", "", short)?)?;
        self.gallery.insert_before(&button, Some(&self.take))?;
        let weight: HtmlInputElement = element("input", "", "")?.unchecked_into();
        weight.set_type("range");
        weight.set_min("0");
        weight.set_max("100");
        weight.set_value("50");
        let row = element("label", "part", "")?;
        row.append_with_node_2(&*element("span", "", short)?, &weight)?;
        row.set_hidden(true);
        self.weights.append_child(&row)?;
        let moved = app.clone();
        on(&weight, "input", move |_: web_sys::Event| {
            moved.controls.show_pad();
            moved.change();
        });
        let pressed = app.clone();
        on(&button, "click", move |_: MouseEvent| {
            pressed.controls.press(number);
            pressed.change();
        });
        self.tiles.borrow_mut().push(Tile { name: name.clone(), own, button, canvas, weight, row });
        Ok(())
    }

    /// A style is clicked: it alone is chosen, or, in a blend, it is added or taken away; one stays.
    fn press(&self, number: usize) {
        let tiles = self.tiles.borrow();
        let others = tiles.iter().enumerate().any(|(i, tile)| i != number && is_pressed(&tile.button));
        for (i, tile) in tiles.iter().enumerate() {
            let press = match (self.blend.checked(), i == number) {
                (false, clicked) => clicked,
                (true, true) => !(is_pressed(&tile.button) && others),
                (true, false) => is_pressed(&tile.button),
            };
            if let Err(error) = tile.button.set_attribute("aria-pressed", if press { "true" } else { "false" }) {
                warn("gallery", &error);
            }
        }
        drop(tiles);
        self.show_weights();
    }

    /// Weights are for what is in a blend.
    fn show_weights(&self) {
        let blend = self.blend.checked();
        for tile in self.tiles.borrow().iter() {
            tile.row.set_hidden(!(blend && is_pressed(&tile.button)));
        }
        show("restyle-weights", blend);
        self.show_pad();
    }

    /// Shows the blend on the pad.
    fn show_pad(&self) {
        let tiles = self.tiles.borrow();
        let mixed: Vec<&Tile> = tiles.iter().filter(|tile| self.blend.checked() && is_pressed(&tile.button)).collect();
        let pictures: Vec<HtmlCanvasElement> = mixed.iter().map(|tile| tile.canvas.clone()).collect();
        let weights: Vec<f64> = mixed.iter().map(|tile| tile.weight.value_as_number()).collect();
        if let Err(error) = self.pad.show(&pictures, &weights) {
            warn("pad", &error);
        }
    }

    /// Sets how much there is of each style in the blend.
    pub fn weigh(&self, weights: &[f64]) {
        let tiles = self.tiles.borrow();
        for (tile, weight) in tiles.iter().filter(|tile| is_pressed(&tile.button)).zip(weights) {
            tile.weight.set_value(&format!("{:.0}", 100.0 * weight));
        }
    }

    /// A blend ends with the first of its styles.
    fn end_blend(&self) {
        let first = self.tiles.borrow().iter().position(|tile| is_pressed(&tile.button));
        if let Some(first) = first.filter(|_| !self.blend.checked()) {
            self.press(first);
        }
        self.show_weights();
    }

    /// Draws a style of the gallery.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn draw_thumbnail(&self, number: usize, size: [usize; 2], pixels: &ArrayBuffer) -> Result<(), JsValue> {
        if let Some(tile) = self.tiles.borrow().get(number) {
            put(&tile.canvas, size, &image(pixels, size[0])?)?;
        }
        self.show_pad();
        Ok(())
    }

    fn show_strength(&self) {
        set_text("restyle-strength-value", &format!("{} %", self.strength.value()));
    }

    /// Covers the result with the picture as it was, up to where the slider is.
    fn show_comparison(&self) {
        let cover = || -> Result<(), JsValue> {
            let before: HtmlElement = by_id("restyle-before")?;
            let right = 100.0 - self.compare.value_as_number().clamp(0.0, 100.0);
            before.style().set_property("clip-path", &format!("inset(0 {right}% 0 0)"))
        };
        if let Err(error) = cover() {
            warn("comparison", &error);
        }
    }
}

/// Listens to the form.
///
/// # Errors
/// When index.html lacks an element.
pub fn listen(app: &Rc<Restyler>) -> Result<(), JsValue> {
    let controls = &app.controls;
    let moved = app.clone();
    on(&controls.strength, "input", move |_: web_sys::Event| {
        moved.controls.show_strength();
        moved.change();
    });
    for target in [controls.keep.clone().unchecked_into::<HtmlElement>(), controls.side.clone().unchecked_into()] {
        let changed = app.clone();
        on(&target, "change", move |_: web_sys::Event| changed.change());
    }
    let changed = app.clone();
    on(&controls.engine, "change", move |_: web_sys::Event| changed.change());
    let blended = app.clone();
    on(&controls.blend, "change", move |_: web_sys::Event| {
        blended.controls.end_blend();
        blended.change();
    });
    let compared = app.clone();
    on(&controls.compare, "input", move |_: web_sys::Event| compared.controls.show_comparison());
    controls.show_strength();
    controls.show_comparison();
    Ok(())
}
