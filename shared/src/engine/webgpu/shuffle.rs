//! Pixel shuffles that become the store of the convolution before them.
//!
//! A shuffle only moves values, and the convolution can as well store them where they belong: the large tensor is then written
//! once instead of written, read and written. This is decided when all steps are known, because the result's layout counts.

use super::step::{Kernel, MAX_OPERANDS, Stage, Step, Value};

/// Joins every shuffle with the convolution that it alone reads, where [`fits`] allows it.
pub fn fuse(steps: &mut Vec<Step>) {
    let mut at = 0;
    while at < steps.len() {
        match source(steps, at) {
            Some(conv) => join(steps, conv, at),
            None => at += 1,
        }
    }
}

/// The convolution that the shuffle `at` can join.
fn source(steps: &[Step], at: usize) -> Option<usize> {
    let shuffle = &steps[at];
    let (Kernel::PixelShuffle(_), [(Value::Step(conv), _)]) = (shuffle.kernel, &shuffle.inputs[..]) else { return None };
    let readers = steps.iter().flat_map(Step::reads).filter(|read| read == conv).count();
    (readers == 1 && fits(&steps[*conv], shuffle)).then_some(*conv)
}

/// In blocks of channels, a vec4 of the result has lanes from four blocks of the convolution. They are stored one by one, and so
/// no block may be incomplete: nobody would write its other lanes.
fn fits(conv: &Step, shuffle: &Step) -> bool {
    matches!(conv.kernel, Kernel::Conv2d { .. })
        && !conv.epilogue.iter().any(|stage| matches!(stage, Stage::PixelShuffle(_)))
        && conv.operands.len() + shuffle.operands.len() <= MAX_OPERANDS
        && !shuffle.epilogue.iter().any(|stage| matches!(stage, Stage::Normalise { .. }))
        && (shuffle.planar() || shuffle.dims[1].is_multiple_of(4))
}

/// Puts `conv`, which is earlier, into the place of the shuffle `at`: what either reads is computed before.
fn join(steps: &mut Vec<Step>, conv: usize, at: usize) {
    let first = steps.remove(conv);
    // What came after it has moved.
    for step in &mut *steps {
        let values = step.inputs.iter_mut().map(|(value, _)| value).chain(step.operands.iter_mut().map(|o| &mut o.value));
        for value in values {
            if let Value::Step(read) = value
                && *read > conv
            {
                *read -= 1;
            }
        }
    }
    let step = &mut steps[at - 1];
    let Kernel::PixelShuffle(r) = step.kernel else { return };
    step.kernel = first.kernel;
    step.inputs = first.inputs;
    let moved = first.operands.len();
    let after = std::mem::replace(&mut step.epilogue, first.epilogue);
    step.epilogue.push(Stage::PixelShuffle(r));
    step.epilogue.extend(after.into_iter().map(|stage| match stage {
        Stage::Zip { zip, operand, reversed } => Stage::Zip { zip, operand: operand + moved, reversed },
        other => other,
    }));
    let operands = std::mem::replace(&mut step.operands, first.operands);
    step.operands.extend(operands);
}
