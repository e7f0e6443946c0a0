//! Everything that decides a run: `config.toml`.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use shared::Scope;
use shared::models::{AdaIn, AdaInConfig, ImageConfig};
use tracing::info;

use super::task::Adapting;
use crate::data::folder;
use crate::learner::Run;
use crate::style::crops::Crops;
use crate::style::judge::{Judge, Objective};
use crate::style::photos::Photos;
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
    /// Files or folders of pictures to take styles from; all are drawn alike, however many pictures are in one.
    pub styles: Vec<PathBuf>,
    /// Styles to validate on, which are not among `styles`; none: the first of `styles`.
    pub validation_styles: Vec<PathBuf>,
    /// The network that judges, and that the encoder learns to see from.
    pub judge: PathBuf,
    /// Channels at full resolution.
    pub channels: usize,
    /// Residual blocks.
    pub blocks: usize,
    /// Pairs of crops a batch.
    pub batch: usize,
    /// Side of a crop.
    pub size: usize,
    /// Weight of seeing as the judge does.
    pub seeing: f64,
    /// What is compared.
    pub objective: Objective,
    /// How it is learnt.
    pub training: Training,
}

impl Config {
    /// Refuses values that make no sense, by name.
    ///
    /// # Errors
    /// As said.
    pub fn validate(&self) -> Result<()> {
        self.training.validate()?;
        self.objective.validate()?;
        within("batch", self.batch as f64, 1.0, 256.0)?;
        within("size", self.size as f64, 32.0, 1024.0)?;
        within("seeing", self.seeing, 0.0, 1e6)?;
        ensure!(self.size.is_multiple_of(4), "size is {}, and must be a multiple of 4", self.size);
        ensure!(!self.styles.is_empty(), "no style: name a file or a folder with --style");
        Ok(())
    }

    /// Reads the data and builds what is learnt, with the run at its beginning.
    ///
    /// # Errors
    /// When a picture or a network cannot be read, or does not fit.
    pub fn prepare(&self, device: Device, bar: impl Fn(&str) -> indicatif::ProgressBar) -> Result<(Adapting, Run)> {
        let judge = Judge::open(&self.judge, self.objective.clone(), &device)?;
        let seed = self.training.seed;
        let Photos { training, validation, source } = Photos::read(&self.data, &self.validation, seed, &bar)?;
        let crops = Crops::new(training, self.size, seed)?;
        let load = |path: &PathBuf| folder::load(std::slice::from_ref(path), &bar("reading styles {wide_bar} {pos}/{len}"));
        let sources: Vec<_> = self.styles.iter().map(load).collect::<Result<_>>()?;
        let validation_styles = match self.validation_styles.is_empty() {
            true => sources.iter().filter_map(|pictures| pictures.first().cloned()).collect(),
            false => folder::load(&self.validation_styles, &bar("reading styles {wide_bar} {pos}/{len}"))?,
        };
        // A seed of its own, or a style would be cut where its content is.
        let styles: Vec<_> = sources.into_iter().map(|pictures| Crops::new(pictures, self.size, !seed)).collect::<Result<_>>()?;

        let features = seen_by(&judge, &device)?;
        let network = AdaInConfig { channels: self.channels, features, blocks: self.blocks, styles: 0 };
        ImageConfig::AdaIn(network).validate()?;
        let variables = Variables::new(&device, seed);
        AdaIn::new(&network, &Scope::root(&variables))?;
        let mut run = self.training.begin(&variables, device)?;
        let pictures: usize = styles.iter().map(Crops::pictures).sum();
        info!(
            "{} photos, {} to validate, {pictures} pictures for styles, {} to validate; {} judges",
            crops.pictures(),
            validation.len(),
            validation_styles.len(),
            judge.kind().title()
        );
        let facts = [
            ("data", source),
            ("styles", format!("crops of {pictures} pictures, half of them with other colours")),
            ("batch", format!("{} pairs of crops of {} x {} pixels", self.batch, self.size, self.size)),
        ];
        run.provenance.extend(facts.into_iter().chain(judge.facts()).map(|(fact, value)| (fact.to_owned(), value)));
        let task =
            Adapting { network, judge, crops, styles, validation, validation_styles, batch: self.batch, seeing: self.seeing };
        Ok((task, run))
    }
}

/// Channels of the layer that is content, which the encoder learns to see.
///
/// # Errors
/// When it is not at a quarter of the picture's size, as the encoder's features are.
fn seen_by(judge: &Judge, device: &Device) -> Result<usize> {
    const SIDE: usize = 64;
    let (_, channels, height, _) = judge.content(&Tensor::zeros((1, 3, SIDE, SIDE), DType::F32, device)?)?.dims4()?;
    let layer = &judge.objective().content_layer;
    ensure!(height == SIDE / 4, "the content layer {layer} must be at a quarter of the picture's size, as VGG's relu3_1 is");
    Ok(channels)
}
