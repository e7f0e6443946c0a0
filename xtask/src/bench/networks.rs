//! The networks that are measured.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::case::Kind;

/// A network.
pub struct Network {
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: Kind,
    /// Where its weights come from.
    pub weights: Weights,
    /// Of a network of many styles the one that it is measured in, its first.
    pub style: Option<String>,
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
    ("johnson", Kind::Style, r#"{"model":"transform-net","channels":32,"blocks":5}"#),
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
    let mut networks = Vec::new();
    for Model { task, name, file } in list.models {
        let (kind, style) = match task.as_str() {
            "superres" => (Kind::Superres, None),
            "style" | "own-style" => (Kind::Style, Some(first_style(&root.join("web/models").join(&file))?)),
            // No network from picture to picture.
            _ => continue,
        };
        networks.push(Network { name, kind, weights: Weights::Shipped(file), style });
    }
    networks.extend(YARDSTICKS.map(|(name, kind, config)| {
        let weights = Weights::Random(config);
        Network { name: name.to_owned(), kind, weights, style: None }
    }));
    Ok(networks)
}

/// What the first style of a network is called, by the head of its safetensors file.
fn first_style(file: &Path) -> Result<String> {
    let read = || -> Result<String> {
        let bytes = std::fs::read(file)?;
        let (length, rest) = bytes.split_first_chunk().context("too short")?;
        let head = rest.get(..usize::try_from(u64::from_le_bytes(*length))?).context("too short")?;
        let head: Value = serde_json::from_slice(head)?;
        let facts: Value = serde_json::from_str(head["__metadata__"]["atelier"].as_str().context("no metadata")?)?;
        Ok(facts["styles"][0]["name"].as_str().context("no style")?.to_owned())
    };
    read().with_context(|| format!("cannot read the styles of {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_styles_are_measured_in_their_first() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let of = |wanted: &str| all(&root).unwrap().into_iter().find(|network| network.name == wanted).unwrap().style;
        assert_eq!(of("style").as_deref(), Some("starry_night"));
        assert_eq!(of("superres-x2-fast"), None);
        assert!(first_style(&root.join("Cargo.toml")).unwrap_err().to_string().contains("Cargo.toml"));
    }
}
