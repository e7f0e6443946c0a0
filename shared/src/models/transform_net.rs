//! The image transformation network of fast style transfer (Johnson et al. 2016, arXiv:1603.08155), with instance norm (Ulyanov
//! et al. 2016, arXiv:1607.08022) and with nearest-neighbour enlargement and a convolution where the paper has a transposed one,
//! because that leaves no checkerboard (Odena et al. 2016, doi:10.23915/distill.00003). With many styles in it, each is a scale and a
//! shift of every normalised channel, and all else is shared (Dumoulin et al. 2016, arXiv:1610.07629).

use serde::{Deserialize, Serialize};

use crate::layers::{ConditionalInstanceNorm, Conv2d, InstanceNorm};
use crate::tensor::Padding;
use crate::{Error, Init, Result, Scope, Tensor};

/// The size of a [`TransformNet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransformNetConfig {
    /// Channels at full resolution, 32 in the paper; two and four times as many at half and at a quarter.
    pub channels: usize,
    /// Residual blocks, 5 in the paper.
    pub blocks: usize,
    /// Styles in it; 0: it has one and takes no mixture.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub styles: usize,
    /// Whether what comes out of a norm is cut off a few deviations from the mean, against drops.
    #[serde(default, skip_serializing_if = "is_false")]
    pub bounded: bool,
}

/// Deviations from the mean, beyond which a bounded network cuts off. Without that it learns to make drops: a few pixels of a feature,
/// far beyond all others, take most of the variance that the norm divides by, and so govern the whole picture; they show as spots
/// in even places (Karras et al. 2019, arXiv:1912.04958, found them in their generator).
const LIMIT: f32 = 4.0;

fn is_zero(styles: &usize) -> bool {
    *styles == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(bounded: &bool) -> bool {
    !bounded
}

enum Norm<T> {
    Plain(InstanceNorm<T>),
    Conditional(ConditionalInstanceNorm<T>),
}

impl<T: Tensor> Norm<T> {
    fn new(channels: usize, styles: usize, scope: &Scope<T>) -> Result<Self> {
        Ok(match styles {
            0 => Self::Plain(InstanceNorm::new(channels, scope)?),
            _ => Self::Conditional(ConditionalInstanceNorm::new(channels, styles, scope)?),
        })
    }

    fn forward(&self, x: &T, mixture: Option<&T>) -> Result<T> {
        match (self, mixture) {
            (Self::Plain(norm), None) => norm.forward(x),
            (Self::Conditional(norm), Some(mixture)) => norm.forward(x, mixture),
            (Self::Plain(_), Some(_)) => Err(Error::shape("transform net", "it has one style and takes no mixture")),
            (Self::Conditional(_), None) => Err(Error::shape("transform net", "it wants a mixture of its styles")),
        }
    }
}

/// A convolution padded by reflection, so that no frame shows, and an instance norm.
struct ConvNorm<T> {
    conv: Conv2d<T>,
    norm: Norm<T>,
    bounded: bool,
}

impl<T: Tensor> ConvNorm<T> {
    /// `[inputs, outputs, kernel, stride]`.
    fn new([inputs, outputs, kernel, stride]: [usize; 4], config: &TransformNetConfig, scope: &Scope<T>) -> Result<Self> {
        Ok(Self {
            conv: Conv2d::new(inputs, outputs, kernel, Init::Kaiming { gain: 1.0 }, &scope.sub("conv"))?
                .stride(stride)
                .padding(Padding::Reflect(kernel / 2)),
            norm: Norm::new(outputs, config.styles, &scope.sub("norm"))?,
            bounded: config.bounded,
        })
    }

    fn forward(&self, x: &T, mixture: Option<&T>) -> Result<T> {
        let y = self.norm.forward(&self.conv.forward(x)?, mixture)?;
        if self.bounded { y.clamp(-LIMIT, LIMIT) } else { Ok(y) }
    }

    /// And a ReLU.
    fn relu(&self, x: &T, mixture: Option<&T>) -> Result<T> {
        let y = self.norm.forward(&self.conv.forward(x)?, mixture)?;
        if self.bounded { y.clamp(0.0, LIMIT) } else { y.relu() }
    }
}

struct ResidualBlock<T> {
    first: ConvNorm<T>,
    second: ConvNorm<T>,
}

impl<T: Tensor> ResidualBlock<T> {
    fn new(channels: usize, config: &TransformNetConfig, scope: &Scope<T>) -> Result<Self> {
        let layer = |name| ConvNorm::new([channels, channels, 3, 1], config, &scope.sub(name));
        Ok(Self { first: layer("first")?, second: layer("second")? })
    }

    fn forward(&self, x: &T, mixture: Option<&T>) -> Result<T> {
        self.second.forward(&self.first.relu(x, mixture)?, mixture)?.add(x)
    }
}

/// `[N, 3, H, W]` to `[N, 3, H, W]`; H and W must be multiples of 4.
pub struct TransformNet<T> {
    down: [ConvNorm<T>; 3],
    blocks: Vec<ResidualBlock<T>>,
    up: [ConvNorm<T>; 2],
    tail: Conv2d<T>,
}

impl<T: Tensor> TransformNet<T> {
    /// The network with parameters from `scope`.
    pub fn new(config: &TransformNetConfig, scope: &Scope<T>) -> Result<Self> {
        let &TransformNetConfig { channels: c, blocks, .. } = config;
        let layer = |part: &str, i: usize, inputs, outputs, kernel, stride| {
            ConvNorm::new([inputs, outputs, kernel, stride], config, &scope.sub(part).sub(i))
        };
        Ok(Self {
            down: [layer("down", 0, 3, c, 9, 1)?, layer("down", 1, c, 2 * c, 3, 2)?, layer("down", 2, 2 * c, 4 * c, 3, 2)?],
            blocks: (0..blocks).map(|i| ResidualBlock::new(4 * c, config, &scope.sub("blocks").sub(i))).collect::<Result<_>>()?,
            up: [layer("up", 0, 4 * c, 2 * c, 3, 1)?, layer("up", 1, 2 * c, c, 3, 1)?],
            tail: Conv2d::new(c, 3, 9, Init::Kaiming { gain: 1.0 }, &scope.sub("tail"))?.padding(Padding::Reflect(4)),
        })
    }

    /// See [`TransformNet`]. `mixture` `[styles]` says how much of every style, for a network of many.
    ///
    /// # Errors
    /// [`Error::Shape`] when height or width is not a multiple of 4, or smaller than the windows can be reflected in; without a
    /// mixture where one is needed, and the other way round.
    pub fn forward(&self, x: &T, mixture: Option<&T>) -> Result<T> {
        if let [.., h, w] = x.dims()
            && !(h.is_multiple_of(4) && w.is_multiple_of(4))
        {
            return Err(Error::shape("transform net", format!("{h} x {w} pixels are not multiples of 4")));
        }
        let mut y = x.clone();
        for layer in &self.down {
            y = layer.relu(&y, mixture)?;
        }
        for block in &self.blocks {
            y = block.forward(&y, mixture)?;
        }
        for layer in &self.up {
            y = layer.relu(&y.upsample_nearest(2)?, mixture)?;
        }
        // The paper's scaled tanh. Without a bound a few pixels far beyond black carried the statistics of a whole style: black drops
        // in what was bright and even.
        self.tail.forward(&y)?.sigmoid()
    }
}
