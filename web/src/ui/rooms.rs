//! The rooms of the page, by the fragment of its address: `#translate` is a link that can be kept.

use std::rc::Rc;

use wasm_bindgen::JsValue;
use web_sys::HtmlElement;

use super::dom::{by_id, document, on, warn, window};
use super::restyle::Restyler;
use super::translate::Interpreter;

const ROOMS: [&str; 3] = ["enlarge", "restyle", "translate"];

/// Shows the room of the address, now and whenever it changes.
///
/// # Errors
/// When index.html lacks an element.
pub fn listen(interpreter: &Rc<Interpreter>, restyler: &Rc<Restyler>) -> Result<(), JsValue> {
    let (interpreter, restyler) = (interpreter.clone(), restyler.clone());
    let enter = move || {
        if let Err(error) = enter(&interpreter, &restyler) {
            warn("room", &error);
        }
    };
    enter();
    on(window()?, "hashchange", move |_: web_sys::Event| enter());
    Ok(())
}

/// Goes to a room.
///
/// # Errors
/// What the browser throws.
pub fn go(room: &str) -> Result<(), JsValue> {
    let location = window()?.location();
    // The address stays as it is where nobody has left the first room.
    if wanted(&location.hash()?) == room { Ok(()) } else { location.set_hash(room) }
}

/// Whether the person is in this room: what is dropped or pasted belongs there.
pub fn is(room: &str) -> bool {
    window().and_then(|w| w.location().hash()).is_ok_and(|hash| wanted(&hash) == room)
}

fn wanted(hash: &str) -> &'static str {
    ROOMS.into_iter().find(|room| hash.strip_prefix('#') == Some(room)).unwrap_or(ROOMS[0])
}

fn enter(interpreter: &Rc<Interpreter>, restyler: &Rc<Restyler>) -> Result<(), JsValue> {
    let wanted = wanted(&window()?.location().hash()?);
    for room in ROOMS {
        by_id::<HtmlElement>(&format!("room-{room}"))?.set_hidden(room != wanted);
        let link: HtmlElement = by_id(&format!("to-{room}"))?;
        if room == wanted {
            link.set_attribute("aria-current", "page")?
        } else {
            link.remove_attribute("aria-current")?
        };
        if room == wanted {
            document()?.set_title(&link.get_attribute("data-title").unwrap_or_default());
        }
    }
    if wanted == "translate" {
        interpreter.enter();
    }
    if wanted == "restyle" {
        restyler.enter();
    } else {
        restyler.leave();
    }
    Ok(())
}
