//! The one list of operations that a model may use.

use crate::{Error, Result};

/// What a convolution finds beyond the border of its input, and how far it reaches there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Padding {
    /// So many pixels of zeros on every side.
    Zeros(usize),
    /// So many pixels on every side, mirrored at the outermost pixel, which is not repeated. Less than height and width.
    Reflect(usize),
}

impl Padding {
    /// Pixels on every side.
    pub fn size(self) -> usize {
        match self {
            Self::Zeros(size) | Self::Reflect(size) => size,
        }
    }
}

impl From<usize> for Padding {
    /// Zeros.
    fn from(size: usize) -> Self {
        Self::Zeros(size)
    }
}

/// An immutable f32 tensor in NCHW order, on some engine.
///
/// Engines implement it by computing at once (candle) or by recording what is to be computed (WebGPU). A model is generic over
/// it, so the network that trains is the network that runs in the page. Every method checks its shapes and returns
/// [`Error::Shape`] instead of panicking. `N`, `C`, `H`, `W` below are batch, channels, height and width.
pub trait Tensor: Clone {
    /// The dimensions, outermost first.
    fn dims(&self) -> &[usize];

    /// Cross-correlation, as in every deep-learning framework; a number for `padding` means zeros.
    ///
    /// `self` is `[N, C, H, W]`, `weight` `[O, C, K, K]`, `bias` `[O]`; the result is
    /// `[N, O, (H + 2 * padding - K) / stride + 1, (W + 2 * padding - K) / stride + 1]`.
    fn conv2d(&self, weight: &Self, bias: Option<&Self>, stride: usize, padding: impl Into<Padding>) -> Result<Self>;

    /// Every channel of every picture to mean 0 and variance 1, then scaled and shifted (Ulyanov et al. 2016, arXiv:1607.08022):
    /// `(x - mean) / sqrt(variance + epsilon) * weight + bias` over `[N, C, H, W]`, with `weight` and `bias` `[C]` and the
    /// variance divided by `H * W`.
    fn instance_norm(&self, weight: &Self, bias: &Self, epsilon: f32) -> Result<Self>;

    /// `max(x, 0)`.
    fn relu(&self) -> Result<Self>;

    /// `x` where it is positive, `slope * x` elsewhere.
    fn leaky_relu(&self, slope: f32) -> Result<Self>;

    /// `1 / (1 + exp(-x))`.
    fn sigmoid(&self) -> Result<Self>;

    /// `x * sigmoid(x)` (Elfwing et al. 2017, arXiv:1702.03118).
    fn silu(&self) -> Result<Self>;

    /// Sum, element by element, of two tensors of the same shape.
    fn add(&self, other: &Self) -> Result<Self>;

    /// Difference, element by element, of two tensors of the same shape.
    fn sub(&self, other: &Self) -> Result<Self>;

    /// Product, element by element, of two tensors of the same shape.
    fn mul(&self, other: &Self) -> Result<Self>;

    /// `scale * x + shift`, element by element.
    fn affine(&self, scale: f32, shift: f32) -> Result<Self>;

    /// Tensors of equal N, H and W joined along the channels; `[N, C1 + C2 + .., H, W]`.
    fn cat_channels(tensors: &[&Self]) -> Result<Self>;

    /// Sub-pixel convolution's rearrangement (Shi et al. 2016, arXiv:1609.05158): `[N, C * r * r, H, W]` to `[N, C, H * r, W * r]`,
    /// where channel `c * r * r + i * r + j` fills offset `(i, j)` of every r x r cell of channel `c`.
    fn pixel_shuffle(&self, r: usize) -> Result<Self>;

    /// Every pixel repeated `factor` times in both directions: `[N, C, H, W]` to `[N, C, H * factor, W * factor]`.
    fn upsample_nearest(&self, factor: usize) -> Result<Self>;
}

/// `[N, C, H, W]` of a tensor, or a shape error of `op` when it has not four dimensions.
pub fn dims4(op: &'static str, dims: &[usize]) -> Result<[usize; 4]> {
    dims.try_into().map_err(|_| Error::shape(op, format!("expected [N, C, H, W], got {dims:?}")))
}

/// Shape rules, shared by the engines so that all of them refuse the same things in the same words.
pub(crate) mod rules {
    use super::{Error, Padding, Result, dims4};

    pub fn conv2d(x: &[usize], w: &[usize], bias: Option<&[usize]>, stride: usize, padding: Padding) -> Result<[usize; 4]> {
        const OP: &str = "conv2d";
        let [n, c, h, wd] = dims4(OP, x)?;
        let [o, wc, kh, kw] = dims4(OP, w)?;
        if wc != c {
            return Err(Error::shape(OP, format!("input {x:?} has {c} channels, weight {w:?} wants {wc}")));
        }
        if kh != kw || kh == 0 || stride == 0 {
            return Err(Error::shape(OP, format!("weight {w:?} must be square and stride {stride} at least 1")));
        }
        if let Some(b) = bias
            && b != [o]
        {
            return Err(Error::shape(OP, format!("bias {b:?} does not fit weight {w:?}")));
        }
        if let Padding::Reflect(size) = padding
            && size >= h.min(wd)
        {
            return Err(Error::shape(OP, format!("{size} pixels cannot be reflected in the input {x:?}")));
        }
        let padding = padding.size();
        let out = |size: usize| (size + 2 * padding).checked_sub(kh).map(|d| d / stride + 1);
        match (out(h), out(wd)) {
            (Some(oh), Some(ow)) if n * c * h * wd > 0 => Ok([n, o, oh, ow]),
            _ => Err(Error::shape(OP, format!("input {x:?} with padding {padding} is smaller than the kernel of {w:?}"))),
        }
    }

    pub fn instance_norm(x: &[usize], weight: &[usize], bias: &[usize], epsilon: f32) -> Result<[usize; 4]> {
        const OP: &str = "instance_norm";
        let dims @ [_, c, h, w] = dims4(OP, x)?;
        if weight != [c] || bias != [c] {
            return Err(Error::shape(OP, format!("weight {weight:?} and bias {bias:?} do not fit input {x:?}")));
        }
        if h * w == 0 || !(epsilon.is_finite() && epsilon > 0.0) {
            return Err(Error::shape(OP, format!("input {x:?} must not be empty, epsilon {epsilon} must be above 0")));
        }
        Ok(dims)
    }

    pub fn same(op: &'static str, a: &[usize], b: &[usize]) -> Result<()> {
        if a == b { Ok(()) } else { Err(Error::shape(op, format!("{a:?} and {b:?} differ"))) }
    }

    pub fn cat_channels(all: &[&[usize]]) -> Result<[usize; 4]> {
        const OP: &str = "cat_channels";
        let Some((first, rest)) = all.split_first() else { return Err(Error::shape(OP, "nothing to join")) };
        let [n, mut c, h, w] = dims4(OP, first)?;
        for dims in rest {
            let [n2, c2, h2, w2] = dims4(OP, dims)?;
            if (n, h, w) != (n2, h2, w2) {
                return Err(Error::shape(OP, format!("{first:?} and {dims:?} differ in more than channels")));
            }
            c += c2;
        }
        Ok([n, c, h, w])
    }

    pub fn pixel_shuffle(x: &[usize], r: usize) -> Result<[usize; 4]> {
        const OP: &str = "pixel_shuffle";
        let [n, c, h, w] = dims4(OP, x)?;
        if r == 0 || !c.is_multiple_of(r * r) {
            return Err(Error::shape(OP, format!("{c} channels are not a multiple of {r} squared")));
        }
        Ok([n, c / (r * r), h * r, w * r])
    }

    pub fn upsample_nearest(x: &[usize], factor: usize) -> Result<[usize; 4]> {
        const OP: &str = "upsample_nearest";
        let [n, c, h, w] = dims4(OP, x)?;
        if factor == 0 {
            return Err(Error::shape(OP, "factor 0"));
        }
        Ok([n, c, h * factor, w * factor])
    }
}
