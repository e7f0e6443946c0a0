//! The networks that are measured.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::case::Kind;

/// A network.
pub struct Network {
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: Kind,
    /// Where its weights come from.
    pub weights: Weights,
}

/// Where weights come from.
pub enum Weights {
    /// A file of `web/models`.
    Shipped(String),
    /// A seed, for the network of this configuration.
    Random(&'static str),
}

/// Networks as the literature has them, whatever the page ships: nine convolutions of 64 channels and a pixel shuffle, and
/// Johnson's network for style transfer in its full size.
const YARDSTICKS: [(&str, Kind, &str); 2] = [
    ("sr", Kind::Superres, r#"{"model":"plain","scale":4,"channels":64,"blocks":8}"#),
    ("style", Kind::Style, r#"{"model":"transform-net","channels":32,"blocks":5}"#),
];

/// All of them: what the page ships, and the yardsticks.
///
/// # Errors
/// When the list of shipped models cannot be read.
pub fn all(root: &Path) -> Result<Vec<Network>> {
    #[derive(Deserialize)]
    struct Catalogue {
        models: Vec<Model>,
    }
    #[derive(Deserialize)]
    struct Model {
        task: String,
        name: String,
        file: String,
    }
    let list = root.join("web/models/models.json");
    let text = std::fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let list: Catalogue = serde_json::from_str(&text).with_context(|| format!("cannot read {}", list.display()))?;
    let shipped = list.models.into_iter().filter_map(|Model { task, name, file }| {
        let kind = match task.as_str() {
            "superres" => Kind::Superres,
            // No network from picture to picture; that of the styles takes a mixture too, and the yardstick, of twice the channels,
            // stands for it.
            _ => return None,
        };
        Some(Network { name, kind, weights: Weights::Shipped(file) })
    });
    let yardsticks = YARDSTICKS.into_iter().map(|(name, kind, config)| {
        let weights = Weights::Random(config);
        Network { name: name.to_owned(), kind, weights }
    });
    Ok(shipped.chain(yardsticks).collect())
}
