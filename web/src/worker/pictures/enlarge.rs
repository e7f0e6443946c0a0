//! Enlarges the picture, tile by tile.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures_util::future::try_join_all;
use shared::checkpoint::Checkpoint;
use shared::picture::{Picture, Region};
use shared::pipeline::Enlargement;

use super::State;
use super::engines::Loaded;
use super::hand::Hand;
use crate::channel;
use crate::messages::pictures::{FromWorker, Sheet};
use crate::messages::{Choice, Engine};
use crate::worker::{breathe, now, weights};
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
pub async fn run(state: &State, job: u32, model: &Model, choice: Choice, workers: usize) -> Result<(), String> {
    let picture = state.picture.borrow().clone().ok_or("there is no picture to enlarge")?;
    state.result.take();
    state.on_engine(choice, async |engine, again| attempt(state, job, model, &picture, engine, workers, again).await).await
}

/// `again` says that an attempt before this one lost the GPU.
async fn attempt(
    state: &State,
    job: u32,
    model: &Model,
    picture: &Rc<Picture>,
    engine: &Engine,
    workers: usize,
    again: bool,
) -> shared::Result<()> {
    let loaded = load(state, job, model, engine).await?;
    if state.wanted.get() != job {
        state.send(&FromWorker::Stopped { job }, None);
        return Ok(());
    }
    let tile = kept(engine) + 2 * loaded.session.config().receptive_field().unwrap_or_default();
    let begin = now(&state.scope);
    let enlargement = || Enlargement::new(&loaded.session, picture, tile);
    let mut job = Job { state, job, engine: engine.clone(), again, regions: RefCell::default() };
    let work = enlargement()?;
    let hands = match engine {
        Engine::Cpu { .. } => workers.min(work.tiles()),
        Engine::WebGpu(_) => 1,
    };
    let done = if hands > 1 {
        match job.together(&loaded, hands, work).await {
            Ok(done) => done,
            // Workers of workers are new to some browsers, and may be more than the memory holds.
            Err(error) => {
                web_sys::console::warn_1(&format!("More workers than one do not work here: {error}").into());
                loaded.dismiss();
                job.alone(enlargement()?).await?
            }
        }
    } else {
        job.alone(work).await?
    };
    let Job { job, .. } = job;
    let Some(result) = done else {
        state.send(&FromWorker::Stopped { job }, None);
        return Ok(());
    };
    let seconds = (now(&state.scope) - begin) / 1e3;
    *state.result.borrow_mut() = Some(result);
    state.send(&FromWorker::Done { job, seconds }, None);
    Ok(())
}

/// A picture on its way.
struct Job<'a> {
    state: &'a State,
    job: u32,
    engine: Engine,
    again: bool,
    /// What is done.
    regions: RefCell<Vec<Region>>,
}

impl Job<'_> {
    /// Computes the tiles one after the other; `None` when stopped.
    async fn alone(&mut self, mut work: Enlargement<'_>) -> shared::Result<Option<Picture>> {
        if let Engine::Cpu { workers, .. } = &mut self.engine {
            *workers = 1;
        }
        let mut tiles = work.tiles();
        self.started(tiles);
        loop {
            // Before the first tile too, so that the page is told at once what is happening.
            breathe(&self.state.scope).await.map_err(|e| shared::Error::Picture(channel::thrown(&e)))?;
            if !self.wanted() {
                return Ok(None);
            }
            self.redraw(&work);
            let Some(region) = work.step().await? else { return Ok(Some(work.into_result())) };
            if tiles != work.tiles() {
                // Memory was short: it started again with smaller ones.
                tiles = work.tiles();
                self.started(tiles);
            }
            self.tile(&work, region);
        }
    }

    /// Has `count` workers compute the tiles, each one at a time, so that the result is the same; `None` when stopped.
    async fn together(&mut self, loaded: &Loaded, count: usize, work: Enlargement<'_>) -> Result<Option<Picture>, String> {
        let hands = loaded.hands(count).await?;
        if let Engine::Cpu { workers, .. } = &mut self.engine {
            *workers = count;
        }
        self.started(work.tiles());
        let work = RefCell::new(work);
        let lane = async |hand: Rc<Hand>| -> Result<(), String> {
            while self.wanted() {
                let Some(tile) = work.borrow_mut().take() else { break };
                let input = work.borrow().input(&tile);
                let output = hand.forward(&input, tile.window.height, tile.window.width).await?;
                work.borrow_mut().put(&tile, &output).map_err(|e| e.to_string())?;
                if self.wanted() {
                    self.redraw(&work.borrow());
                    self.tile(&work.borrow(), tile.keep);
                }
            }
            Ok(())
        };
        // The next tile waits where the last one is computed.
        let twice = hands.iter().chain(&hands).cloned();
        try_join_all(twice.map(lane)).await?;
        Ok(self.wanted().then(|| work.into_inner().into_result()))
    }

    fn wanted(&self) -> bool {
        self.state.wanted.get() == self.job
    }

    fn started(&self, tiles: usize) {
        self.regions.take();
        self.state.redraw.set(false);
        let (job, engine, again) = (self.job, self.engine.clone(), self.again);
        self.state.send(&FromWorker::Started { job, engine, tiles, again }, None);
    }

    /// Shows what is done, where the page has lost it.
    fn redraw(&self, work: &Enlargement) {
        if self.state.redraw.take() {
            self.state.show(self.job, Sheet::Result, work.result(), self.regions.borrow().iter().copied());
        }
    }

    fn tile(&self, work: &Enlargement, region: Region) {
        self.regions.borrow_mut().push(region);
        let Region { x, y, width, height } = region;
        let pixels = channel::buffer(&work.result().region_rgba8(x, y, width, height));
        self.state.send(&FromWorker::Tile { job: self.job, x, y, width, height, done: work.done() }, Some(pixels));
    }
}

/// The network of `model`, from where it is loaded, kept or served; the page is told how much has come.
///
/// # Errors
/// When it cannot be fetched or does not fit.
pub async fn load(state: &State, job: u32, model: &Model, engine: &Engine) -> shared::Result<Rc<Loaded>> {
    if let Some(loaded) = state.engines.loaded(&model.sha256, engine) {
        return Ok(loaded);
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
    state.engines.load(model, bytes, engine)
}
