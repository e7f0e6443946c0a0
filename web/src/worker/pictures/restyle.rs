//! Redraws pictures in the style of others.

use std::rc::Rc;

use js_sys::ArrayBuffer;
use shared::Error;
use shared::catalogue::{Model, OWN_STYLE};
use shared::checkpoint::{Checkpoint, Style};
use shared::imresize::{Side, scaled};
use shared::picture::Picture;
use shared::pipeline::adopt;
use shared::pipeline::restyle::{Look, restyle};

use super::engines::Loaded;
use super::{State, bytes, enlarge};
use crate::channel;
use crate::messages::pictures::{FromWorker, Wish};
use crate::messages::{Choice, Engine};
use crate::worker::{breathe, now};

/// Shorter side of a picture whose style is taken: about the size of its strokes in what the network was trained on.
const STYLE_SIDE: usize = 320;

/// Loads the network and tells the page which styles it has.
///
/// # Errors
/// A sentence for the person.
pub async fn styles(state: &State, job: u32, model: &Model, choice: Choice) -> Result<(), String> {
    let attempt = async |engine: &Engine, _| Ok((load(state, job, model, engine).await?.styles.clone(), engine.clone()));
    let (styles, engine) = state.on_engine(choice, attempt).await?;
    state.send(&FromWorker::Styles { job, engine, styles }, None);
    Ok(())
}

/// Takes the style of the picture whose file is in the buffer. The network that does is kept, because the other one for styles takes
/// its place whenever a style of its own is chosen. The processor does it, a fifth of a second: with a style more it is another
/// network, so nothing that a GPU prepared would be used again.
///
/// # Errors
/// A sentence for the person.
pub async fn adopt_style(
    state: &State,
    job: u32,
    model: &Model,
    style: Style,
    buffer: Option<ArrayBuffer>,
) -> Result<(), String> {
    let picture = Picture::decode(&bytes(buffer)).map_err(|e| e.to_string())?;
    let picture = scaled(&picture, Side::Shorter(STYLE_SIDE)).map_err(|e| e.to_string())?;
    let loaded = load(state, job, model, &Engine::cpu(None)).await.map_err(|e| e.to_string())?;
    let known = state.adopted.borrow().clone();
    let before = match known {
        Some(adopted) => adopted,
        None => Rc::new(Checkpoint::from_bytes(&loaded.checkpoint).map_err(|e| e.to_string())?),
    };
    let adopted = adopt(&before, &loaded.session, style, &picture).await.map_err(|e| e.to_string())?;
    *state.adopted.borrow_mut() = Some(Rc::new(adopted));
    state.send(&FromWorker::Adopted { job }, None);
    Ok(())
}

/// Redraws the picture that is open, or the frame in the buffer.
///
/// # Errors
/// A sentence for the person.
pub async fn run(
    state: &State,
    job: u32,
    model: &Model,
    choice: Choice,
    wish: &Wish,
    buffer: Option<ArrayBuffer>,
) -> Result<(), String> {
    let picture = match wish.frame {
        Some([width, height]) => Rc::new(Picture::from_rgba8(width, height, bytes(buffer)).map_err(|e| e.to_string())?),
        None => state.picture.borrow().clone().ok_or("there is no picture to redraw")?,
    };
    let picture = shrunk(picture, wish.side).map_err(|e| e.to_string())?;
    // So that the page shows that something happens before the processor is taken.
    breathe(&state.scope).await.map_err(|e| channel::thrown(&e))?;
    let attempt = async |engine: &Engine, _| {
        let loaded = load(state, job, model, engine).await?;
        let look = Look { keep_colours: wish.keep_colours, ..Look::new(&loaded.styles, &wish.parts, wish.strength)? };
        let begin = now(&state.scope);
        let result = restyle(&loaded.session, &picture, &look).await.map_err(|error| match error {
            Error::Memory(why) => {
                Error::Memory(format!("the memory does not suffice for this size; choose a smaller one ({why})"))
            }
            other => other,
        })?;
        Ok((result, engine.clone(), (now(&state.scope) - begin) / 1e3))
    };
    let (result, engine, seconds) = state.on_engine(choice, attempt).await?;
    let (width, height) = (result.width(), result.height());
    let pixels = channel::buffer(&result.to_rgba8());
    state.send(&FromWorker::Restyled { job, engine, width, height, seconds }, Some(pixels));
    Ok(())
}

async fn load(state: &State, job: u32, model: &Model, engine: &Engine) -> shared::Result<Rc<Loaded>> {
    let adopted = if model.task == OWN_STYLE { state.adopted.borrow().clone() } else { None };
    let Some(adopted) = adopted else { return enlarge::load(state, job, model, engine).await };
    let name = format!("{} with {} styles", model.sha256, adopted.metadata.styles.len());
    match state.engines.loaded(&name, engine) {
        Some(loaded) => Ok(loaded),
        None => state.engines.open(name, &adopted, Vec::new(), engine),
    }
}

/// With its longest side no longer than `side`; 0 leaves it as it is.
fn shrunk(picture: Rc<Picture>, side: usize) -> shared::Result<Rc<Picture>> {
    if side == 0 || picture.width().max(picture.height()) <= side {
        return Ok(picture);
    }
    scaled(&picture, Side::Longer(side)).map(Rc::new)
}
