//! Style transfer by adaptive instance norm (Huang and Belongie 2017, arXiv:1703.06868): an encoder sees a picture, the mean and
//! the deviation of every feature become those of another picture, and a decoder draws what that is. So the style may be any
//! picture; which is why there is nothing to learn of one. Before that, the mean and the deviation of red, green and blue become those of
//! the other picture: the features alone say little of colours.

use serde::{Deserialize, Serialize};

use crate::layers::{ConditionalInstanceNorm, Conv2d};
use crate::tensor::Padding;
use crate::{Error, Init, Result, Scope, Tensor};

/// The size of an [`AdaIn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdaInConfig {
    /// Channels at full resolution; twice as many at a half.
    pub channels: usize,
    /// Features at a quarter of the resolution, whose statistics are the style.
    pub features: usize,
    /// Residual blocks of the decoder.
    pub blocks: usize,
    /// Styles whose statistics are stored with it.
    pub styles: usize,
}

/// `[N, 3, H, W]` to `[N, 3, H, W]`; H and W must be multiples of 4.
pub struct AdaIn<T> {
    /// Of the pixels and of the features.
    norms: Option<[ConditionalInstanceNorm<T>; 2]>,
    encoder: [Conv2d<T>; 5],
    bottleneck: Conv2d<T>,
    blocks: Vec<[Conv2d<T>; 2]>,
    up: [Conv2d<T>; 3],
    tail: Conv2d<T>,
}

/// Padded by reflection, so that no frame shows.
fn conv<T: Tensor>(inputs: usize, outputs: usize, gain: f32, scope: &Scope<T>) -> Result<Conv2d<T>> {
    Ok(Conv2d::new(inputs, outputs, 3, Init::Kaiming { gain }, scope)?.padding(Padding::Reflect(1)))
}

impl<T: Tensor> AdaIn<T> {
    /// The network with parameters from `scope`; the statistics of its styles are `norm.shift`, the means, and `norm.scale`, the
    /// deviations, `[features, styles]` both, and `colours.shift` and `colours.scale`, `[3, styles]`.
    ///
    /// # Errors
    /// Those of `scope`.
    pub fn new(config: &AdaInConfig, scope: &Scope<T>) -> Result<Self> {
        let &AdaInConfig { channels: c, features, blocks, styles } = config;
        let relu = |part: &str, i: usize, inputs, outputs| conv(inputs, outputs, 2f32.sqrt(), &scope.sub(part).sub(i));
        let encode = |i, inputs, outputs| relu("encoder", i, inputs, outputs);
        let norm = |part, channels| ConditionalInstanceNorm::new(channels, styles, &scope.sub(part));
        let norms = if styles > 0 { Some([norm("colours", 3)?, norm("norm", features)?]) } else { None };
        let block = |i: usize| -> Result<_> {
            let scope = scope.sub("blocks").sub(i);
            // A block begins near the identity.
            Ok([conv(2 * c, 2 * c, 2f32.sqrt(), &scope.sub("first"))?, conv(2 * c, 2 * c, 0.1, &scope.sub("second"))?])
        };
        Ok(Self {
            encoder: [
                encode(0, 3, c)?,
                encode(1, c, c)?.stride(2),
                encode(2, c, 2 * c)?,
                encode(3, 2 * c, 2 * c)?.stride(2),
                encode(4, 2 * c, features)?,
            ],
            norms,
            bottleneck: conv(features, 2 * c, 2f32.sqrt(), &scope.sub("bottleneck"))?,
            blocks: (0..blocks).map(block).collect::<Result<_>>()?,
            up: [relu("up", 0, 2 * c, 2 * c)?, relu("up", 1, 2 * c, c)?, relu("up", 2, c, c)?],
            tail: conv(c, 3, 1.0, &scope.sub("tail"))?,
        })
    }

    /// What it sees in `x`: `[N, features, H / 4, W / 4]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when height or width is not a multiple of 4, or less than 8.
    pub fn encode(&self, x: &T) -> Result<T> {
        if let [.., h, w] = x.dims()
            && !(h.is_multiple_of(4) && w.is_multiple_of(4))
        {
            return Err(Error::shape("AdaIN", format!("{h} x {w} pixels are not multiples of 4")));
        }
        self.encoder.iter().try_fold(x.clone(), |y, conv| conv.relu(&y))
    }

    /// Draws `features`, as [`AdaIn::encode`] gives them but with the statistics of a style.
    ///
    /// # Errors
    /// [`Error::Shape`] when they are not the encoder's.
    pub fn decode(&self, features: &T) -> Result<T> {
        let mut y = self.bottleneck.relu(features)?;
        for [first, second] in &self.blocks {
            y = second.forward(&first.relu(&y)?)?.add(&y)?;
        }
        let [half, narrow, full] = &self.up;
        y = half.relu(&y.upsample_nearest(2)?)?;
        y = narrow.relu(&y)?;
        y = full.relu(&y.upsample_nearest(2)?)?;
        self.tail.forward(&y)?.sigmoid()
    }

    /// Redraws `x` in a mixture `[styles]` of the stored styles.
    ///
    /// # Errors
    /// As [`AdaIn::encode`]; [`Error::Shape`] also where no style is stored.
    pub fn forward(&self, x: &T, mixture: &T) -> Result<T> {
        let [colours, norm] = self.norms.as_ref().ok_or_else(|| Error::shape("AdaIN", "no style is stored with it"))?;
        self.decode(&norm.forward(&self.encode(&colours.forward(x, mixture)?)?, mixture)?)
    }
}
