//! Random numbers that depend on what they are for, not on what was drawn before: resuming a run needs no generator's state.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The generator of `purpose` at `step` in a run with this seed.
pub fn rng(seed: u64, purpose: &str, step: u64) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(step.to_le_bytes());
    hash.update(purpose.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}
