//! Which geometry is the fastest for which convolution, measured on the device at hand.
//!
//! GPUs differ in how many registers, how much workgroup memory and which caches a thread has, and browsers tell none of it. So
//! the ways to cut a convolution ([`Geometry::CANDIDATES`]) take turns on the layers that a plan consists of, with its own buffers.

use std::collections::HashSet;
use std::fmt;

use futures_channel::oneshot;
use serde::{Deserialize, Serialize};
use web_time::Instant;

use super::kernels::{self, Geometry};
use super::plan::{Dispatch, Shapes, dispatch};
use super::step::{Kernel, Step};
use super::{Context, Plan};
use crate::Result;

/// A layer that is less of a plan's work is not worth seconds of trying.
const WORTH: f64 = 0.03;
/// A measurement is of so many dispatches that they take about this long: submitting costs some 0.1 ms, and a browser's clock has steps.
const SECONDS: f64 = 5e-3;
const MOST_TIMES: usize = 16;
/// The shortest of so many measurements counts; others use the GPU too.
const ROUNDS: usize = 3;
/// What is slower than the fastest by this factor at first sight is not measured further.
const HOPELESS: f64 = 1.5;
/// Another geometry must be this much faster than the fastest before it to be preferred.
const GAIN: f64 = 0.97;

/// What a convolution is like, as far as its best geometry depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Layer {
    /// Width of the window.
    pub kernel: usize,
    /// Pixels from window to window.
    pub stride: usize,
    /// By what the source is enlarged while it is read.
    pub enlarged: usize,
    /// Blocks of four input channels.
    pub in_blocks: usize,
    /// Blocks of four output channels.
    pub blocks: usize,
}

impl Layer {
    /// `None` for what is no convolution of pictures. A sentence is a picture one pixel wide, and too little work.
    pub(super) fn of(step: &Step) -> Option<Self> {
        let Kernel::Conv2d { kernel, stride, enlarged, .. } = step.kernel else { return None };
        let [_, channels, _, width] = step.computed();
        let [_, in_channels, ..] = step.inputs.first()?.1;
        let layer = Self { kernel, stride, enlarged, in_blocks: in_channels.div_ceil(4), blocks: channels.div_ceil(4) };
        (width > 1).then_some(layer)
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { kernel, stride, enlarged, in_blocks, blocks } = self;
        write!(f, "conv {kernel}x{kernel}, {} to {}", 4 * in_blocks, 4 * blocks)?;
        if *stride > 1 {
            write!(f, ", stride {stride}")?;
        }
        if *enlarged > 1 { write!(f, ", enlarged {enlarged} times") } else { Ok(()) }
    }
}

/// The fastest geometry of every layer that was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuning(Vec<(Layer, Geometry)>);

impl Tuning {
    /// The geometry for a layer, if it was measured.
    pub fn of(&self, layer: &Layer) -> Option<Geometry> {
        self.0.iter().find(|(l, _)| l == layer).map(|(_, geometry)| *geometry)
    }

    /// How many layers were measured.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// With what `other` says, where both say something. What no measurement of this program can have said is left out: a tuning
    /// that was kept may be another version's.
    pub fn learn(&mut self, other: &Self) {
        for (layer, geometry) in other.0.iter().filter(|(_, geometry)| Geometry::CANDIDATES.contains(geometry)) {
            match self.0.iter_mut().find(|(l, _)| l == layer) {
                Some((_, mine)) => *mine = *geometry,
                None => self.0.push((*layer, *geometry)),
            }
        }
    }
}

/// How long a layer takes in a geometry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// The layer.
    pub layer: Layer,
    /// How it was cut.
    pub geometry: Geometry,
    /// Of one dispatch; `None` when the device refuses it.
    pub seconds: Option<f64>,
}

impl Plan {
    /// Measures the ways to cut the convolutions of this plan, and has the context cut plans from now on in the fastest way. Results
    /// stay the same. What is measured writes into this plan's buffers, whose next run writes them anew.
    ///
    /// It takes some seconds, most of it compilation. `go_on` is asked before every trial; when it says no, what was measured of
    /// a whole layer counts. The trials come back in the order of the layers' work.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] when the device fails or is lost.
    pub async fn tune(&self, mut go_on: impl FnMut() -> bool) -> Result<Vec<Trial>> {
        let mut trials = Vec::new();
        for (layer, step) in self.layers() {
            if self.context().tuning().of(&layer).is_some() {
                continue;
            }
            let mut sources = HashSet::new();
            let mut fastest: Option<(f64, Geometry)> = None;
            // The default first, to be compared with.
            let default = self.context().geometry();
            let others = Geometry::CANDIDATES.into_iter().filter(|&geometry| geometry != default);
            for geometry in [default].into_iter().chain(others) {
                // Ways that differ only in what this layer does not use are one.
                if !sources.insert(kernels::source(&self.steps[step], geometry, self.context().precision())?) {
                    continue;
                }
                if !go_on() {
                    return Ok(trials);
                }
                let best = fastest.map_or(f64::INFINITY, |(seconds, _)| seconds);
                let seconds = self.measure(step, geometry, best).await?;
                trials.push(Trial { layer, geometry, seconds });
                if let Some(seconds) = seconds
                    && seconds < GAIN * best
                {
                    fastest = Some((seconds, geometry));
                }
            }
            if let Some((_, geometry)) = fastest {
                self.context().learn(&Tuning(vec![(layer, geometry)]));
            }
        }
        Ok(trials)
    }

    /// The kinds of convolutions that are worth it, each with the step that is the most work of its kind; the most work first.
    fn layers(&self) -> Vec<(Layer, usize)> {
        let work = |&i: &usize| kernels::work(&self.steps[i], 0);
        let all: u64 = (0..self.steps.len()).map(|i| work(&i)).fold(0, u64::saturating_add);
        let mut layers: Vec<(Layer, usize, u64)> = Vec::new();
        for (i, layer) in self.steps.iter().enumerate().filter_map(|(i, step)| Some((i, Layer::of(step)?))) {
            match layers.iter_mut().find(|(l, ..)| *l == layer) {
                Some((_, step, sum)) => {
                    *sum = sum.saturating_add(work(&i));
                    *step = if work(&i) > work(step) { i } else { *step };
                }
                None => layers.push((layer, i, work(&i))),
            }
        }
        layers.retain(|(.., sum)| *sum as f64 >= WORTH * all as f64);
        layers.sort_by_key(|(.., sum)| std::cmp::Reverse(*sum));
        layers.into_iter().map(|(layer, step, _)| (layer, step)).collect()
    }

    /// Seconds of a dispatch; `None` when the device refuses it. What takes much longer than `best` is measured roughly.
    async fn measure(&self, step: usize, geometry: Geometry, best: f64) -> Result<Option<f64>> {
        let context = &**self.context();
        context.alive()?;
        // A driver may refuse what WebGPU allows; then this geometry is not for it.
        let memory = context.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = context.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let internal = context.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let trial = self.trial(step, geometry);
        if let Ok(trial) = &trial {
            submit(context, trial, 1);
        }
        let refused = (internal.pop(), validation.pop(), memory.pop());
        let trial = trial?;
        finished(context).await?;
        if refused.0.await.or(refused.1.await).or(refused.2.await).is_some() {
            return Ok(None);
        }
        // It is compiled now.
        let rough = timed(context, &trial, 1).await?;
        if rough > HOPELESS * best {
            return Ok(Some(rough));
        }
        let work = kernels::work(&self.steps[step], 0).max(1);
        let harmless = usize::try_from(context.submission_work() / work).unwrap_or(usize::MAX).max(1);
        let times = ((SECONDS / rough.max(1e-6)) as usize).clamp(1, MOST_TIMES).min(harmless);
        let mut least = rough * times as f64;
        for _ in 0..ROUNDS {
            least = least.min(timed(context, &trial, times).await?);
        }
        Ok(Some(least / times as f64))
    }

    /// A dispatch of a step, cut in another way.
    fn trial(&self, step: usize, geometry: Geometry) -> Result<Dispatch> {
        let context = self.context();
        let most = context.limits.max_compute_workgroups_per_dimension;
        let (shape, groups) = kernels::dispatches(&self.steps[step], geometry, most)?.swap_remove(0);
        let shapes = Shapes::new(context, [&shape].into_iter());
        dispatch(context, &self.steps[step], geometry, &self.tensors(step, 0)?, shapes.binding(0), groups)
    }
}

fn submit(context: &Context, trial: &Dispatch, times: usize) {
    let mut encoder = context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    Plan::encode((0..times).map(|_| trial), &mut encoder);
    context.queue.submit([encoder.finish()]);
}

/// Seconds until so many dispatches are done.
async fn timed(context: &Context, trial: &Dispatch, times: usize) -> Result<f64> {
    let started = Instant::now();
    submit(context, trial, times);
    finished(context).await?;
    Ok(started.elapsed().as_secs_f64())
}

/// Waits until the device has done all that was submitted.
async fn finished(context: &Context) -> Result<()> {
    let (sender, done) = oneshot::channel();
    context.queue.on_submitted_work_done(move || {
        // Nobody listens when the measurement was dropped.
        let _ = sender.send(());
    });
    #[cfg(not(target_arch = "wasm32"))]
    context.device.poll(wgpu::PollType::wait_indefinitely()).map_err(|e| context.fault(&e.to_string()))?;
    done.await.map_err(|_| context.fault("the device no longer says when it is done"))?;
    context.alive()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tuning_is_kept_as_text_and_refuses_what_no_measurement_says() {
        let layer = Layer { kernel: 3, stride: 1, enlarged: 1, in_blocks: 12, blocks: 12 };
        let [known, .., shared] = Geometry::CANDIDATES;
        let kept = serde_json::to_string(&Tuning(vec![(layer, shared)])).unwrap();
        let mut tuning = Tuning(vec![(layer, known)]);
        tuning.learn(&serde_json::from_str(&kept).unwrap());
        assert_eq!(tuning.of(&layer), Some(shared));
        let invented = Geometry { workgroup: 1 << 40, ..known };
        tuning.learn(&Tuning(vec![(Layer { kernel: 1, ..layer }, invented)]));
        assert_eq!((tuning.len(), tuning.of(&layer)), (1, Some(shared)));
    }
}
