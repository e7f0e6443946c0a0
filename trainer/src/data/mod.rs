//! Data: folders of pictures, pictures made up, and the pairs that super-resolution learns from.

pub mod dead_leaves;
pub mod folder;
pub mod pairs;
