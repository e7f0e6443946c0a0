//! Translation: sentences of one language to another, and dates of many forms to one.

pub mod batches;
pub mod bleu;
pub mod card;
pub mod chrf;
pub mod config;
pub mod corpus;
pub mod dates;
pub mod dropout;
pub mod evaluate;
pub mod heat;
pub mod language;
pub mod loss;
pub mod network;
pub mod task;
