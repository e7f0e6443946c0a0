//! `models/models.json`: which models there are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The list, as `trainer publish` writes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Catalogue {
    /// All models, of all tasks.
    pub models: Vec<Model>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// What it does; here `superres`.
    pub task: String,
    /// Its name.
    pub name: String,
    /// Its weights, beside the list.
    pub file: String,
    /// Its card in Markdown, beside the list.
    pub card: String,
    /// How much larger pictures become.
    pub scale: usize,
    /// `fast` or `quality`.
    pub quality: String,
    /// How many weights.
    pub parameters: u64,
    /// The size of `file`.
    pub bytes: u64,
    /// The SHA-256 of `file`, in hex.
    pub sha256: String,
    /// What was measured, e.g. `set5_psnr`.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
}

impl Catalogue {
    /// Reads the list; only models for super-resolution stay, by scale and then by size.
    ///
    /// # Errors
    /// A sentence, when it is not such a list, names files elsewhere, or holds no model.
    pub fn parse(json: &str) -> Result<Self, String> {
        let mut list: Self = serde_json::from_str(json).map_err(|e| format!("models.json cannot be read: {e}"))?;
        list.models.retain(|m| m.task == "superres");
        for model in &list.models {
            for file in [&model.file, &model.card] {
                let plain = file.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
                if !plain || file.starts_with('.') || file.is_empty() {
                    return Err(format!("models.json names “{file}”, which is not a plain file name"));
                }
            }
            if !(2..=8).contains(&model.scale) {
                return Err(format!("models.json gives “{}” the scale {}", model.name, model.scale));
            }
        }
        if list.models.is_empty() {
            return Err("models.json lists no model for enlarging".into());
        }
        list.models.sort_by_key(|m| (m.scale, m.parameters));
        Ok(list)
    }

    /// The scales that there are, ascending.
    pub fn scales(&self) -> Vec<usize> {
        let mut scales: Vec<_> = self.models.iter().map(|m| m.scale).collect();
        scales.dedup();
        scales
    }

    /// The models of one scale, small ones first.
    pub fn of_scale(&self, scale: usize) -> impl Iterator<Item = &Model> {
        self.models.iter().filter(move |m| m.scale == scale)
    }

    /// The model of a scale and quality; the nearest there is when that quality is missing.
    pub fn find(&self, scale: usize, quality: &str) -> Option<&Model> {
        self.of_scale(scale).find(|m| m.quality == quality).or_else(|| self.of_scale(scale).last())
    }
}

impl Model {
    /// For people.
    pub fn quality_label(&self) -> &str {
        match self.quality.as_str() {
            "fast" => "Fast",
            "quality" => "Best",
            other => other,
        }
    }

    /// PSNR on Set5, and that of bicubic enlargement beside it, in dB.
    pub fn psnr(&self) -> Option<(f64, f64)> {
        Some((*self.metrics.get("set5_psnr")?, *self.metrics.get("set5_bicubic_psnr")?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(file: &str, scale: usize) -> String {
        let model = |task: &str, scale, quality: &str, parameters| {
            format!(
                r#"{{"task":"{task}","name":"n-{quality}","file":"{file}","card":"c.md","scale":{scale},"quality":"{quality}",
                    "parameters":{parameters},"bytes":5,"sha256":"00","metrics":{{"set5_psnr":31.2,"set5_bicubic_psnr":28.42}}}}"#
            )
        };
        let models = [model("superres", scale, "quality", 9), model("superres", 2, "fast", 3), model("restyle", 1, "fast", 1)];
        format!(r#"{{"models":[{}]}}"#, models.join(","))
    }

    #[test]
    fn reads_and_sorts() {
        let list = Catalogue::parse(&list("w.safetensors", 4)).unwrap();
        assert_eq!(list.scales(), [2, 4]);
        assert_eq!(list.find(2, "fast").unwrap().parameters, 3);
        assert_eq!(list.find(4, "fast").unwrap().quality, "quality");
        assert_eq!(list.find(3, "fast"), None);
        assert_eq!(list.find(4, "quality").unwrap().psnr(), Some((31.2, 28.42)));
    }

    #[test]
    fn refuses_what_it_should() {
        for (json, word) in [
            (list("../w", 4), "plain file name"),
            (list("https://elsewhere/w", 4), "plain file name"),
            (list("w", 1000), "1000"),
            ("{}".into(), "cannot be read"),
            (r#"{"models":[]}"#.into(), "no model"),
        ] {
            let error = Catalogue::parse(&json).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
