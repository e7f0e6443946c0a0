use crate::Result;

/// What training does to activations and nothing else does. A model passes every place where it may happen through this, so that
/// one `forward` serves both.
pub trait Dropout<T> {
    /// `x` with some of its features at zero and the others scaled up (Srivastava et al. 2014).
    ///
    /// # Errors
    /// When the engine fails.
    fn drop(&self, x: &T) -> Result<T>;

    /// Factors that do the same to everything like `x`, for all steps of a sequence alike; `None` where nothing is dropped.
    ///
    /// # Errors
    /// When the engine fails.
    fn mask(&self, x: &T) -> Result<Option<T>>;
}

/// Nothing is dropped: inference.
pub struct Keep;

impl<T: Clone> Dropout<T> for Keep {
    fn drop(&self, x: &T) -> Result<T> {
        Ok(x.clone())
    }

    fn mask(&self, _: &T) -> Result<Option<T>> {
        Ok(None)
    }
}
