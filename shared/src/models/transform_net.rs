//! The image transformation network of fast style transfer (Johnson et al. 2016, arXiv:1603.08155), with instance norm (Ulyanov
//! et al. 2016, arXiv:1607.08022) and with nearest-neighbour enlargement and a convolution where the paper has a transposed one,
//! because that leaves no checkerboard (Odena et al. 2016, doi:10.23915/distill.00003).

use serde::{Deserialize, Serialize};

use crate::layers::{Conv2d, InstanceNorm};
use crate::tensor::Padding;
use crate::{Error, Init, Result, Scope, Tensor};

/// The size of a [`TransformNet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransformNetConfig {
    /// Channels at full resolution, 32 in the paper; two and four times as many at half and at a quarter.
    pub channels: usize,
    /// Residual blocks, 5 in the paper.
    pub blocks: usize,
}

/// A convolution padded by reflection, so that no frame shows, and an instance norm.
struct ConvNorm<T> {
    conv: Conv2d<T>,
    norm: InstanceNorm<T>,
}

impl<T: Tensor> ConvNorm<T> {
    fn new(inputs: usize, outputs: usize, kernel: usize, stride: usize, scope: &Scope<T>) -> Result<Self> {
        Ok(Self {
            conv: Conv2d::new(inputs, outputs, kernel, Init::Kaiming { gain: 1.0 }, &scope.sub("conv"))?
                .stride(stride)
                .padding(Padding::Reflect(kernel / 2)),
            norm: InstanceNorm::new(outputs, &scope.sub("norm"))?,
        })
    }

    fn forward(&self, x: &T) -> Result<T> {
        self.norm.forward(&self.conv.forward(x)?)
    }
}

struct ResidualBlock<T> {
    first: ConvNorm<T>,
    second: ConvNorm<T>,
}

impl<T: Tensor> ResidualBlock<T> {
    fn new(channels: usize, scope: &Scope<T>) -> Result<Self> {
        let layer = |name| ConvNorm::new(channels, channels, 3, 1, &scope.sub(name));
        Ok(Self { first: layer("first")?, second: layer("second")? })
    }

    fn forward(&self, x: &T) -> Result<T> {
        self.second.forward(&self.first.forward(x)?.relu()?)?.add(x)
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
        let &TransformNetConfig { channels: c, blocks } = config;
        let layer = |part: &str, i: usize, inputs, outputs, kernel, stride| {
            ConvNorm::new(inputs, outputs, kernel, stride, &scope.sub(part).sub(i))
        };
        Ok(Self {
            down: [layer("down", 0, 3, c, 9, 1)?, layer("down", 1, c, 2 * c, 3, 2)?, layer("down", 2, 2 * c, 4 * c, 3, 2)?],
            blocks: (0..blocks).map(|i| ResidualBlock::new(4 * c, &scope.sub("blocks").sub(i))).collect::<Result<_>>()?,
            up: [layer("up", 0, 4 * c, 2 * c, 3, 1)?, layer("up", 1, 2 * c, c, 3, 1)?],
            tail: Conv2d::new(c, 3, 9, Init::Kaiming { gain: 1.0 }, &scope.sub("tail"))?.padding(Padding::Reflect(4)),
        })
    }

    /// See [`TransformNet`].
    ///
    /// # Errors
    /// [`Error::Shape`] when height or width is not a multiple of 4, or smaller than the windows can be reflected in.
    pub fn forward(&self, x: &T) -> Result<T> {
        if let [.., h, w] = x.dims()
            && !(h.is_multiple_of(4) && w.is_multiple_of(4))
        {
            return Err(Error::shape("transform net", format!("{h} x {w} pixels are not multiples of 4")));
        }
        let mut y = x.clone();
        for layer in &self.down {
            y = layer.forward(&y)?.relu()?;
        }
        for block in &self.blocks {
            y = block.forward(&y)?;
        }
        for layer in &self.up {
            y = layer.forward(&y.upsample_nearest(2)?)?.relu()?;
        }
        self.tail.forward(&y)
    }
}
