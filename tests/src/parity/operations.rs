//! The operations, and chains that plans fuse in every way they know.

use super::*;

/// A convolution; `outputs`, `kernel`, `stride`, `padding`, `bias`.
pub struct Conv(pub usize, pub usize, pub usize, pub Padding, pub bool);

impl Compute for Conv {
    fn compute<T: Tensor>(&self, x: &T, constants: &Scope<T>) -> Result<T> {
        let &Self(outputs, kernel, stride, padding, bias) = self;
        let weight = constants.get("weight", &[outputs, x.dims()[1], kernel, kernel], Init::Const(0.0))?;
        let bias = bias.then(|| constants.get("bias", &[outputs], Init::Const(0.0))).transpose()?;
        x.conv2d(&weight, bias.as_ref(), stride, padding)
    }
}

/// The largest of every window; `kernel`, `stride`.
pub struct Pool(pub usize, pub usize);

impl Compute for Pool {
    fn compute<T: Tensor>(&self, x: &T, _: &Scope<T>) -> Result<T> {
        x.max_pool(self.0, self.1)?.relu()
    }
}

/// A convolution that keeps the shape.
fn conv<T: Tensor>(x: &T, name: &str, kernel: usize, constants: &Scope<T>) -> Result<T> {
    let c = x.dims()[1];
    let scope = constants.sub(name);
    let weight = scope.get("weight", &[c, c, kernel, kernel], Init::Const(0.0))?;
    x.conv2d(&weight, Some(&scope.get("bias", &[c], Init::Const(0.0))?), 1, kernel / 2)
}

fn norm<T: Tensor>(x: &T, constants: &Scope<T>) -> Result<T> {
    let channels = [x.dims()[1]];
    let scope = constants.sub("norm");
    let weight = scope.get("weight", &channels, Init::Const(0.0))?;
    x.instance_norm(&weight, &scope.get("bias", &channels, Init::Const(0.0))?, 1e-2)
}

fn other<T: Tensor>(x: &T, constants: &Scope<T>) -> Result<T> {
    constants.get("other", x.dims(), Init::Const(0.0))
}

cases! {
    /// The input itself.
    Identity |x, _c| Ok(x.clone());
    /// A constant: the input is not needed.
    Constant |x, c| other(x, c);
    /// Alone.
    Relu |x, _c| x.relu();
    /// Alone.
    LeakyRelu |x, _c| x.leaky_relu(0.05);
    /// Over a wide range.
    Clamp |x, _c| x.affine(200.0, 0.0)?.clamp(-4.0, 30.0);
    /// Over a wide range.
    Sigmoid |x, _c| x.affine(200.0, 0.0)?.sigmoid();
    /// Over a wide range.
    Silu |x, _c| x.affine(200.0, 0.0)?.silu();
    /// Alone.
    Affine |x, _c| x.affine(-1.5, 0.25);
    /// With a constant.
    Add |x, c| x.add(&other(x, c)?);
    /// With a constant.
    Sub |x, c| x.sub(&other(x, c)?);
    /// The operand first.
    SubReversed |x, c| other(x, c)?.sub(x);
    /// With a constant.
    Mul |x, c| x.mul(&other(x, c)?);
    /// An operand twice.
    Twice |x, _c| x.add(x)?.mul(x);
    /// Dead ends are recorded, not computed.
    Dead |x, _c| { x.sigmoid()?.mul(x)?; x.relu() };
    /// Followed by an activation and a skip, which join it.
    InstanceNorm |x, c| norm(x, c)?.relu()?.add(x);
    /// Far from zero: the variance must not be the difference of two large sums.
    InstanceNormFar |x, c| norm(&x.affine(0.5, 40.0)?, c);
    /// With a factor and a summand that are computed from a mixture, as a network of many styles has them.
    InstanceNormOfMixture |x, c| {
        let mixture = c.get("mixture", &[3], Init::Const(0.0))?.affine(1.0, 0.5)?;
        let table = |name: &str| c.sub(name).get("weight", &[x.dims()[1], 3], Init::Const(0.0));
        let (scale, shift) = (mixture.linear(&table("scale")?, None)?, mixture.linear(&table("shift")?, None)?);
        x.instance_norm(&scale, &shift, 1e-2)?.relu()
    };
    /// Joins parts that end inside a block of channels.
    Cat |x, c| T::cat_channels(&[x, &other(x, c)?, &x.relu()?, x]);
    /// One part.
    CatOne |x, _c| T::cat_channels(&[x])?.relu();
    /// What follows a joined tensor reads its padding lanes.
    CatConv |x, _c| conv(&T::cat_channels(&[&x.relu()?, x])?, "a", 1, _c);
    /// By 1: nothing changes, and nobody else may see what follows.
    UpsampleOne |x, _c| { let y = x.affine(2.0, 1.0)?; y.upsample_nearest(1)?.relu()?.add(&y) };
    /// Alone.
    Upsample |x, _c| x.upsample_nearest(3)?.relu();
    /// Read by an epilogue and by a convolution.
    UpsampleShared |x, c| { let y = x.upsample_nearest(2)?; conv(&y, "a", 3, c)?.relu()?.add(&y) };
    /// Read by convolutions alone, with either border, and by an epilogue.
    UpsampleConvs |x, c| {
        let y = x.upsample_nearest(3)?;
        let channels = x.dims()[1];
        let weight = |name: &str| c.sub(name).get("weight", &[channels, channels, 3, 3], Init::Const(0.0));
        let zeros = y.conv2d(&weight("a")?, None, 1, 2)?;
        let mirrored = y.conv2d(&weight("b")?, None, 1, Padding::Reflect(2))?.relu()?;
        zeros.add(&mirrored)?.conv2d(&weight("c")?, None, 1, 0)?.add(&y)
    };
    /// The same with strides.
    UpsampleStrided |x, c| {
        let y = x.upsample_nearest(3)?;
        let channels = x.dims()[1];
        let weight = |name: &str| c.sub(name).get("weight", &[channels, channels, 5, 5], Init::Const(0.0));
        let zeros = y.conv2d(&weight("a")?, None, 2, 2)?;
        let mirrored = y.conv2d(&weight("b")?, None, 2, Padding::Reflect(2))?.relu()?;
        conv(&zeros.add(&mirrored)?.upsample_nearest(2)?, "c", 3, c)
    };
    /// Two enlarged operands.
    UpsampleBoth |x, _c| x.upsample_nearest(2)?.sub(&x.relu()?.upsample_nearest(2)?);
    /// An enlarged tensor enlarged.
    UpsampleTwice |x, _c| x.upsample_nearest(2)?.upsample_nearest(2);
    /// Activation, scale and skip in the epilogue.
    Residual |x, c| conv(&conv(x, "a", 3, c)?.relu()?, "b", 3, c)?.affine(0.1, 0.0)?.add(x);
    /// The skip is read twice more.
    Skip |x, c| {
        let y = conv(x, "a", 1, c)?.silu()?;
        let z = conv(&y, "b", 3, c)?.leaky_relu(0.2)?;
        y.sub(&z)?.mul(&conv(&z, "c", 1, c)?.sigmoid()?)?.add(&y)
    };
    /// More operands than an epilogue may read.
    ManyOperands |x, c| {
        let all = ["a", "b", "c", "d", "e", "f"].map(|n| conv(x, n, 1, c));
        let mut y = conv(x, "g", 3, c)?;
        for (i, t) in all.into_iter().enumerate() {
            y = if i % 2 == 0 { y.add(&t?)? } else { t?.sub(&y)? };
        }
        Ok(y)
    };
    /// A value that is the result and an operand.
    Shuffled |x, c| {
        let channels = x.dims()[1];
        let weight = c.sub("up").get("weight", &[channels * 9, channels, 3, 3], Init::Const(0.0))?;
        x.conv2d(&weight, None, 1, 1)?.pixel_shuffle(3)?.add(&x.upsample_nearest(3)?)
    };
    /// Epilogues on both sides of a shuffle, with operands of every size.
    ShuffledAround |x, c| {
        let channels = x.dims()[1];
        let weight = |name: &str| c.sub(name).get("weight", &[channels * 4, channels, 3, 3], Init::Const(0.0));
        let skip = x.conv2d(&weight("a")?, None, 1, 1)?.silu()?;
        let y = x.conv2d(&weight("b")?, None, 1, 1)?.leaky_relu(0.2)?.add(&skip)?.pixel_shuffle(2)?.affine(2.0, 0.5)?;
        let large = other(&y, c)?;
        large.sub(&y)?.mul(&x.upsample_nearest(2)?)?.add(&skip.pixel_shuffle(2)?)
    };
    /// Shuffled into blocks of channels, read by a convolution.
    ShuffledBlocks |x, c| {
        let channels = x.dims()[1];
        let weight = c.sub("up").get("weight", &[16 * 8, channels, 3, 3], Init::Const(0.0))?;
        let y = x.conv2d(&weight, None, 1, 1)?.relu()?.pixel_shuffle(4)?.affine(0.5, 0.1)?;
        conv(&y, "b", 3, c)?.add(&y)
    };
    /// A shuffled tensor shuffled.
    ShuffledAgain |x, c| {
        let channels = x.dims()[1];
        let weight = c.sub("up").get("weight", &[16, channels, 3, 3], Init::Const(0.0))?;
        x.conv2d(&weight, None, 1, 1)?.pixel_shuffle(2)?.pixel_shuffle(2)
    };
    /// What follows a shuffle reads its padding lanes.
    ShuffleTwice |x, c| {
        let channels = x.dims()[1];
        let weight = c.sub("up").get("weight", &[channels * 4, channels, 1, 1], Init::Const(0.0))?;
        let y = x.conv2d(&weight, None, 1, 0)?.pixel_shuffle(2)?;
        conv(&y, "b", 3, c)?.relu()
    };
}

/// Element by element, on tensors of other ranks.
pub async fn ranks(engine: &impl Engine, report: &mut Report) {
    for dims in [&[][..], &[7], &[3, 5], &[2, 3, 5], &[2, 1, 3, 5, 2]] {
        let name = format!("silu {dims:?}");
        report.add(&name, engine.check(&name, dims, OPERATION, &Silu).await);
        let name = format!("sub {dims:?}");
        report.add(&name, engine.check(&name, dims, OPERATION, &SubReversed).await);
    }
}

/// Windows, strides and paddings, with sizes where the last window ends before the border.
pub async fn convolutions(engine: &impl Engine, report: &mut Report) {
    for (channels, outputs) in [(1, 1), (3, 48), (4, 5), (5, 4), (48, 3), (13, 13)] {
        for (kernel, stride, padding) in
            [(1, 1, 0), (3, 1, 1), (3, 1, 0), (3, 2, 1), (5, 1, 2), (5, 3, 0), (7, 2, 3), (2, 2, 0), (4, 1, 3), (3, 1, 5)]
        {
            for (n, height, width) in [(1, 7, 8), (2, 9, 17)] {
                let dims = [n, channels, height, width];
                for padding in [Padding::Zeros(padding), Padding::Reflect(padding)] {
                    let case = Conv(outputs, kernel, stride, padding, outputs % 2 == 1);
                    let name = format!("conv2d {dims:?} to {outputs}, {kernel}x{kernel} stride {stride}, {padding:?}");
                    report.add(&name, engine.check(&name, &dims, OPERATION, &case).await);
                }
            }
        }
    }
}

/// What depends on how convolutions are cut into threads: small windows without a stride, and everything that is fused with them.
pub async fn cuts(engine: &impl Engine) -> Report {
    let mut report = Report::default();
    for (channels, outputs, kernel) in [(3, 48, 3), (13, 13, 3), (37, 70, 1), (5, 4, 2)] {
        for padding in [Padding::Zeros(kernel - 1), Padding::Reflect(kernel / 2)] {
            let (dims, case) = ([2, channels, 9, 17], Conv(outputs, kernel, 1, padding, outputs % 2 == 1));
            let name = format!("conv2d {dims:?} to {outputs}, {kernel}x{kernel}, {padding:?}");
            report.add(&name, engine.check(&name, &dims, OPERATION, &case).await);
        }
    }
    let dims = [1, 5, 17, 33];
    report.add("UpsampleConvs", engine.check("UpsampleConvs", &dims, OPERATION, &UpsampleConvs).await);
    report.add("Residual", engine.check("Residual", &dims, OPERATION, &Residual).await);
    report.add("ShuffledAround", engine.check("ShuffledAround", &dims, OPERATION, &ShuffledAround).await);
    report.add("ShuffledBlocks", engine.check("ShuffledBlocks", &dims, OPERATION, &ShuffledBlocks).await);
    report
}

/// Windows that overlap, that do not, and that end beyond the border.
pub async fn pools(engine: &impl Engine, report: &mut Report) {
    for (kernel, stride) in [(1, 1), (2, 2), (3, 2), (3, 1), (4, 3)] {
        for dims in [[1, 3, 7, 5], [2, 5, 8, 4], [1, 8, 9, 17]] {
            let name = format!("max_pool {dims:?}, {kernel}x{kernel} stride {stride}");
            report.add(&name, engine.check(&name, &dims, OPERATION, &Pool(kernel, stride)).await);
        }
    }
}
