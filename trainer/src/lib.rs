//! Trains, evaluates, runs and publishes the models. The binary `trainer` is a thin shell around [`commands`].

pub mod bench;
pub mod commands;
pub mod data;
pub mod device;
pub mod learner;
pub mod metrics;
pub mod optimizer;
pub mod publish;
pub mod runs;
pub mod schedule;
pub mod seed;
pub mod style;
pub mod superres;
pub mod training;
pub mod translate;
pub mod variables;
