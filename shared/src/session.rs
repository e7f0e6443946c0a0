//! A network, loaded and ready to run on one of the engines.

use candle_core::Device;

use crate::checkpoint::Checkpoint;
use crate::engine::candle;
use crate::models::{ImageConfig, ImageNetwork};
use crate::{Error, Result, Scope};

#[cfg(feature = "webgpu")]
use {
    crate::engine::webgpu::{Blanks, Constants, Context, GpuTensor, Plan},
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

/// A super-resolution network on an engine.
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
                let source = candle::Constants { checkpoint, device: &device };
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
        let input = GpuTensor::input([1, 3, 16, 16]);
        Plan::compile(context, &input, &model.forward(&input)?)
    }

    /// The network and its size.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// Enlarges planar RGB `[3, height, width]` in 0..1 to `[3, height * scale, width * scale]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when `input` is not of that size or empty, or the engine's own.
    pub async fn forward(&self, input: &[f32], height: usize, width: usize) -> Result<Vec<f32>> {
        let expected = height.checked_mul(width).and_then(|n| n.checked_mul(3));
        if input.is_empty() || expected != Some(input.len()) {
            return Err(Error::shape("forward", format!("{} values are not 3 x {height} x {width}", input.len())));
        }
        let dims = [1, 3, height, width];
        match &self.network {
            Network::Candle(model, device) => {
                let x = candle_core::Tensor::from_slice(input, &dims, device)?;
                candle::values(&model.forward(&x)?)
            }
            #[cfg(feature = "webgpu")]
            Network::WebGpu(recorded) => recorded.plan(dims)?.run(input).await,
        }
    }
}

#[cfg(feature = "webgpu")]
impl Recorded {
    fn plan(&self, dims: [usize; 4]) -> Result<Rc<Plan>> {
        let size = [dims[2], dims[3]];
        let mut plans = self.plans.borrow_mut();
        if let Some((_, plan)) = plans.iter().find(|(s, _)| *s == size) {
            return Ok(plan.clone());
        }
        let input = GpuTensor::input(dims);
        let plan = Rc::new(Plan::new(&self.context, &input, &self.model.forward(&input)?)?);
        plans.truncate(PLANS - 1);
        plans.push_front((size, plan.clone()));
        Ok(plan)
    }
}
