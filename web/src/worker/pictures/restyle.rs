//! Redraws pictures in the style of others.

use std::rc::Rc;

use js_sys::ArrayBuffer;
use shared::catalogue::Model;
use shared::imresize::resized;
use shared::picture::Picture;
use shared::pipeline::restyle::{Look, restyle};

use super::engines::Loaded;
use super::{State, bytes, enlarge};
use crate::channel;
use crate::messages::pictures::{FromWorker, Wish};
use crate::messages::{Choice, Engine};
use crate::worker::{breathe, now};

/// Loads the network and tells the page which styles it has.
///
/// # Errors
/// A sentence for the person.
pub async fn styles(state: &State, job: u32, model: &Model, choice: Choice) -> Result<(), String> {
    let (loaded, engine) = load(state, job, model, choice).await?;
    state.send(&FromWorker::Styles { job, engine, styles: loaded.styles.clone() }, None);
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
    let (mut loaded, mut engine) = load(state, job, model, choice).await?;
    let look = Look::new(&loaded.styles, &wish.parts, wish.strength).map_err(|e| e.to_string())?;
    let look = Look { keep_colours: wish.keep_colours, ..look };
    let begin = now(&state.scope);
    let result = match restyle(&loaded.session, &picture, &look).await {
        // Where the person left the choice to us, a GPU that fails is no reason to stop.
        Err(error @ (shared::Error::Gpu(_) | shared::Error::Memory(_)))
            if choice == Choice::Auto && matches!(engine, Engine::WebGpu(_)) =>
        {
            (loaded, _) = load(state, job, model, Choice::Cpu).await?;
            engine = Engine::cpu(Some(error.to_string()));
            restyle(&loaded.session, &picture, &look).await
        }
        other => other,
    };
    let result = result.map_err(|error| match error {
        shared::Error::Memory(why) => format!("The memory does not suffice for this size; choose a smaller one. ({why})"),
        other => other.to_string(),
    })?;
    let seconds = (now(&state.scope) - begin) / 1e3;
    let (width, height) = (result.width(), result.height());
    let pixels = channel::buffer(&result.to_rgba8());
    state.send(&FromWorker::Restyled { job, engine, width, height, seconds }, Some(pixels));
    Ok(())
}

async fn load(state: &State, job: u32, model: &Model, choice: Choice) -> Result<(Rc<Loaded>, Engine), String> {
    let engine = state.engines.resolve(choice)?;
    let loaded = enlarge::load(state, job, model, &engine).await.map_err(|e| e.to_string())?;
    Ok((loaded, engine))
}

/// With its longest side no longer than `side`; 0 leaves it as it is.
fn shrunk(picture: Rc<Picture>, side: usize) -> shared::Result<Rc<Picture>> {
    let (width, height) = (picture.width(), picture.height());
    let longest = width.max(height);
    if side == 0 || longest <= side {
        return Ok(picture);
    }
    let to = |size: usize| (size * side / longest).max(1);
    resized(&picture, to(width), to(height)).map(Rc::new)
}
