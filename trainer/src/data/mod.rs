//! Data: public sets, folders of pictures, pictures made up, and the pairs that super-resolution learns from.

pub mod catalogue;
pub mod checksum;
pub mod dead_leaves;
pub mod fetch;
pub mod folder;
pub mod packed;
pub mod pairs;
pub mod sets;
pub mod statistics;
pub mod unpack;
