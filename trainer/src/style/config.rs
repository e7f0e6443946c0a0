//! Everything that decides a run of fast style transfer: `config.toml`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use shared::Scope;
use shared::checkpoint::{Checkpoint, Dense, Style};
use shared::imresize::{Side, scaled};
use shared::models::{ImageConfig, ImageNetwork, TransformNetConfig};
use tracing::info;

use super::crops::Crops;
use super::judge::{Judge, Objective, Statistics};
use super::photos::Photos;
use super::pictures::tensor;
use super::task::Restyling;
use crate::data::folder;
use crate::learner::Run;
use crate::training::{Training, within};
use crate::variables::Variables;

/// The whole configuration of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folders of photos to restyle; none: pictures are made up.
    pub data: Vec<PathBuf>,
    /// Photos to validate on; none: some of the others are kept back.
    pub validation: Vec<PathBuf>,
    /// The network that judges.
    pub judge: PathBuf,
    /// Channels at full resolution.
    pub channels: usize,
    /// Residual blocks.
    pub blocks: usize,
    /// Crops a batch.
    pub batch: usize,
    /// Side of a crop.
    pub size: usize,
    /// Shorter side of the style pictures.
    pub style_size: usize,
    /// Weights whose styles stay as they are, so that only those of `styles` are learnt, with nothing else of the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_to: Option<PathBuf>,
    /// What is compared.
    pub objective: Objective,
    /// Weight of what the result makes of a camera's noise, against flicker.
    #[serde(default)]
    pub stability: f64,
    /// The styles.
    pub styles: Vec<StylePicture>,
    /// How it is learnt.
    pub training: Training,
}

/// A style and the picture that has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StylePicture {
    /// For command lines.
    pub name: String,
    /// The picture.
    pub picture: PathBuf,
}

impl FromStr for StylePicture {
    type Err = Infallible;

    /// `NAME=FILE`, or a file whose name is the style's.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (name, picture) = match text.split_once('=') {
            Some((name, file)) => (name.to_owned(), PathBuf::from(file)),
            None => {
                let file = PathBuf::from(text);
                (file.file_stem().unwrap_or_default().to_string_lossy().into_owned(), file)
            }
        };
        Ok(Self { name, picture })
    }
}

impl Config {
    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// As said.
    pub fn validate(&self) -> Result<()> {
        self.training.validate()?;
        self.objective.validate()?;
        within("stability", self.stability, 0.0, 1e6)?;
        within("batch", self.batch as f64, 1.0, 256.0)?;
        within("size", self.size as f64, 32.0, 1024.0)?;
        within("style_size", self.style_size as f64, 32.0, 2048.0)?;
        ensure!(self.size.is_multiple_of(4), "size is {}, and must be a multiple of 4", self.size);
        ensure!(!self.styles.is_empty(), "no style: name one with --style");
        for (i, style) in self.styles.iter().enumerate() {
            let plain = style.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            ensure!(plain && !style.name.is_empty(), "the style “{}”: a name has letters, digits and _ only", style.name);
            let known = self.styles[..i].iter().any(|other| other.name == style.name);
            ensure!(!known, "two styles are called “{}”", style.name);
        }
        Ok(())
    }

    /// Reads the data and builds what is learnt, with the run at its beginning.
    ///
    /// # Errors
    /// When a picture or a network cannot be read, or does not fit.
    pub fn prepare(&self, device: Device, bar: impl Fn(&str) -> indicatif::ProgressBar) -> Result<(Restyling, Run)> {
        let judge = Judge::open(&self.judge, self.objective.clone(), &device)?;
        let styles: Vec<Statistics> =
            self.styles.iter().map(|style| self.wanted(style, &judge, &device)).collect::<Result<_>>()?;
        let before = self.add_to.as_ref().map(|path| Checkpoint::read(path)).transpose()?;
        let mut names = before.as_ref().map(|checkpoint| checkpoint.metadata.styles.clone()).unwrap_or_default();
        let first = names.len();
        for StylePicture { name, .. } in &self.styles {
            ensure!(!names.iter().any(|style| style.name == *name), "the network has the style “{name}” already");
            names.push(Style { name: name.clone(), title: title(name) });
        }
        let network = self.network(before.as_ref(), names.len())?;
        let Photos { training, validation, source } = Photos::read(&self.data, &self.validation, self.training.seed, &bar)?;
        let crops = Crops::new(training, self.size, self.training.seed)?;

        let variables = Variables::new(&device, self.training.seed);
        ImageNetwork::new(&ImageConfig::TransformNet(network), &Scope::root(&variables))?;
        let mut run = self.training.begin(&variables, device.clone())?;
        if let Some(before) = &before {
            variables.load(&widened(before, names.len()))?;
            freeze(&mut run);
        }
        info!(
            "{} photos, {} to validate, {} styles; {} judges",
            crops.pictures(),
            validation.len(),
            styles.len(),
            judge.kind().title()
        );
        let shown = |path: &PathBuf| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let style_pictures: Vec<String> = self.styles.iter().map(|style| shown(&style.picture)).collect();
        let facts = [
            ("data", source),
            ("styles", style_pictures.join(", ")),
            ("batch", format!("{} crops of {} x {} pixels", self.batch, self.size, self.size)),
        ];
        if self.stability > 0.0 {
            run.provenance.insert("stability against noise".to_owned(), self.stability.to_string());
        }
        run.provenance.extend(facts.into_iter().chain(judge.facts()).map(|(fact, value)| (fact.to_owned(), value)));
        let task =
            Restyling { network, names, first, styles, judge, crops, validation, batch: self.batch, stability: self.stability };
        Ok((task, run))
    }

    fn network(&self, before: Option<&Checkpoint>, styles: usize) -> Result<TransformNetConfig> {
        let Some(before) = before else {
            let network = TransformNetConfig { channels: self.channels, blocks: self.blocks, styles, bounded: true };
            ImageConfig::TransformNet(network).validate()?;
            return Ok(network);
        };
        match *before.image()? {
            ImageConfig::TransformNet(network) if network.styles > 0 => Ok(TransformNetConfig { styles, ..network }),
            other => anyhow::bail!("styles can be added to a network of many styles, not to {other:?}"),
        }
    }

    fn wanted(&self, style: &StylePicture, judge: &Judge, device: &Device) -> Result<Statistics> {
        let picture = scaled(&folder::read(&style.picture)?, Side::Shorter(self.style_size))?;
        judge.style(&tensor(&picture, device)?).with_context(|| style.picture.display().to_string())
    }
}

/// What a name says to people, until somebody says it better.
pub fn title(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A parameter of the norms has a column for every style.
fn is_of_styles(name: &str) -> bool {
    name.ends_with(".norm.scale") || name.ends_with(".norm.shift")
}

/// With columns for more styles, each at first the mean of those that are there.
fn widened(checkpoint: &Checkpoint, styles: usize) -> BTreeMap<String, Dense> {
    let widen = |(name, tensor): (&String, &Dense)| {
        let tensor = match tensor.dims[..] {
            [channels, before] if is_of_styles(name) && before > 0 => {
                let row = |row: &[f32]| {
                    let mean = row.iter().sum::<f32>() / before as f32;
                    row.iter().copied().chain(std::iter::repeat_n(mean, styles - before)).collect::<Vec<_>>()
                };
                Dense { dims: vec![channels, styles], values: tensor.values.chunks_exact(before).flat_map(row).collect() }
            }
            _ => tensor.clone(),
        };
        (name.clone(), tensor)
    };
    checkpoint.tensors.iter().map(widen).collect()
}

/// Leaves everything but the norms as it is. The styles that were there get no gradient, because none of them is drawn.
fn freeze(run: &mut Run) {
    let frozen = run.parameters.keys().filter(|name| !is_of_styles(name)).map(|name| (name.clone(), 0.0));
    run.shares = frozen.collect();
}

/// A mixture of one style.
///
/// # Errors
/// When the device fails.
pub fn only(style: usize, styles: usize, device: &Device) -> Result<Tensor> {
    let mixture: Vec<f32> = (0..styles).map(|i| if i == style { 1.0 } else { 0.0 }).collect();
    Ok(Tensor::from_vec(mixture, styles, device)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::checkpoint::Metadata;

    #[test]
    fn a_new_style_starts_between_the_others_and_changes_none() {
        let config = ImageConfig::TransformNet(TransformNetConfig { channels: 1, blocks: 1, styles: 2, bounded: true });
        let dense = Dense { dims: vec![2, 2], values: vec![1.0, 3.0, 5.0, 7.0] };
        let tensors = BTreeMap::from(["up.0.norm.scale", "up.0.conv.weight"].map(|name| (name.to_owned(), dense.clone())));
        let wide = widened(&Checkpoint { metadata: Metadata::new(config), tensors }, 3);
        assert_eq!(wide["up.0.norm.scale"].values, [1.0, 3.0, 2.0, 5.0, 7.0, 6.0]);
        assert_eq!(wide["up.0.conv.weight"], dense);
    }

    #[test]
    fn titles_come_from_names() {
        assert_eq!(title("great_wave"), "Great wave");
    }
}
