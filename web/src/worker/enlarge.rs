//! Enlarges the picture, tile by tile.

use std::rc::Rc;

use shared::checkpoint::Checkpoint;
use shared::picture::Picture;
use shared::pipeline::Enlargement;
use shared::session::Session;

use super::{State, breathe, weights};
use crate::channel;
use crate::messages::{Choice, Engine, FromWorker};
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
    let engine = state.engines.resolve(choice)?;
    match attempt(state, job, model, &picture, &engine).await {
        // Where the person left the choice to us, a GPU that fails is no reason to stop.
        Err(shared::Error::Gpu(error) | shared::Error::Memory(error))
            if choice == Choice::Auto && matches!(engine, Engine::WebGpu(_)) =>
        {
            state.engines.unload();
            let cpu = Engine::Cpu { gpu_error: Some(error) };
            attempt(state, job, model, &picture, &cpu).await.map_err(|e| e.to_string())
        }
        Err(error @ (shared::Error::Gpu(_) | shared::Error::Memory(_))) => {
            state.engines.unload();
            Err(error.to_string())
        }
        other => other.map_err(|e| e.to_string()),
    }
}

async fn attempt(state: &State, job: u32, model: &Model, picture: &Rc<Picture>, engine: &Engine) -> shared::Result<()> {
    let session = session(state, job, model, engine).await?;
    if state.wanted.get() != job {
        state.send(&FromWorker::Stopped { job }, None);
        return Ok(());
    }
    let tile = kept(engine) + 2 * session.config().receptive_field().unwrap_or_default();
    let begin = now(state);
    let mut enlargement = Enlargement::new(&session, picture, tile)?;
    let mut tiles = enlargement.tiles();
    let started = |tiles| state.send(&FromWorker::Started { job, engine: engine.clone(), tiles }, None);
    started(tiles);
    loop {
        // Before the first tile too, so that the page is told at once what is happening.
        breathe(&state.scope).await.map_err(|e| shared::Error::Picture(channel::thrown(&e)))?;
        if state.wanted.get() != job {
            state.send(&FromWorker::Stopped { job }, None);
            return Ok(());
        }
        let Some(region) = enlargement.step().await? else { break };
        if tiles != enlargement.tiles() {
            // Memory was short: it started again with smaller ones.
            tiles = enlargement.tiles();
            started(tiles);
        }
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
    let tell = |received, total| state.send(&FromWorker::Weights { job, received, total }, None);
    let bytes = weights::get(&state.scope, model, &tell).await.map_err(shared::Error::Checkpoint)?;
    let checkpoint = Checkpoint::from_bytes(&bytes)?;
    let found = checkpoint.image()?.scale();
    if found != model.scale {
        return Err(shared::Error::Checkpoint(format!("{} enlarges by {found}, models.json says {}", model.file, model.scale)));
    }
    state.engines.load(&model.sha256, &checkpoint, engine)
}

fn now(state: &State) -> f64 {
    state.scope.performance().map_or_else(js_sys::Date::now, |p| p.now())
}
