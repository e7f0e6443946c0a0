//! Enlarges the picture, tile by tile.

use std::cell::Cell;
use std::rc::Rc;

use shared::checkpoint::Checkpoint;
use shared::picture::Picture;
use shared::pipeline::Enlargement;
use shared::session::Session;

use super::{State, breathe, weights};
use crate::channel;
use crate::messages::{Choice, Engine, FromWorker, Sheet};
use shared::catalogue::Model;

/// Pixels of the input that a tile adds to the result, along one side. The halo comes on top and is computed twice, so larger
/// is faster; smaller answers Stop sooner. A tile of 128 takes about a second on a CPU.
fn kept(engine: &Engine) -> usize {
    match engine {
        Engine::Cpu { .. } => 128,
        Engine::WebGpu(gpu) if gpu.software => 64,
        Engine::WebGpu(_) => 256,
    }
}

/// Enlarges the picture that is open; tells the page how it goes.
///
/// # Errors
/// A sentence for the person.
pub async fn run(state: &State, job: u32, model: &Model, choice: Choice) -> Result<(), String> {
    let picture = state.picture.borrow().clone().ok_or("there is no picture to enlarge")?;
    state.result.take();
    let mut engine = state.engines.resolve(choice)?;
    let mut again = false;
    loop {
        let error = match attempt(state, job, model, &picture, &engine, again).await {
            Err(error @ (shared::Error::Gpu(_) | shared::Error::Memory(_))) if matches!(engine, Engine::WebGpu(_)) => {
                error.to_string()
            }
            other => return other.map_err(|e| e.to_string()),
        };
        state.engines.unload();
        // Once: a picture that ends every device must end too.
        if !again && let Some(why) = state.engines.recover(&state.scope).await {
            state.send(&FromWorker::Ready { gpu: state.engines.gpu() }, None);
            engine = match state.engines.resolve(choice)? {
                // A browser that lost its GPU may offer a program instead.
                Engine::Cpu { .. } => Engine::Cpu { gpu_error: Some(why) },
                gpu @ Engine::WebGpu(_) => {
                    again = true;
                    gpu
                }
            };
        } else if choice == Choice::Auto {
            // Where the person left the choice to us, a GPU that fails is no reason to stop.
            (engine, again) = (Engine::Cpu { gpu_error: Some(error) }, false);
        } else if state.engines.lost() {
            return Err(format!(
                "The graphics card was lost and the browser gives no other ({error}). Choose the processor under “Runs on”, or \
                 restart the browser."
            ));
        } else {
            return Err(error);
        }
    }
}

/// `again` says that an attempt before this one lost the GPU.
async fn attempt(
    state: &State,
    job: u32,
    model: &Model,
    picture: &Rc<Picture>,
    engine: &Engine,
    again: bool,
) -> shared::Result<()> {
    let session = session(state, job, model, engine).await?;
    if state.wanted.get() != job {
        state.send(&FromWorker::Stopped { job }, None);
        return Ok(());
    }
    let tile = kept(engine) + 2 * session.config().receptive_field().unwrap_or_default();
    let begin = now(state);
    let mut enlargement = Enlargement::new(&session, picture, tile)?;
    let (mut tiles, mut regions) = (enlargement.tiles(), Vec::new());
    state.redraw.set(false);
    let started = |tiles| state.send(&FromWorker::Started { job, engine: engine.clone(), tiles, again }, None);
    started(tiles);
    loop {
        // Before the first tile too, so that the page is told at once what is happening.
        breathe(&state.scope).await.map_err(|e| shared::Error::Picture(channel::thrown(&e)))?;
        if state.wanted.get() != job {
            state.send(&FromWorker::Stopped { job }, None);
            return Ok(());
        }
        if state.redraw.take() {
            state.show(job, Sheet::Result, enlargement.result(), regions.clone());
        }
        let Some(region) = enlargement.step().await? else { break };
        if tiles != enlargement.tiles() {
            // Memory was short: it started again with smaller ones.
            tiles = enlargement.tiles();
            regions.clear();
            started(tiles);
        }
        regions.push(region);
        let pixels = enlargement.result().region_rgba8(region.x, region.y, region.width, region.height);
        let (x, y, width, height) = (region.x, region.y, region.width, region.height);
        let message = FromWorker::Tile { job, x, y, width, height, done: enlargement.done() };
        state.send(&message, Some(channel::buffer(&pixels)));
    }
    let seconds = (now(state) - begin) / 1e3;
    *state.result.borrow_mut() = Some(enlargement.into_result());
    state.send(&FromWorker::Done { job, seconds }, None);
    Ok(())
}

async fn session(state: &State, job: u32, model: &Model, engine: &Engine) -> shared::Result<Rc<Session>> {
    if let Some(session) = state.engines.loaded(&model.sha256, engine) {
        return Ok(session);
    }
    let cold = Cell::new(matches!(engine, Engine::WebGpu(_)));
    let tell = |bytes: &[u8]| {
        let received = bytes.len() as u64;
        state.send(&FromWorker::Weights { job, received, total: model.bytes }, None);
        // The file's head is enough for the GPU to compile while the rest arrives.
        if cold.get()
            && let Some(config) = Checkpoint::peek(bytes)
        {
            cold.set(false);
            state.engines.warm_up(&config);
        }
    };
    let bytes = weights::get(&state.scope, model, &tell).await.map_err(shared::Error::Checkpoint)?;
    let checkpoint = Checkpoint::from_bytes(&bytes)?;
    if checkpoint.config().scale() != model.scale {
        let found = checkpoint.config().scale();
        return Err(shared::Error::Checkpoint(format!("{} enlarges by {found}, models.json says {}", model.file, model.scale)));
    }
    state.engines.load(&model.sha256, &checkpoint, engine)
}

fn now(state: &State) -> f64 {
    state.scope.performance().map_or_else(js_sys::Date::now, |p| p.now())
}
