//! Golden tensors: what small networks from the trainer gave when they were written, to be matched by every engine everywhere.
//!
//! Each file in `tests/golden` is a checkpoint with two more tensors, the input and the output. To write them anew, after a
//! change of a model that is meant to change its results: `cargo test --workspace --test golden -- --ignored regenerate`.

use shared::checkpoint::{Checkpoint, Dense};
use shared::session::{Engine, Session};
use shared::{Error, Result};

/// The extra tensors of a file: `[3, height, width]`, in 0..1.
pub const INPUT: &str = "golden.input";
/// The network's result, `[3, height * scale, width * scale]`.
pub const OUTPUT: &str = "golden.output";

/// The files: the name and the content.
pub const FILES: [(&str, &[u8]); 2] = [
    ("rlfn-x2.safetensors", include_bytes!("../golden/rlfn-x2.safetensors")),
    ("sr-resnet-x4.safetensors", include_bytes!("../golden/sr-resnet-x4.safetensors")),
];

/// Outputs lie in about 0..1. Engines sum in different orders; measured differences are below 1e-6, f16 would be off by 1e-3.
pub const TOLERANCE: f32 = 1e-5;

/// Runs every golden network on `engine` and compares; `engine` is asked once for each.
///
/// # Errors
/// Names the file and the worst sample, or says what failed.
pub async fn check(mut engine: impl FnMut() -> Engine) -> Result<()> {
    for (name, bytes) in FILES {
        let (checkpoint, input, output) = split(Checkpoint::from_bytes(bytes)?)?;
        let [_, height, width] = input.dims[..] else { return Err(Error::Checkpoint(format!("{name}: input {:?}", input.dims))) };
        let session = Session::new(&checkpoint, engine())?;
        let result = session.forward(&input.values, height, width).await?;
        if result.len() != output.values.len() {
            return Err(Error::Checkpoint(format!("{name}: {} samples instead of {}", result.len(), output.values.len())));
        }
        let off = |i: &usize| (result[*i] - output.values[*i]).abs();
        // `total_cmp` puts NaN last, so that it is found.
        let worst = (0..result.len()).max_by(|a, b| off(a).total_cmp(&off(b))).unwrap_or_default();
        let (got, wanted) = (result[worst], output.values[worst]);
        // Written so that NaN fails.
        if !((got - wanted).abs() <= TOLERANCE) {
            return Err(Error::Checkpoint(format!("{name}: sample {worst} of {:?} is {got}, was {wanted}", output.dims)));
        }
    }
    Ok(())
}

/// The network, the input and the output of a file.
fn split(mut checkpoint: Checkpoint) -> Result<(Checkpoint, Dense, Dense)> {
    let mut take = |name: &str| {
        checkpoint.tensors.remove(name).ok_or_else(|| Error::Checkpoint(format!("`{name}` is missing from a golden file")))
    };
    let (input, output) = (take(INPUT)?, take(OUTPUT)?);
    Ok((checkpoint, input, output))
}
