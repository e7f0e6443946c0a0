//! Scale, quality and engine.

use std::cell::RefCell;
use std::rc::Rc;

use wasm_bindgen::{JsCast, JsValue};
use web_sys::{HtmlButtonElement, HtmlElement, HtmlInputElement, HtmlSelectElement};

use super::{Enlarger, Phase};
use crate::messages::Choice;
use crate::ui::dom::{by_id, clear, element, on, warn};
use crate::ui::{notice, set_text, wanted_engine};
use crate::{estimate, limits, text};
use shared::catalogue::{Catalogue, Model};

/// What the person can choose, and what they have chosen.
pub struct Options {
    catalogue: RefCell<Catalogue>,
    scales: HtmlElement,
    qualities: HtmlElement,
    engine: HtmlSelectElement,
    enlarge: HtmlButtonElement,
}

impl Options {
    /// Finds the elements.
    ///
    /// # Errors
    /// When index.html lacks one.
    pub fn new() -> Result<Self, JsValue> {
        Ok(Self {
            catalogue: RefCell::default(),
            scales: by_id("scales")?,
            qualities: by_id("qualities")?,
            engine: by_id("engine")?,
            enlarge: by_id("enlarge")?,
        })
    }

    /// The scale that is chosen; 2 where there is none to choose.
    pub fn scale(&self) -> usize {
        checked(&self.scales).and_then(|value| value.parse().ok()).unwrap_or(2)
    }

    /// The model that is chosen.
    pub fn model(&self) -> Option<Model> {
        let quality = checked(&self.qualities)?;
        self.catalogue.borrow().find(self.scale(), &quality).cloned()
    }

    /// The engine that is chosen.
    pub fn engine(&self) -> Choice {
        Choice::parse(&self.engine.value())
    }

    /// Whether anything can be chosen now.
    pub fn enable(&self, on: bool) {
        self.engine.set_disabled(!on);
        let inputs = [&self.scales, &self.qualities].map(|group| group.query_selector_all("input"));
        for list in inputs.into_iter().flatten() {
            for input in (0..list.length()).filter_map(|i| list.get(i)) {
                input.unchecked_into::<HtmlInputElement>().set_disabled(!on);
            }
        }
    }

    fn show_scales(&self) -> Result<(), JsValue> {
        let scales = self.catalogue.borrow().scales();
        clear(&self.scales);
        for scale in &scales {
            let name = format!("×{scale}");
            let text = element("span", "", &name)?;
            let input = radio("scale", &scale.to_string(), Some(scale) == scales.first())?;
            let label = element("label", "segment", "")?;
            label.append_with_node_2(&input, &text)?;
            self.scales.append_child(&label)?;
        }
        Ok(())
    }

    /// The qualities of the scale that is chosen; keeps the one that was.
    fn show_qualities(&self, gpu: bool) -> Result<(), JsValue> {
        // The small model for a CPU, the large one for a GPU, until somebody chooses.
        let was = checked(&self.qualities).unwrap_or_else(|| if gpu { "quality" } else { "fast" }.into());
        let catalogue = self.catalogue.borrow();
        let chosen = catalogue.find(self.scale(), &was).map(|m| m.quality.clone());
        clear(&self.qualities);
        for model in catalogue.of_scale(self.scale()) {
            let input = radio("quality", &model.quality, Some(&model.quality) == chosen.as_ref())?;
            let words = element("span", "words", "")?;
            let mut facts = text::bytes(model.bytes);
            if let Some((psnr, bicubic)) = model.psnr() {
                facts = format!("{facts} · {psnr:.2} dB, {:+.2} over bicubic", psnr - bicubic);
            }
            let time = element("span", "time", "")?;
            time.set_attribute("data-model", &model.name)?;
            words.append_with_node_2(&*element("strong", "", model.quality_label())?, &time)?;
            words.append_child(&*element("small", "", &facts)?)?;
            let label = element("label", "choice", "")?;
            label.append_with_node_2(&input, &words)?;
            self.qualities.append_child(&label)?;
        }
        Ok(())
    }
}

fn checked(group: &HtmlElement) -> Option<String> {
    let input = group.query_selector("input:checked").ok()??;
    Some(input.unchecked_into::<HtmlInputElement>().value())
}

fn radio(name: &str, value: &str, checked: bool) -> Result<HtmlInputElement, JsValue> {
    let input: HtmlInputElement = element("input", "", "")?.unchecked_into();
    input.set_type("radio");
    input.set_name(name);
    input.set_value(value);
    input.set_id(&format!("{name}-{value}"));
    input.set_checked(checked);
    Ok(input)
}

impl Enlarger {
    /// Offers these models.
    pub fn offer(self: &Rc<Self>, catalogue: Catalogue) {
        if catalogue.models.is_empty() {
            notice("There is no model here that enlarges pictures.");
        }
        *self.options.catalogue.borrow_mut() = catalogue;
        let gpu = self.runs_on_gpu();
        if let Err(error) = self.options.show_scales().and_then(|()| self.options.show_qualities(gpu)) {
            warn("options", &error);
        }
        if self.picture.borrow().is_some() {
            self.viewer.set_scale(self.options.scale());
        }
        self.enter(self.phase.get());
        self.show_card();
    }

    /// The worker has looked for a GPU.
    pub fn show_engines(self: &Rc<Self>) {
        let gpu = self.gpu.borrow().clone();
        let text = match &gpu {
            Some(gpu) if gpu.software => {
                "No graphics card in reach of this browser: pictures are enlarged on the processor.".into()
            }
            Some(gpu) if gpu.name.trim().is_empty() => "Pictures are enlarged on your graphics card.".into(),
            Some(gpu) => format!("Pictures are enlarged on your graphics card ({}).", gpu.label()),
            None => "This browser gives no access to a graphics card: pictures are enlarged on the processor.".into(),
        };
        set_text("runs-on", &text);
        let automatic = if Choice::Auto.wants_gpu(gpu.as_ref()) { "Automatic: graphics card" } else { "Automatic: processor" };
        if let Some(option) = self.options.engine.query_selector("[value=auto]").ok().flatten() {
            option.set_text_content(Some(automatic));
        }
        // Nobody has chosen a quality before there was a picture to see it for.
        if self.picture.borrow().is_none() {
            clear(&self.options.qualities);
        }
        if let Err(error) = self.options.show_qualities(self.runs_on_gpu()) {
            warn("options", &error);
        }
        self.enter(self.phase.get());
    }

    /// Whether the engine that is chosen is the GPU.
    pub fn runs_on_gpu(&self) -> bool {
        self.options.engine().wants_gpu(self.gpu.borrow().as_ref())
    }

    /// Says what Enlarge would do, and whether it can.
    pub fn show_plan(&self) {
        let picture = self.picture.borrow();
        let model = self.options.model();
        let (plan, possible) = match (picture.as_ref(), &model) {
            (_, None) => ("There is no model to enlarge it with.".into(), false),
            (None, _) => (String::new(), false),
            (Some(picture), Some(model)) => {
                let (width, height) = (picture.width * model.scale, picture.height * model.scale);
                match limits::check(width, height) {
                    Ok(()) => (format!("Makes {} pixels", text::size(width, height)), true),
                    Err(error) => (format!("{error} Choose a smaller scale or a smaller picture."), false),
                }
            }
        };
        set_text("plan", &plan);
        self.options.enlarge.set_disabled(!possible || matches!(self.phase.get(), Phase::Running | Phase::Loading));
        let pixels = picture.as_ref().map(|p| p.width * p.height);
        let rate = super::run::rate(self.runs_on_gpu());
        for model in &self.options.catalogue.borrow().models {
            let place = self.options.qualities.query_selector(&format!("[data-model=\"{}\"]", model.name)).ok().flatten();
            let time = pixels.map(|pixels| format!("about {}", text::about(estimate::seconds(pixels, model.parameters, rate))));
            if let Some(place) = place {
                place.set_text_content(time.as_deref());
            }
        }
    }
}

/// Listens to the choices.
///
/// # Errors
/// When index.html lacks an element.
pub fn listen(app: &Rc<Enlarger>) -> Result<(), JsValue> {
    app.options.engine.set_value(wanted_engine()?.name());
    let changed = app.clone();
    on(by_id::<HtmlElement>("options")?, "change", move |event: web_sys::Event| {
        let input = event.target().and_then(|t| t.dyn_into::<HtmlInputElement>().ok());
        if input.is_some_and(|input| input.name() == "scale") {
            if let Err(error) = changed.options.show_qualities(changed.runs_on_gpu()) {
                warn("options", &error);
            }
            // A result keeps its place until the next run.
            if changed.phase.get() != Phase::Done {
                changed.viewer.set_scale(changed.options.scale());
            }
        }
        changed.show_plan();
        changed.show_card();
    });
    Ok(())
}
