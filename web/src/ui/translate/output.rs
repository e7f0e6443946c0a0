//! The translation, sentence by sentence: it streams, and every word says how sure the network was.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, HtmlElement, KeyboardEvent, MouseEvent};

use crate::messages::sentences::{Alternative, Piece};
use crate::ui::dom::{by_id, clear, element, on, warn};
use crate::words;

/// Below these a word is marked as uncertain, and as doubtful.
const UNCERTAIN: f32 = 0.6;
const DOUBTFUL: f32 = 0.3;

/// Where the translation is shown.
pub struct Output {
    target: HtmlElement,
    pieces: RefCell<Vec<Shown>>,
    selected: Cell<Option<usize>>,
    /// Whether the person has chosen that sentence, so that the pointer, on its way to what is shown of it, changes nothing.
    pinned: Cell<bool>,
}

/// A piece of the text, on the page.
struct Shown {
    element: HtmlElement,
    /// Nothing for white space.
    sentence: Option<Sentence>,
    text: String,
}

#[derive(Default)]
struct Sentence {
    alternatives: Vec<Alternative>,
    chosen: usize,
    done: bool,
}

impl Output {
    /// Finds its element.
    ///
    /// # Errors
    /// When index.html lacks it.
    pub fn new() -> Result<Rc<Self>, JsValue> {
        Ok(Rc::new(Self {
            target: by_id("target")?,
            pieces: RefCell::default(),
            selected: Cell::default(),
            pinned: Cell::default(),
        }))
    }

    /// Empties it.
    pub fn clear(&self) {
        self.pieces.take();
        self.selected.take();
        self.pinned.take();
        clear(&self.target);
    }

    /// Makes room for the pieces of a text, in the language of a code.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn begin(&self, pieces: &[Piece], language: &str) -> Result<(), JsValue> {
        self.clear();
        self.target.set_attribute("lang", if language.len() == 2 { language } else { "" })?;
        let mut shown = Vec::with_capacity(pieces.len());
        for (i, piece) in pieces.iter().enumerate() {
            let class = if piece.sentence { "sentence waiting" } else { "" };
            let span = element("span", class, if piece.sentence { "…" } else { &piece.text })?;
            if piece.sentence {
                span.set_attribute("data-piece", &i.to_string())?;
            }
            self.target.append_child(&span)?;
            let text = if piece.sentence { String::new() } else { piece.text.clone() };
            shown.push(Shown { element: span, sentence: piece.sentence.then(Sentence::default), text });
        }
        *self.pieces.borrow_mut() = shown;
        Ok(())
    }

    /// A sentence as far as it is.
    pub fn partial(&self, piece: usize, text: &str) {
        if let Some(shown) = self.pieces.borrow_mut().get_mut(piece) {
            shown.element.set_text_content(Some(text));
            shown.text = text.to_owned();
        }
    }

    /// A sentence is done.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn sentence(&self, piece: usize, alternatives: Vec<Alternative>) -> Result<(), JsValue> {
        if let Some(Shown { element, sentence: Some(sentence), .. }) = self.pieces.borrow_mut().get_mut(piece) {
            *sentence = Sentence { alternatives, chosen: 0, done: true };
            element.set_class_name("sentence");
            element.set_attribute("role", "button")?;
            element.set_attribute("tabindex", "0")?;
            element.set_attribute("aria-controls", "inspector")?;
        }
        self.choose(piece, 0)
    }

    /// A sentence cannot be translated: it stays as it was written.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn skipped(&self, piece: usize, message: &str) -> Result<(), JsValue> {
        let mut pieces = self.pieces.borrow_mut();
        let Some(Shown { element, sentence: Some(sentence), .. }) = pieces.get_mut(piece) else { return Ok(()) };
        sentence.done = true;
        element.set_class_name("sentence skipped");
        element.set_text_content(Some("[not translated]"));
        element.set_attribute("title", message)
    }

    /// Shows another translation of a sentence.
    ///
    /// # Errors
    /// What the browser throws.
    pub fn choose(&self, piece: usize, which: usize) -> Result<(), JsValue> {
        let mut pieces = self.pieces.borrow_mut();
        let Some(Shown { element: span, sentence: Some(sentence), text }) = pieces.get_mut(piece) else { return Ok(()) };
        let Some(alternative) = sentence.alternatives.get(which) else { return Ok(()) };
        sentence.chosen = which;
        alternative.text.clone_into(text);
        clear(span);
        for stretch in words::find(&alternative.text, &alternative.target) {
            let sure = stretch.word.and_then(|word| alternative.confidence.get(word)).copied();
            let class = match sure {
                Some(sure) if sure < DOUBTFUL => "word doubtful",
                Some(sure) if sure < UNCERTAIN => "word uncertain",
                _ => "word",
            };
            let word = element("span", class, stretch.text)?;
            if let Some(number) = stretch.word {
                word.set_attribute("data-word", &number.to_string())?;
            }
            if let Some(sure) = sure {
                word.set_attribute("title", &format!("{:.0} % sure", 100.0 * sure))?;
            }
            span.append_child(&word)?;
        }
        Ok(())
    }

    /// The translations of a sentence, and which of them is shown.
    pub fn alternatives(&self, piece: usize) -> Option<(Vec<Alternative>, usize)> {
        let pieces = self.pieces.borrow();
        let sentence = pieces.get(piece)?.sentence.as_ref()?;
        (!sentence.alternatives.is_empty()).then(|| (sentence.alternatives.clone(), sentence.chosen))
    }

    /// The sentence that is being looked at.
    pub fn selected(&self) -> Option<usize> {
        self.selected.get()
    }

    /// Marks the sentence that is being looked at.
    pub fn select(&self, piece: usize) {
        self.selected.set(Some(piece));
        for (i, shown) in self.pieces.borrow().iter().enumerate() {
            if shown.sentence.as_ref().is_some_and(|s| s.done)
                && let Err(error) = shown.element.set_attribute("aria-pressed", if i == piece { "true" } else { "false" })
            {
                warn("selection", &error);
            }
        }
    }

    /// Sentences that are done, and all.
    pub fn progress(&self) -> (usize, usize) {
        let pieces = self.pieces.borrow();
        let sentences = || pieces.iter().filter_map(|shown| shown.sentence.as_ref());
        (sentences().filter(|s| s.done).count(), sentences().count())
    }

    /// All of it, to be copied.
    pub fn text(&self) -> String {
        self.pieces.borrow().iter().map(|shown| shown.text.as_str()).collect()
    }

    /// Calls `selected` with the sentence, and the word in it, that is pointed at, or chosen with a click or the keyboard.
    pub fn on_select(self: &Rc<Self>, selected: impl Fn(usize, Option<usize>) + Clone + 'static) {
        let (output, pointed) = (self.clone(), selected.clone());
        on(&self.target, "mouseover", move |event: MouseEvent| {
            let Some(piece) = number(&event, "data-piece") else { return };
            if !output.pinned.get() || output.selected() == Some(piece) {
                pointed(piece, number(&event, "data-word"));
            }
        });
        let (output, clicked) = (self.clone(), selected.clone());
        on(&self.target, "click", move |event: MouseEvent| {
            if let Some(piece) = number(&event, "data-piece") {
                output.pinned.set(true);
                clicked(piece, number(&event, "data-word"));
            }
        });
        let output = self.clone();
        on(&self.target, "keydown", move |event: KeyboardEvent| {
            if matches!(event.key().as_str(), "Enter" | " ")
                && let Some(piece) = number(&event, "data-piece")
            {
                event.prevent_default();
                output.pinned.set(true);
                selected(piece, None);
            }
        });
    }
}

/// The number that the element under the pointer, or one around it, carries under `name`.
fn number(event: &web_sys::Event, name: &str) -> Option<usize> {
    let element: Element = event.target()?.dyn_into().ok()?;
    element.closest(&format!("[{name}]")).ok()??.get_attribute(name)?.parse().ok()
}
