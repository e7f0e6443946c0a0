//! How fast engines are here, and what of the machine that is.

mod ceilings;
mod clock;
mod cut;
#[cfg(feature = "webgpu")]
mod gpu;
mod layer;
mod report;
pub mod scale;

pub use ceilings::Ceilings;
pub use clock::{Effort, Times};
pub use cut::Cut;
pub use layer::Layer;
pub use report::{Report, Row};
