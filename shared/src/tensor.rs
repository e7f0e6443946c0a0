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

/// An immutable f32 tensor on some engine: pictures in NCHW order, sequences with their features last.
///
/// Engines implement it by computing at once (candle) or by recording what is to be computed (WebGPU). A model is generic over
/// it, so the network that trains is the network that runs in the page. Every method checks its shapes and returns
/// [`Error::Shape`] instead of panicking. `N`, `C`, `H`, `W` below are batch, channels, height and width; `B`, `T`, `F` are
/// batch, time and features. Indices are whole numbers in f32, exact up to 2^24, so that what an engine computes can be one.
pub trait Tensor: Clone {
    /// The dimensions, outermost first.
    fn dims(&self) -> &[usize];

    /// Cross-correlation, as in every deep-learning framework; a number for `padding` means zeros.
    ///
    /// `self` is `[N, C, H, W]`, `weight` `[O, C, K, K]`, `bias` `[O]`; the result is
    /// `[N, O, (H + 2 * padding - K) / stride + 1, (W + 2 * padding - K) / stride + 1]`.
    fn conv2d(&self, weight: &Self, bias: Option<&Self>, stride: usize, padding: impl Into<Padding>) -> Result<Self>;

    /// [`Tensor::conv2d`] and then [`Tensor::leaky_relu`], for engines that compute at once and can do both in one pass. Those
    /// that record see what follows a convolution.
    fn conv2d_leaky_relu(
        &self,
        weight: &Self,
        bias: Option<&Self>,
        stride: usize,
        padding: impl Into<Padding>,
        slope: f32,
    ) -> Result<Self> {
        let y = self.conv2d(weight, bias, stride, padding)?;
        if slope == 0.0 { y.relu() } else { y.leaky_relu(slope) }
    }

    /// Every channel of every picture to mean 0 and variance 1, then scaled and shifted (Ulyanov et al. 2016, arXiv:1607.08022):
    /// `(x - mean) / sqrt(variance + epsilon) * weight + bias` over `[N, C, H, W]`, with `weight` and `bias` `[C]` and the
    /// variance divided by `H * W`.
    fn instance_norm(&self, weight: &Self, bias: &Self, epsilon: f32) -> Result<Self>;

    /// `max(x, 0)`.
    fn relu(&self) -> Result<Self>;

    /// `x` where it is positive, `slope * x` elsewhere.
    fn leaky_relu(&self, slope: f32) -> Result<Self>;

    /// `x`, but `low` where it is below that, and `high` where it is above that.
    fn clamp(&self, low: f32, high: f32) -> Result<Self>;

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

    /// The largest value of every window of `kernel` x `kernel` pixels, `stride` apart, with `stride` at most `kernel`:
    /// `[N, C, H, W]` to `[N, C, ceil((H - kernel) / stride) + 1, ceil((W - kernel) / stride) + 1]`. The last windows may end
    /// beyond the border, as with `ceil_mode` elsewhere.
    fn max_pool(&self, kernel: usize, stride: usize) -> Result<Self>;

    /// Every pixel repeated `factor` times in both directions: `[N, C, H, W]` to `[N, C, H * factor, W * factor]`.
    fn upsample_nearest(&self, factor: usize) -> Result<Self>;

    /// `(exp(x) - exp(-x)) / (exp(x) + exp(-x))`.
    fn tanh(&self) -> Result<Self>;

    /// `x W^T + bias` in the last dimension: `self` is `[.., I]` of at most three dimensions, `weight` `[O, I]`, `bias` `[O]`,
    /// the result `[.., O]`.
    fn linear(&self, weight: &Self, bias: Option<&Self>) -> Result<Self>;

    /// Every last dimension to mean 0 and variance 1, then scaled and shifted (Ba et al. 2016, arXiv:1607.06450):
    /// `(x - mean) / sqrt(variance + epsilon) * weight + bias` over `[.., F]`, of at most three dimensions, with `weight` and
    /// `bias` `[F]`.
    fn layer_norm(&self, weight: &Self, bias: &Self, epsilon: f32) -> Result<Self>;

    /// Rows by number, an embedding or a choice: `self` is a table `[V, ..]`, `indices` are whole numbers below V of dimensions
    /// `I`; the result is `[I, ..]`. At most three dimensions. An index beyond the table is an error where it is known, and
    /// gives any row elsewhere.
    fn take(&self, indices: &Self) -> Result<Self>;

    /// How much every query looks at every key (Vaswani et al. 2017, arXiv:1706.03762): the softmax over keys of
    /// `q k / sqrt(F / heads) + mask`, every head with its own part of the features.
    ///
    /// `self` are queries `[B, T, F]`, `keys` `[B, S, F]`; `mask` is `[B or 1, T or 1, S]`, 0 where a query may look and very
    /// negative where not. The result is `[B, heads, T, S]`.
    fn attention_weights(&self, keys: &Self, heads: usize, mask: Option<&Self>) -> Result<Self>;

    /// Means of values by such weights: `self` is `[B, heads, T, S]`, `values` `[B, S, F]`; the result is `[B, T, F]`, every head
    /// with its own part of the features.
    fn attend(&self, values: &Self) -> Result<Self>;

    /// With the row at `position` replaced, the way a cache grows: `self` is `[B, T, F]`, `row` `[B, 1, F]`, `position` one whole
    /// number below T in `[1]`.
    fn put(&self, row: &Self, position: &Self) -> Result<Self>;

    /// Sequences of equal B and F joined along the time; `[B, T1 + T2 + .., F]`.
    fn cat_time(tensors: &[&Self]) -> Result<Self>;
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

    pub fn clamp(low: f32, high: f32) -> Result<()> {
        // Written so that NaN fails.
        if low <= high && low.is_finite() && high.is_finite() {
            return Ok(());
        }
        Err(Error::shape("clamp", format!("nothing is between {low} and {high}")))
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

    pub fn max_pool(x: &[usize], kernel: usize, stride: usize) -> Result<[usize; 4]> {
        const OP: &str = "max_pool";
        let [n, c, h, w] = dims4(OP, x)?;
        if stride == 0 || stride > kernel || h < kernel || w < kernel || n * c == 0 {
            return Err(Error::shape(OP, format!("windows of {kernel}, {stride} apart, do not fit in {x:?}")));
        }
        let out = |size: usize| (size - kernel).div_ceil(stride) + 1;
        Ok([n, c, out(h), out(w)])
    }

    /// Sequences have their features last, and at most three dimensions.
    fn features(op: &'static str, x: &[usize]) -> Result<usize> {
        match x {
            [] => Err(Error::shape(op, "a single number has no features")),
            [_, _, _, _, ..] => Err(Error::shape(op, format!("{x:?} has more than three dimensions"))),
            [.., features] if !x.contains(&0) => Ok(*features),
            _ => Err(Error::shape(op, format!("{x:?} is empty"))),
        }
    }

    pub fn linear(x: &[usize], weight: &[usize], bias: Option<&[usize]>) -> Result<Vec<usize>> {
        const OP: &str = "linear";
        let inputs = features(OP, x)?;
        let &[outputs, wanted] = weight else {
            return Err(Error::shape(OP, format!("expected a weight [O, I], got {weight:?}")));
        };
        if wanted != inputs || outputs == 0 {
            return Err(Error::shape(OP, format!("input {x:?} has {inputs} features, weight {weight:?} wants {wanted}")));
        }
        if let Some(bias) = bias
            && bias != [outputs]
        {
            return Err(Error::shape(OP, format!("bias {bias:?} does not fit weight {weight:?}")));
        }
        let mut out = x.to_vec();
        if let Some(last) = out.last_mut() {
            *last = outputs;
        }
        Ok(out)
    }

    pub fn layer_norm(x: &[usize], weight: &[usize], bias: &[usize], epsilon: f32) -> Result<()> {
        const OP: &str = "layer_norm";
        let features = features(OP, x)?;
        if weight != [features] || bias != [features] {
            return Err(Error::shape(OP, format!("weight {weight:?} and bias {bias:?} do not fit input {x:?}")));
        }
        if !(epsilon.is_finite() && epsilon > 0.0) {
            return Err(Error::shape(OP, format!("epsilon {epsilon} must be above 0")));
        }
        Ok(())
    }

    pub fn take(table: &[usize], indices: &[usize]) -> Result<Vec<usize>> {
        const OP: &str = "take";
        let [_, row @ ..] = table else { return Err(Error::shape(OP, "a single number has no rows")) };
        if table.contains(&0) || indices.contains(&0) || table.len() > 3 || indices.len() + row.len() > 3 {
            let why = format!("{indices:?} rows of {table:?} are none, or have more than three dimensions");
            return Err(Error::shape(OP, why));
        }
        Ok([indices, row].concat())
    }

    /// `[B, T, F]`.
    pub fn dims3(op: &'static str, dims: &[usize]) -> Result<[usize; 3]> {
        features(op, dims)?;
        dims.try_into().map_err(|_| Error::shape(op, format!("expected [B, T, F], got {dims:?}")))
    }

    pub fn attention_weights(q: &[usize], k: &[usize], heads: usize, mask: Option<&[usize]>) -> Result<[usize; 4]> {
        const OP: &str = "attention_weights";
        let ([b, t, f], [kb, s, kf]) = (dims3(OP, q)?, dims3(OP, k)?);
        if (b, f) != (kb, kf) {
            return Err(Error::shape(OP, format!("queries {q:?} and keys {k:?} do not fit")));
        }
        if heads == 0 || !f.is_multiple_of(heads) {
            return Err(Error::shape(OP, format!("{f} features do not divide among {heads} heads")));
        }
        if let Some(mask) = mask {
            let fits = matches!(mask, &[mb, mt, ms] if (mb == b || mb == 1) && (mt == t || mt == 1) && ms == s);
            if !fits {
                return Err(Error::shape(OP, format!("mask {mask:?} does not fit queries {q:?} and keys {k:?}")));
            }
        }
        Ok([b, heads, t, s])
    }

    pub fn attend(weights: &[usize], values: &[usize]) -> Result<[usize; 3]> {
        const OP: &str = "attend";
        let ([b, heads, t, s], [vb, vs, f]) = (dims4(OP, weights)?, dims3(OP, values)?);
        if (b, s) != (vb, vs) || weights.contains(&0) || !f.is_multiple_of(heads) {
            return Err(Error::shape(OP, format!("weights {weights:?} and values {values:?} do not fit")));
        }
        Ok([b, t, f])
    }

    pub fn put(x: &[usize], row: &[usize], position: &[usize]) -> Result<()> {
        const OP: &str = "put";
        let [b, _, f] = dims3(OP, x)?;
        if row != [b, 1, f] || position != [1] {
            return Err(Error::shape(OP, format!("row {row:?} and position {position:?} do not fit {x:?}")));
        }
        Ok(())
    }

    pub fn cat_time(all: &[&[usize]]) -> Result<[usize; 3]> {
        const OP: &str = "cat_time";
        let Some((first, rest)) = all.split_first() else { return Err(Error::shape(OP, "nothing to join")) };
        let [b, mut t, f] = dims3(OP, first)?;
        for dims in rest {
            let [b2, t2, f2] = dims3(OP, dims)?;
            if (b, f) != (b2, f2) {
                return Err(Error::shape(OP, format!("{first:?} and {dims:?} differ in more than time")));
            }
            t += t2;
        }
        Ok([b, t, f])
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
