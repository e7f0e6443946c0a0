//! candle 0.11 computes several gradients wrongly without an error. So: every operation of [`shared::Tensor`] against central
//! finite differences in f64, and our own f32 convolution against candle's in f64.
#![cfg(not(target_arch = "wasm32"))]

use candle_core::{DType, Device, Tensor as Candle, Var};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::Tensor;
use shared::engine::candle::gram;
use shared::tensor::Padding;

type Outcome = shared::Result<Candle>;

fn random(rng: &mut ChaCha8Rng, dims: &[usize], dtype: DType) -> Var {
    // Away from zero, where ReLU has a corner that a finite difference would step over.
    let mut value = || (0.1 + rng.random_range(0.0..1.0)) * if rng.random() { 1.0 } else { -1.0 };
    let values: Vec<f64> = (0..dims.iter().product()).map(|_| value()).collect();
    Var::from_tensor(&Candle::from_vec(values, dims, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()).unwrap()
}

fn values(tensor: &Candle) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// A random linear function of what `f` gives: its gradient tests the whole Jacobian.
fn scalar(f: &dyn Fn(&[Candle]) -> Outcome, inputs: &[Candle]) -> Candle {
    let y = f(inputs).unwrap();
    let weights = random(&mut ChaCha8Rng::seed_from_u64(99), y.dims(), y.dtype());
    (y * weights.as_tensor()).unwrap().sum_all().unwrap()
}

fn gradients(f: &dyn Fn(&[Candle]) -> Outcome, inputs: &[Var]) -> Vec<Vec<f64>> {
    let tensors: Vec<Candle> = inputs.iter().map(|v| v.as_tensor().clone()).collect();
    let store = scalar(f, &tensors).backward().unwrap();
    inputs.iter().map(|v| values(store.get(v).expect("a gradient for every input"))).collect()
}

/// Compares the gradient of every element of every input with `(f(x + h) - f(x - h)) / 2 h`.
fn check(name: &str, dims: &[&[usize]], f: impl Fn(&[Candle]) -> Outcome) {
    const STEP: f64 = 1e-5;
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let inputs: Vec<Var> = dims.iter().map(|d| random(&mut rng, d, DType::F64)).collect();
    let tensors: Vec<Candle> = inputs.iter().map(|v| v.as_tensor().clone()).collect();
    let at = |i: usize, values: &[f64]| {
        let mut moved = tensors.clone();
        moved[i] = Candle::from_slice(values, dims[i], &Device::Cpu).unwrap();
        scalar(&f, &moved).to_scalar::<f64>().unwrap()
    };
    for (i, gradient) in gradients(&f, &inputs).iter().enumerate() {
        let centre = values(&tensors[i]);
        for (e, got) in gradient.iter().enumerate() {
            let [mut above, mut below] = [centre.clone(), centre.clone()];
            above[e] += STEP;
            below[e] -= STEP;
            let wanted = (at(i, &above) - at(i, &below)) / (2.0 * STEP);
            // Written so that NaN fails.
            assert!((got - wanted).abs() <= 1e-6 * (1.0 + wanted.abs()), "{name}: input {i}, element {e}: {got}, not {wanted}");
        }
    }
}

const SHAPE: &[usize] = &[2, 3, 4, 5];

#[test]
fn activations() {
    check("relu", &[SHAPE], |x| Tensor::relu(&x[0]));
    check("leaky_relu", &[SHAPE], |x| x[0].leaky_relu(0.05));
    check("sigmoid", &[SHAPE], |x| Tensor::sigmoid(&x[0]));
    check("sigmoid, wide", &[SHAPE], |x| Tensor::sigmoid(&Tensor::affine(&x[0], 10.0, 0.0)?));
    check("silu", &[SHAPE], |x| Tensor::silu(&x[0]));
    check_both("clamp", &[SHAPE], |x| Tensor::clamp(&x[0], -0.6, 0.55));
    check("affine", &[SHAPE], |x| Tensor::affine(&x[0], -1.5, 0.25));
}

#[test]
fn sigmoid_and_silu_have_gradients_far_from_zero() {
    let x = Var::from_slice(&[-2000.0f32, -100.0, 100.0, 2000.0], 4, &Device::Cpu).unwrap();
    for f in [|x: &Candle| Tensor::sigmoid(x), |x: &Candle| Tensor::silu(x)] {
        let gradients = f(&x).unwrap().backward().unwrap();
        assert!(values(gradients.get(&x).unwrap()).iter().all(|g| g.is_finite()));
    }
}

#[test]
fn sums_and_products() {
    check("add", &[SHAPE, SHAPE], |x| Tensor::add(&x[0], &x[1]));
    check("sub", &[SHAPE, SHAPE], |x| Tensor::sub(&x[0], &x[1]));
    check("mul", &[SHAPE, SHAPE], |x| Tensor::mul(&x[0], &x[1]));
    check("mul of itself", &[SHAPE], |x| Tensor::mul(&x[0], &x[0]));
    check("sub of itself", &[SHAPE], |x| Tensor::sub(&Tensor::mul(&x[0], &x[0])?, &x[0]));
}

#[test]
fn rearrangements() {
    let other: &[usize] = &[2, 2, 4, 5];
    check("cat_channels", &[SHAPE, other], |x| Tensor::cat_channels(&[&x[0], &x[1], &x[0]]));
    check("pixel_shuffle", &[&[2, 12, 3, 2]], |x| x[0].pixel_shuffle(2));
    check("pixel_shuffle by 3", &[&[1, 9, 2, 3]], |x| x[0].pixel_shuffle(3));
    check_both("upsample_nearest", &[SHAPE], |x| x[0].upsample_nearest(3));
}

/// As in a U-Net: the backward of candle's `upsample_nearest2d` overwrites what the skip has left.
#[test]
fn inputs_that_are_used_twice() {
    check("upsample and skip", &[SHAPE], |x| {
        let large = x[0].upsample_nearest(2)?;
        Tensor::mul(&large, &Tensor::affine(&x[0], 2.0, 1.0)?.upsample_nearest(2)?)
    });
    check("shuffle and skip", &[&[1, 4, 3, 3]], |x| {
        let small = Tensor::mul(&x[0], &x[0])?;
        Tensor::cat_channels(&[&x[0].pixel_shuffle(2)?, &small.pixel_shuffle(2)?])
    });
    check("activations of one tensor", &[SHAPE], |x| {
        Tensor::mul(&Tensor::sigmoid(&x[0])?, &Tensor::add(&Tensor::silu(&x[0])?, &x[0].leaky_relu(0.1)?)?)
    });
    check("convolution of itself", &[&[1, 3, 5, 4], &[3, 3, 3, 3], &[3]], |x| {
        let once = Tensor::conv2d(&x[0], &x[1], Some(&x[2]), 1, 1)?;
        Tensor::add(&Tensor::conv2d(&once, &x[1], Some(&x[2]), 1, 1)?, &x[0])
    });
}

/// In f64, so through candle's convolution. Sizes that strides do not divide are those where candle's backward fails.
#[test]
fn convolutions() {
    for (kernel, stride, padding) in [(1, 1, 0), (3, 1, 1), (3, 1, 0), (3, 2, 1), (3, 2, 0), (5, 3, 2), (2, 2, 0), (1, 2, 0)] {
        for [height, width] in [[5, 5], [6, 7], [7, 6]] {
            let name = format!("conv2d {kernel}x{kernel} stride {stride} padding {padding} on {height}x{width}");
            let dims: [&[usize]; 3] = [&[2, 2, height, width], &[3, 2, kernel, kernel], &[3]];
            check(&name, &dims, |x| Tensor::conv2d(&x[0], &x[1], Some(&x[2]), stride, padding));
            check(&name, &dims[..2], |x| Tensor::conv2d(&x[0], &x[1], None, stride, padding));
        }
    }
}

#[test]
fn reflected_convolutions() {
    for (kernel, stride) in [(3, 1), (3, 2), (5, 1)] {
        let padding = Padding::Reflect(kernel / 2);
        let name = format!("conv2d {kernel}x{kernel} stride {stride} {padding:?}");
        check(&name, &[&[2, 2, 5, 6], &[3, 2, kernel, kernel], &[3]], |x| {
            Tensor::conv2d(&x[0], &x[1], Some(&x[2]), stride, padding)
        });
    }
}

#[test]
fn instance_norms() {
    check("instance_norm", &[SHAPE, &[3], &[3]], |x| x[0].instance_norm(&x[1], &x[2], 1e-3));
}

#[test]
fn pools() {
    for (kernel, stride, dims) in [(2, 2, [1, 2, 4, 5]), (3, 2, [2, 1, 6, 4]), (3, 1, [1, 2, 4, 4])] {
        check_both(&format!("max_pool {kernel} {stride}"), &[&dims], |x| x[0].max_pool(kernel, stride));
    }
}

#[test]
fn what_judges_gets_no_gradient() {
    let x = Var::from_tensor(&Candle::ones((1, 2, 4, 4), DType::F32, &Device::Cpu).unwrap()).unwrap();
    let weight = Candle::ones((3, 2, 3, 3), DType::F32, &Device::Cpu).unwrap();
    let store = Tensor::conv2d(x.as_tensor(), &weight, None, 1, 1).unwrap().sum_all().unwrap().backward().unwrap();
    assert!(store.get(&x).is_some());
    assert!(store.get(&weight).is_none());
}

/// Against finite differences in f64, and then our own operations, which are for f32, against those of f64.
fn check_both(name: &str, dims: &[&[usize]], f: impl Fn(&[Candle]) -> Outcome) {
    check(name, dims, &f);
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let exact: Vec<Var> = dims.iter().map(|d| random(&mut rng, d, DType::F64)).collect();
    let single: Vec<Var> = exact.iter().map(|v| Var::from_tensor(&v.to_dtype(DType::F32).unwrap()).unwrap()).collect();
    for (i, (got, wanted)) in gradients(&f, &single).iter().zip(gradients(&f, &exact)).enumerate() {
        let worst = got.iter().zip(&wanted).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f64::max);
        assert!(worst <= 1e-4, "{name}: input {i} is off by {worst} in f32");
    }
}

/// Constants of a case, in the precision of its inputs.
fn constant(values: &[f64], dims: &[usize], like: &Candle) -> Candle {
    Candle::from_slice(values, dims, &Device::Cpu).unwrap().to_dtype(like.dtype()).unwrap()
}

#[test]
fn sequences() {
    check_both("tanh", &[SHAPE], |x| Tensor::tanh(&x[0]));
    check_both("linear", &[&[2, 3, 5], &[4, 5], &[4]], |x| x[0].linear(&x[1], Some(&x[2])));
    check_both("linear without a bias", &[&[3, 5], &[4, 5]], |x| x[0].linear(&x[1], None));
    // More features than a vector has lanes, and some left over.
    check_both("layer_norm", &[&[2, 3, 19], &[19], &[19]], |x| x[0].layer_norm(&x[1], &x[2], 1e-3));
    let numbers = |like: &Candle| constant(&[2.0, 0.0, 2.0, 1.0], &[2, 2], like);
    check_both("take", &[&[3, 5]], |x| x[0].take(&numbers(&x[0])));
    check_both("take of sequences", &[&[3, 2, 5]], |x| x[0].take(&constant(&[2.0, 2.0], &[2], &x[0])));
    check_both("cat_time", &[&[2, 3, 4], &[2, 1, 4]], |x| Tensor::cat_time(&[&x[0], &x[1], &x[0]]));
    check_both("put", &[&[2, 3, 4], &[2, 1, 4]], |x| x[0].put(&x[1], &constant(&[1.0], &[1], &x[0])));
}

#[test]
fn attentions() {
    let (q, k): (&[usize], &[usize]) = (&[2, 3, 8], &[2, 4, 8]);
    check_both("attention_weights", &[q, k], |x| x[0].attention_weights(&x[1], 2, None));
    let mask: Vec<f64> = (0..24).map(|i| f64::from(i % 5) / 3.0).collect();
    for dims in [[2, 3, 4], [1, 3, 4], [2, 1, 4]] {
        let count = dims.iter().product();
        let name = format!("attention_weights with a mask {dims:?}");
        check_both(&name, &[q, k], |x| x[0].attention_weights(&x[1], 2, Some(&constant(&mask[..count], &dims, &x[0]))));
    }
    check_both("attend", &[&[2, 2, 3, 4], k], |x| x[0].attend(&x[1]));
    check_both("attention", &[q, k, k], |x| x[0].attention_weights(&x[1], 4, None)?.attend(&x[2]));
}

/// A convolution: sizes, and what it does with them.
#[derive(Debug, Clone, Copy)]
struct Conv {
    batch: usize,
    inputs: usize,
    outputs: usize,
    height: usize,
    width: usize,
    kernel: usize,
    stride: usize,
    padding: Padding,
}

impl Conv {
    /// Result and gradients in f32 (our own convolution where it applies) against those in f64 (candle's).
    fn check(self) {
        let Self { batch, inputs, outputs, height, width, kernel, stride, padding } = self;
        let dims: [&[usize]; 3] = [&[batch, inputs, height, width], &[outputs, inputs, kernel, kernel], &[outputs]];
        let f = move |x: &[Candle]| Tensor::conv2d(&x[0], &x[1], Some(&x[2]), stride, padding);
        matches_f64(&format!("{self:?}"), dims, &f);
        let f = move |x: &[Candle]| Tensor::conv2d_leaky_relu(&x[0], &x[1], Some(&x[2]), stride, padding, 0.3);
        matches_f64(&format!("{self:?} and a leaky ReLU"), dims, &f);
    }
}

/// The result and the gradients of `f` in f32 (our own operation where there is one) against those in f64 (candle's).
fn matches_f64(name: &str, dims: [&[usize]; 3], f: &dyn Fn(&[Candle]) -> Outcome) {
    let [narrow, wide] = [DType::F32, DType::F64].map(|dtype| {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        // From f32 values, so that both see the same numbers.
        let inputs = dims.map(|d| {
            let narrow = random(&mut rng, d, DType::F32);
            Var::from_tensor(&narrow.to_dtype(dtype).unwrap()).unwrap()
        });
        let tensors: Vec<Candle> = inputs.iter().map(|v| v.as_tensor().clone()).collect();
        let mut all = vec![values(&f(&tensors).unwrap())];
        // The random weights of `scalar` differ in rounding only.
        all.extend(gradients(f, &inputs));
        all
    });
    let parts = ["result", "input gradient", "weight gradient", "bias gradient"];
    for (what, (got, wanted)) in parts.iter().zip(narrow.iter().zip(&wide)) {
        assert_eq!(got.len(), wanted.len());
        let scale = wanted.iter().fold(1.0f64, |m, v| m.max(v.abs()));
        for (e, (got, wanted)) in got.iter().zip(wanted).enumerate() {
            let off = (got - wanted).abs();
            assert!(off <= 1e-5 * scale, "{name}: {what}, element {e}: {got} instead of {wanted}");
        }
    }
}

/// Ours in f32: a plane that fills no vector, and one of several runs with a mean that is large against its deviation.
#[test]
fn our_instance_norm_matches_candle_in_f64() {
    for dims in [[2, 3, 3, 5], [1, 2, 70, 90]] {
        matches_f64("instance_norm", [&dims, &dims[1..2], &dims[1..2]], &|x| {
            Tensor::affine(&x[0], 1.0, 30.0)?.instance_norm(&x[1], &x[2], 1e-5)
        });
    }
}

/// Whole vectors of pixels, and some left over.
#[test]
fn gram_matrices() {
    for dims in [[1, 5, 4, 8], [1, 3, 5, 7]] {
        check_both(&format!("gram {dims:?}"), &[&dims], |x| Ok(gram(&x[0])?));
    }
}

#[test]
fn our_convolution_matches_candle_in_f64() {
    const CHANNELS: [usize; 5] = [1, 3, 5, 13, 48];
    for (kernel, padding) in [(1, 0), (3, 1), (3, 0), (5, 2)] {
        for batch in [1, 3] {
            for (i, inputs) in CHANNELS.into_iter().enumerate() {
                // Every count of outputs comes up with every kernel.
                let outputs = CHANNELS[(i + kernel + batch) % CHANNELS.len()];
                for (height, width) in [(5, 5), (7, 18), (9, 33)] {
                    Conv { batch, inputs, outputs, height, width, kernel, stride: 1, padding: padding.into() }.check();
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..Default::default() })]
    #[test]
    fn convolutions_of_any_size_match_candle_in_f64(
        (batch, inputs, outputs) in (1usize..4, 1usize..20, 1usize..20),
        (height, width) in (1usize..24, 1usize..24),
        (kernel, stride, padding, reflect) in (1usize..6, 1usize..4, 0usize..4, any::<bool>()),
    ) {
        prop_assume!(height + 2 * padding >= kernel && width + 2 * padding >= kernel);
        prop_assume!(!reflect || padding < height.min(width));
        let padding = if reflect { Padding::Reflect(padding) } else { Padding::Zeros(padding) };
        Conv { batch, inputs, outputs, height, width, kernel, stride, padding }.check();
    }
}
