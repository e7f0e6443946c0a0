//! What is dropped while training.

use std::cell::RefCell;

use candle_core::{Device, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use shared::layers::Dropout;

use crate::seed;

/// Drops features at random. What is dropped depends on the seed and the step, so a run that is resumed drops the same.
pub struct Noise {
    rng: RefCell<ChaCha8Rng>,
    /// Of 256 features so many are dropped: a byte of randomness decides.
    of_256: u8,
}

impl Noise {
    /// Drops the part `rate` of the features, to a 256th.
    pub fn new(rate: f32, seed: u64, step: u64) -> Self {
        Self { rng: RefCell::new(seed::rng(seed, "dropout", step)), of_256: (rate.clamp(0.0, 0.9) * 256.0).round() as u8 }
    }
}

impl Dropout<Tensor> for Noise {
    fn drop(&self, x: &Tensor) -> shared::Result<Tensor> {
        self.mask(x)?.map_or_else(|| Ok(x.clone()), |mask| Ok(x.mul(&mask)?))
    }

    fn mask(&self, x: &Tensor) -> shared::Result<Option<Tensor>> {
        if self.of_256 == 0 {
            return Ok(None);
        }
        let mut bytes = vec![0u8; x.elem_count()];
        self.rng.borrow_mut().fill_bytes(&mut bytes);
        let scale = 256.0 / (256.0 - f32::from(self.of_256));
        let kept: Vec<f32> = bytes.into_iter().map(|b| if b < self.of_256 { 0.0 } else { scale }).collect();
        Ok(Some(Tensor::from_vec(kept, x.shape(), &Device::Cpu)?.to_device(x.device())?.to_dtype(x.dtype())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_dropped_and_the_mean_stays() {
        let x = Tensor::ones((100, 100), candle_core::DType::F32, &Device::Cpu).unwrap();
        let drop = |step| Noise::new(0.25, 1, step).drop(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let dropped = drop(1);
        let zeros = dropped.iter().filter(|v| **v == 0.0).count();
        assert!((2300..2700).contains(&zeros), "{zeros}");
        assert!((dropped.iter().sum::<f32>() / 1e4 - 1.0).abs() < 0.03);
        assert_eq!(drop(1), dropped);
        assert_ne!(drop(2), dropped);
    }
}
