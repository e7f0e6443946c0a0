//! `models.json`, the list of the models that the page offers: the trainer writes it, the page reads it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The task of a network that restyles in what it has learnt.
pub const STYLE: &str = "style";

/// The task of one that takes any picture as a style.
pub const OWN_STYLE: &str = "own-style";

/// The list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Catalogue {
    /// All models, of all tasks.
    pub models: Vec<Model>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// What it does: `superres`, `style`, `own-style`, `translate` or `dates`.
    pub task: String,
    /// Its name.
    pub name: String,
    /// Its weights, beside the list.
    pub file: String,
    /// Its card in Markdown, beside the list.
    pub card: String,
    /// How much larger pictures become; 1 where there are none.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub scale: usize,
    /// `fast` or `quality`; nothing where there is no choice.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub quality: String,
    /// The language that is read, by its code, or `dates`; nothing where there are pictures.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The language that is written, or `iso`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
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

fn one() -> usize {
    1
}

fn is_one(scale: &usize) -> bool {
    *scale == 1
}

impl Catalogue {
    /// Reads the list.
    ///
    /// # Errors
    /// When it is not such a list, or names files elsewhere.
    pub fn parse(json: &str) -> Result<Self> {
        let wrong = |why: String| Error::Catalogue(format!("models.json {why}"));
        let list: Self = serde_json::from_str(json).map_err(|e| wrong(format!("cannot be read: {e}")))?;
        for model in &list.models {
            for file in [&model.file, &model.card] {
                let plain = file.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
                if !plain || file.starts_with('.') || file.is_empty() {
                    return Err(wrong(format!("names “{file}”, which is not a plain file name")));
                }
            }
            if !(1..=8).contains(&model.scale) {
                return Err(wrong(format!("gives “{}” the scale {}", model.name, model.scale)));
            }
        }
        Ok(list)
    }

    /// The file's content.
    ///
    /// # Errors
    /// When a metric is not a number.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n").map_err(|e| Error::Catalogue(e.to_string()))
    }

    /// Adds a model or replaces the one of its name; the order is that of the names.
    pub fn put(&mut self, model: Model) {
        self.models.retain(|m| m.name != model.name);
        self.models.push(model);
        self.models.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Only the models of one task, by scale and then by size.
    pub fn of_task(mut self, task: &str) -> Self {
        self.models.retain(|m| m.task == task);
        self.models.sort_by_key(|m| (m.scale, m.parameters));
        self
    }

    /// The scales of one task's models, ascending.
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

    /// What was measured, for people.
    pub fn facts(&self) -> Vec<(String, String)> {
        let mut facts = Vec::new();
        if let Some((psnr, bicubic)) = self.psnr() {
            facts.push(("PSNR on Set5".to_owned(), format!("{psnr:.2} dB (bicubic {bicubic:.2} dB)")));
        }
        for (metric, value) in &self.metrics {
            let set = |suffix| metric.strip_suffix(suffix).map(|set: &str| set.replace('_', " "));
            if metric == "set5_ssim" {
                facts.push(("SSIM on Set5".to_owned(), format!("{value:.4}")));
            } else if metric == "exact_match" {
                facts.push(("Right".to_owned(), format!("{:.2} %", 100.0 * value)));
            } else if metric == "style_loss" {
                facts.push(("Style loss, 1 where there is nothing of the style".to_owned(), format!("{value:.3}")));
            } else if let Some(set) = set("_bleu") {
                facts.push((format!("BLEU, {set}"), format!("{value:.1}")));
            } else if let Some(set) = set("_chrf") {
                facts.push((format!("chrF, {set}"), format!("{value:.1}")));
            }
        }
        facts
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
                r#"{{"task":"{task}","name":"{task}-{quality}","file":"{file}","card":"c.md","scale":{scale},"quality":"{quality}",
                    "parameters":{parameters},"bytes":5,"sha256":"00","metrics":{{"set5_psnr":31.2,"set5_bicubic_psnr":28.42}}}}"#
            )
        };
        let models = [model("superres", scale, "quality", 9), model("superres", 2, "fast", 3), model("restyle", 1, "fast", 1)];
        format!(r#"{{"models":[{}]}}"#, models.join(","))
    }

    #[test]
    fn reads_and_sorts() {
        let list = Catalogue::parse(&list("w.safetensors", 4)).unwrap().of_task("superres");
        assert_eq!(list.scales(), [2, 4]);
        assert_eq!(list.find(2, "fast").unwrap().parameters, 3);
        assert_eq!(list.find(4, "fast").unwrap().quality, "quality");
        assert_eq!(list.find(3, "fast"), None);
        assert_eq!(list.find(4, "quality").unwrap().psnr(), Some((31.2, 28.42)));
    }

    #[test]
    fn what_is_written_is_read_and_names_are_unique() {
        let mut list = Catalogue::parse(&list("w.safetensors", 4)).unwrap();
        let mut again = list.models[0].clone();
        again.bytes = 7;
        list.put(again.clone());
        assert_eq!(list.models.len(), 3);
        assert!(list.models.contains(&again));
        assert_eq!(Catalogue::parse(&list.to_json().unwrap()).unwrap(), list);
    }

    #[test]
    fn says_what_was_measured() {
        let mut model = Catalogue::parse(&list("w.safetensors", 4)).unwrap().models.remove(0);
        model.metrics.extend([("test_2016_flickr_bleu".to_owned(), 30.25), ("exact_match".to_owned(), 0.9997)]);
        let facts: Vec<String> = model.facts().into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(facts, ["PSNR on Set5: 31.20 dB (bicubic 28.42 dB)", "Right: 99.97 %", "BLEU, test 2016 flickr: 30.2"]);
    }

    #[test]
    fn refuses_what_it_should() {
        for (json, word) in [
            (list("../w", 4), "plain file name"),
            (list("https://elsewhere/w", 4), "plain file name"),
            (list("w", 1000), "1000"),
            ("{}".into(), "cannot be read"),
        ] {
            let error = Catalogue::parse(&json).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
