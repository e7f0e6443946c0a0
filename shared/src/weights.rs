//! Where layers get their parameters: one interface for fresh, trainable and stored weights.

use crate::Result;

/// How a parameter starts when nothing is stored for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Every element the same.
    Const(f32),
    /// Normal with standard deviation `gain / sqrt(fan_in)` (He et al. 2015, arXiv:1502.01852; gain `sqrt(2)` for ReLU), where
    /// `fan_in` is the product of all dimensions but the first.
    Kaiming {
        /// Factor on the standard deviation.
        gain: f32,
    },
    /// As `Kaiming`, but every run of `scale * scale` outputs starts equal, so that the pixel shuffle after it starts as nearest
    /// neighbour upsampling, free of checkerboards (Aitken et al. 2017, arXiv:1707.02937).
    Icnr {
        /// Factor on the standard deviation.
        gain: f32,
        /// The upscaling factor of the pixel shuffle.
        scale: usize,
    },
    /// `[T, F]`: row `t` has `sin(t / 10000^(2 i / F))` for i below F / 2, then the cosines (Vaswani et al. 2017,
    /// arXiv:1706.03762).
    Sinusoid,
}

/// A source of parameters, by name.
pub trait Source<T> {
    /// The parameter `name` with these dimensions; `init` says how to start it where nothing is stored.
    ///
    /// # Errors
    /// When a stored parameter is missing, has other dimensions or holds NaN.
    fn get(&self, name: &str, dims: &[usize], init: Init) -> Result<T>;
}

/// A [`Source`] with a prefix, handed down from a model to its layers: `scope.sub("body").sub("0")` reads `body.0.weight`.
pub struct Scope<'a, T> {
    source: &'a dyn Source<T>,
    prefix: String,
}

impl<'a, T> Scope<'a, T> {
    /// The top of a model.
    pub fn root(source: &'a dyn Source<T>) -> Self {
        Self { source, prefix: String::new() }
    }

    /// The scope of the part `name`.
    pub fn sub(&self, name: impl std::fmt::Display) -> Self {
        let dot = if self.prefix.is_empty() { "" } else { "." };
        Self { source: self.source, prefix: format!("{}{dot}{name}", self.prefix) }
    }

    /// The parameter `name` of this part. See [`Source::get`].
    pub fn get(&self, name: &str, dims: &[usize], init: Init) -> Result<T> {
        self.source.get(&self.sub(name).prefix, dims, init)
    }
}
