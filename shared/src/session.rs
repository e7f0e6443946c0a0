//! A network, loaded and ready to run on one of the engines.

use candle_core::Device;

use crate::checkpoint::Checkpoint;
use crate::engine::candle;
use crate::models::{ImageConfig, ImageNetwork};
use crate::{Error, Result, Scope};

#[cfg(feature = "webgpu")]
use {
    crate::engine::webgpu::{Blanks, Constants, Context, GpuTensor, Plan, Trial},
    std::{cell::RefCell, collections::VecDeque, rc::Rc, sync::Arc},
};

/// What to run on.
#[derive(Clone)]
pub enum Engine {
    /// candle: the CPU, or a CUDA device where the program was built for it.
    Candle(Device),
    /// The GPU through wgpu.
    #[cfg(feature = "webgpu")]
    WebGpu(Arc<Context>),
}

/// A network from picture to picture on an engine.
pub struct Session {
    config: ImageConfig,
    network: Network,
}

enum Network {
    Candle(Box<ImageNetwork<candle_core::Tensor>>, Device),
    #[cfg(feature = "webgpu")]
    WebGpu(Box<Recorded>),
}

/// A network whose calls are recorded, and the plans made so far.
#[cfg(feature = "webgpu")]
struct Recorded {
    model: ImageNetwork<GpuTensor>,
    context: Arc<Context>,
    plans: RefCell<VecDeque<([usize; 2], Rc<Plan>)>>,
}

/// Plans kept: the tiles of one picture have one size, a second picture may have another.
#[cfg(feature = "webgpu")]
const PLANS: usize = 2;

impl Session {
    /// Loads the network of `checkpoint` onto `engine`.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when the weights do not fit the configuration, or the engine's own.
    pub fn new(checkpoint: &Checkpoint, engine: Engine) -> Result<Self> {
        let config = *checkpoint.image()?;
        let network = match engine {
            Engine::Candle(device) => {
                let source = candle::Constants { tensors: &checkpoint.tensors, device: &device };
                Network::Candle(Box::new(ImageNetwork::new(&config, &Scope::root(&source))?), device)
            }
            #[cfg(feature = "webgpu")]
            Engine::WebGpu(context) => {
                let source = Constants { checkpoint, context: &context };
                let model = ImageNetwork::new(&config, &Scope::root(&source))?;
                Network::WebGpu(Box::new(Recorded { model, context, plans: RefCell::default() }))
            }
        };
        Ok(Self { config, network })
    }

    /// Has the GPU compile what the network of `config` runs, while its weights are still on their way: compiled code depends on
    /// neither weights nor sizes.
    ///
    /// # Errors
    /// The engine's; a session would meet them too.
    #[cfg(feature = "webgpu")]
    pub fn warm_up(config: &ImageConfig, context: &Arc<Context>) -> Result<()> {
        let model = ImageNetwork::new(config, &Scope::root(&Blanks(context)))?;
        let (inputs, output) = record(&model, config, [1, 3, 16, 16])?;
        Plan::compile(context, &inputs.iter().collect::<Vec<_>>(), &output)
    }

    /// Measures how the network's kernels are best cut on this GPU, at the size that ran last, see [`Plan::tune`]; what runs from now
    /// on is cut so. Nothing on other engines, or before the first run.
    ///
    /// # Errors
    /// The engine's own.
    #[cfg(feature = "webgpu")]
    pub async fn tune(&self, go_on: impl FnMut() -> bool) -> Result<Vec<Trial>> {
        let Network::WebGpu(recorded) = &self.network else { return Ok(vec![]) };
        let Some(plan) = recorded.plans.borrow().front().map(|(_, plan)| plan.clone()) else { return Ok(vec![]) };
        let trials = plan.tune(go_on).await;
        // Those that were made before are cut as before.
        recorded.plans.borrow_mut().clear();
        trials
    }

    /// The network and its size.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// What the network makes of planar RGB `[3, height, width]` in 0..1: `[3, height * scale, width * scale]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when `input` is not of that size or empty, or the network has many styles; or the engine's own.
    pub async fn forward(&self, input: &[f32], height: usize, width: usize) -> Result<Vec<f32>> {
        self.run(input, height, width, &[]).await
    }

    /// The same in a mixture of the network's styles, a number for each.
    ///
    /// # Errors
    /// As [`Session::forward`]; [`Error::Shape`] also when the mixture has more or fewer numbers than there are styles.
    pub async fn restyle(&self, input: &[f32], height: usize, width: usize, mixture: &[f32]) -> Result<Vec<f32>> {
        self.run(input, height, width, mixture).await
    }

    /// What an [`crate::models::AdaIn`] sees in a picture, `[features, height / 4, width / 4]`.
    ///
    /// # Errors
    /// As [`Session::forward`]; [`Error::Shape`] also when the network is another one.
    pub async fn features(&self, input: &[f32], height: usize, width: usize) -> Result<Vec<f32>> {
        let dims = picture_dims(input, height, width)?;
        match &self.network {
            Network::Candle(model, device) => {
                candle::values(&model.features(&candle_core::Tensor::from_slice(input, &dims, device)?)?)
            }
            #[cfg(feature = "webgpu")]
            Network::WebGpu(recorded) => {
                let picture = GpuTensor::input(dims);
                let features = recorded.model.features(&picture)?;
                Plan::of(&recorded.context, &[&picture], &[&features])?.run(input).await
            }
        }
    }

    /// Without styles the mixture is empty.
    async fn run(&self, input: &[f32], height: usize, width: usize, mixture: &[f32]) -> Result<Vec<f32>> {
        let styles = self.config.styles();
        if mixture.len() != styles {
            return Err(Error::shape("restyle", format!("a mixture of {} for a network of {styles} styles", mixture.len())));
        }
        let dims = picture_dims(input, height, width)?;
        match &self.network {
            Network::Candle(model, device) => {
                let x = candle_core::Tensor::from_slice(input, &dims, device)?;
                let y = match styles {
                    0 => model.forward(&x)?,
                    _ => model.restyle(&x, &candle_core::Tensor::from_slice(mixture, styles, device)?)?,
                };
                candle::values(&y)
            }
            #[cfg(feature = "webgpu")]
            Network::WebGpu(recorded) => {
                let plan = recorded.plan(&self.config, dims)?;
                if styles > 0 {
                    plan.give(1, mixture)?;
                }
                plan.run(input).await
            }
        }
    }
}

/// `[1, 3, height, width]`.
fn picture_dims(input: &[f32], height: usize, width: usize) -> Result<[usize; 4]> {
    let expected = height.checked_mul(width).and_then(|n| n.checked_mul(3));
    if input.is_empty() || expected != Some(input.len()) {
        return Err(Error::shape("forward", format!("{} values are not 3 x {height} x {width}", input.len())));
    }
    Ok([1, 3, height, width])
}

/// A call of the network: its inputs, the picture and, where there are styles, their mixture; and its output.
#[cfg(feature = "webgpu")]
fn record(model: &ImageNetwork<GpuTensor>, config: &ImageConfig, dims: [usize; 4]) -> Result<(Vec<GpuTensor>, GpuTensor)> {
    let picture = GpuTensor::input(dims);
    if config.styles() == 0 {
        let output = model.forward(&picture)?;
        return Ok((vec![picture], output));
    }
    let mixture = GpuTensor::input([config.styles()]);
    let output = model.restyle(&picture, &mixture)?;
    Ok((vec![picture, mixture], output))
}

#[cfg(feature = "webgpu")]
impl Recorded {
    fn plan(&self, config: &ImageConfig, dims: [usize; 4]) -> Result<Rc<Plan>> {
        let size = [dims[2], dims[3]];
        let mut plans = self.plans.borrow_mut();
        if let Some((_, plan)) = plans.iter().find(|(s, _)| *s == size) {
            return Ok(plan.clone());
        }
        let (inputs, output) = record(&self.model, config, dims)?;
        let plan = Rc::new(Plan::of(&self.context, &inputs.iter().collect::<Vec<_>>(), &[&output])?);
        plans.truncate(PLANS - 1);
        plans.push_front((size, plan.clone()));
        Ok(plan)
    }
}
