//! What happens around the loop, a file a subject.

mod ema;
mod gradients;
mod lr_finder;
mod precision;
mod profiler;
mod progress;
mod recorder;
mod schedule;
mod stop;

pub use ema::Ema;
pub use gradients::{Accumulation, Clipping, NanGuard};
pub use lr_finder::LrFinder;
pub use precision::LossScale;
pub use profiler::Profiler;
pub use progress::{Progress, Table};
pub use recorder::{Checkpoints, Csv, Reports, Samples};
pub use schedule::Scheduler;
pub use stop::{EarlyStopping, Interrupt};
