//! Any picture as a style (Huang and Belongie 2017, arXiv:1703.06868).

pub mod config;
pub mod styles;
pub mod task;
