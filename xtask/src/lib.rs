//! What the commands of this repository share with its tests: the server of the page.

pub mod serve;
