//! Every shader, for validation.

use super::super::memory::Precision;
use super::super::step::{Kernel, MAX_OPERANDS, Operand, Stage, Step, Value};
use super::super::tensor::{Map, Zip};
use super::{Geometry, source};
use crate::Result;
use crate::tensor::Padding;

/// Every kind of shader that plans are made of, with a name: every kernel, geometry, store and epilogue, and the longest
/// epilogue. For validation.
///
/// # Errors
/// When a template is broken.
pub fn variants() -> Result<Vec<(String, String)>> {
    // Wide enough for threads that share, and rows as few as in a step of decoding.
    let (dims, rows) = ([1, 5, 4, 16], [1, 9, 5, 1]);
    let picture = (Value::Input(0), dims);
    let mut kernels = vec![Kernel::Pack, Kernel::Copy, Kernel::PixelShuffle(2), Kernel::UpsampleNearest(2)];
    kernels.extend([None, Some([1, 1])].map(|mask| Kernel::AttentionScores { mask }));
    kernels.extend([Kernel::Softmax, Kernel::Attend, Kernel::LayerNorm { epsilon: 1e-5f32.to_bits() }]);
    kernels.extend([Kernel::Take(1), Kernel::Put(2), Kernel::BeamMerge(5), Kernel::MaxPool { kernel: 3, stride: 2 }]);
    for (kernel, padding) in [(3, Padding::Zeros(1)), (3, Padding::Reflect(1)), (1, Padding::Zeros(0)), (5, Padding::Reflect(2))]
    {
        let variants = [(false, 1), (true, 1), (true, 2)];
        kernels.extend(variants.map(|(bias, enlarged)| Kernel::Conv2d { kernel, stride: 1, padding, bias, enlarged }));
    }
    let mut kernels: Vec<(Kernel, [usize; 4])> = kernels.into_iter().map(|kernel| (kernel, dims)).collect();
    let product = |bias| Kernel::Conv2d { kernel: 1, stride: 1, padding: Padding::Zeros(0), bias, enlarged: 1 };
    kernels.extend([false, true].map(|bias| (product(bias), rows)));
    let affine = Map::Affine(-1e30, f32::MIN_POSITIVE);
    let clamp = Map::Clamp(-1e30, f32::MIN_POSITIVE);
    let maps = [Map::LeakyRelu(0.0), Map::LeakyRelu(1e-7), clamp, Map::Sigmoid, Map::Silu, Map::Tanh, affine];
    let mut stages: Vec<(Stage, usize)> = maps.into_iter().map(|m| (Stage::Map(m), 1)).collect();
    for zip in [Zip::Add, Zip::Sub, Zip::Mul] {
        let zips = [(false, 1), (true, 1), (false, 2), (true, 3)];
        stages.extend(zips.map(|(reversed, factor)| (Stage::Zip { zip, operand: 0, reversed }, factor)));
    }
    stages.push((Stage::Normalise { operand: 0 }, 1));
    let mut epilogues: Vec<(Vec<Stage>, Vec<usize>)> = vec![(vec![], vec![])];
    epilogues.extend(stages.iter().map(|&(stage, factor)| match stage {
        Stage::Map(_) | Stage::PixelShuffle(_) => (vec![stage], vec![]),
        Stage::Zip { .. } | Stage::Normalise { .. } => (vec![stage], vec![factor]),
    }));
    let zip = |operand| Stage::Zip { zip: Zip::Add, operand, reversed: false };
    let longest = (0..MAX_OPERANDS).flat_map(|i| [zip(i), stages[i].0]).collect();
    epilogues.push((longest, (1..=MAX_OPERANDS).collect()));

    let mut all = Vec::new();
    for (geometry, precision) in Geometry::CANDIDATES.into_iter().flat_map(|g| [Precision::F32, Precision::F16].map(|p| (g, p))) {
        // Others serve convolutions only, and whatever writes an epilogue knows nothing of them.
        let default = [Geometry::HARDWARE, Geometry::SOFTWARE].contains(&geometry);
        for &(kernel, dims) in kernels.iter().filter(|(kernel, _)| default || matches!(kernel, Kernel::Conv2d { .. })) {
            let inputs = match kernel {
                Kernel::Conv2d { bias, .. } => 2 + usize::from(bias),
                Kernel::AttentionScores { mask } => 2 + usize::from(mask.is_some()),
                Kernel::Attend | Kernel::Take(_) | Kernel::BeamMerge(_) => 2,
                Kernel::LayerNorm { .. } | Kernel::Put(_) => 3,
                _ => 1,
            };
            for (epilogue, factors) in epilogues.iter().filter(|(stages, _)| default || stages.len() != 1) {
                for (planar, features_last) in [(false, false), (true, false), (true, true)] {
                    let operand = |&factor: &usize| Operand { value: Value::Input(0), factor };
                    let step = Step {
                        kernel,
                        inputs: vec![picture.clone(); inputs],
                        epilogue: epilogue.clone(),
                        operands: factors.iter().map(operand).collect(),
                        dims,
                        output: planar.then_some(0),
                        features_last,
                    };
                    all.push((
                        format!(
                            "{kernel:?} {dims:?} {epilogue:?} planar {planar}, features last {features_last} {geometry:?} \
                             {precision:?}"
                        ),
                        source(&step, geometry, precision)?,
                    ));
                }
            }
        }
        for (r, planar, dims) in [(2, true, [1, 3, 4, 32]), (3, true, [1, 3, 9, 48]), (4, false, [2, 8, 8, 64])] {
            let kernel = Kernel::Conv2d { kernel: 3, stride: 1, padding: Padding::Zeros(1), bias: true, enlarged: 1 };
            for zip in [Zip::Add, Zip::Sub] {
                let stage = |operand| Stage::Zip { zip, operand, reversed: true };
                let epilogue = vec![stage(0), Stage::PixelShuffle(r), Stage::Map(Map::Silu), stage(1), stage(2)];
                let operands = [1, 1, r].map(|factor| Operand { value: Value::Input(0), factor }).into();
                let step = Step {
                    kernel,
                    inputs: vec![picture.clone(); 3],
                    epilogue,
                    operands,
                    dims,
                    output: planar.then_some(0),
                    features_last: false,
                };
                all.push((
                    format!("conv2d {zip:?} shuffled by {r}, planar {planar} {geometry:?} {precision:?}"),
                    source(&step, geometry, precision)?,
                ));
            }
        }
        if !default {
            continue;
        }
        for (kernel, inputs) in [
            (Kernel::Moments, 1),
            (Kernel::ScaleAndShift { epsilon: 1e-5f32.to_bits(), computed: false }, 4),
            (Kernel::ScaleAndShift { epsilon: 1e-5f32.to_bits(), computed: true }, 4),
            (Kernel::BeamParts { beam: 5, end: 2 }, 1),
        ] {
            let (inputs, epilogue, operands) = (vec![picture.clone(); inputs], vec![], vec![]);
            let step = Step { kernel, inputs, epilogue, operands, dims: [1, 16, 1, 2], output: None, features_last: false };
            all.push((format!("{kernel:?} {geometry:?} {precision:?}"), source(&step, geometry, precision)?));
        }
        let (epilogue, operands) = (vec![], vec![]);
        let (inputs, dims) = (vec![picture.clone(); 2], [1, 10, 4, 4]);
        let mut cat = Step { kernel: Kernel::CatChannels, inputs, epilogue, operands, dims, output: None, features_last: false };
        for kernel in [Kernel::CatChannels, Kernel::CatTime(2)] {
            cat.kernel = kernel;
            all.push((format!("{kernel:?} {geometry:?} {precision:?}"), source(&cat, geometry, precision)?));
        }
    }
    Ok(all)
}
