//! How well a network restyles what it has not seen.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::Device;
use serde::Serialize;
use shared::checkpoint::Checkpoint;
use shared::imresize::{Side, scaled};
use shared::pipeline::restyle::{Look, restyle};
use shared::session::{Engine, Session};

use super::adain::styles::complete;
use super::config::StylePicture;
use super::judge::{Judge, Statistics, number};
use super::lpips::Lpips;
use super::pictures::tensor;
use crate::data::folder;

/// Relative losses of one style, means over photos.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// The style.
    pub name: String,
    /// Of content.
    pub content: f64,
    /// Of style.
    pub style: f64,
    /// The style loss of the photo as it was.
    pub before: f64,
    /// How different the result looks from the photo, where that is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lpips: Option<f64>,
}

/// The mean of all styles; zero of none.
pub fn mean(all: &[Scores]) -> Scores {
    let count = all.len().max(1) as f64;
    let mean = |value: fn(&Scores) -> f64| all.iter().map(value).sum::<f64>() / count;
    Scores {
        name: "mean".to_owned(),
        content: mean(|s| s.content),
        style: mean(|s| s.style),
        before: mean(|s| s.before),
        lpips: all.iter().map(|s| s.lpips).sum::<Option<f64>>().map(|sum| sum / count),
    }
}

/// What is measured, and on what.
pub struct Test<'a> {
    /// What judges.
    pub judge: &'a Judge,
    /// What says how different a result looks; none: nobody does.
    pub lpips: Option<&'a Lpips>,
    /// The styles and their pictures.
    pub styles: &'a [StylePicture],
    /// Shorter side of the style pictures.
    pub style_size: usize,
    /// Photos.
    pub data: &'a Path,
    /// So many of them.
    pub count: usize,
}

/// Restyles photos in every style, each alone at full strength, telling `progress` after every one. A network that takes its styles
/// from pictures takes those that it does not have.
///
/// # Errors
/// When a file cannot be read, a style is not the network's, or the device fails.
pub fn measure(checkpoint: &Checkpoint, test: &Test, device: &Device, progress: impl Fn()) -> Result<Vec<Scores>> {
    let engine = Engine::Candle(device.clone());
    let checkpoint = &complete(checkpoint, test.styles, test.style_size, &engine)?;
    let session = Session::new(checkpoint, engine)?;
    let photos: Vec<_> = folder::find(test.data)?.into_iter().take(test.count).collect();
    ensure!(!photos.is_empty(), "{}: no photo to measure on", test.data.display());
    let style = |StylePicture { name, picture }: &StylePicture| -> Result<(Scores, Look, Statistics)> {
        let look = Look::new(&checkpoint.metadata.styles, &[(name.clone(), 1.0)], 1.0)?;
        let wanted = test.judge.style(&tensor(&scaled(&folder::read(picture)?, Side::Shorter(test.style_size))?, device)?)?;
        let lpips = test.lpips.map(|_| 0.0);
        Ok((Scores { name: name.clone(), content: 0.0, style: 0.0, before: 0.0, lpips }, look, wanted))
    };
    let mut styles = test.styles.iter().map(style).collect::<Result<Vec<_>>>()?;
    let part = 1.0 / photos.len() as f64;
    // What a photo is like is found once, for all styles.
    for path in &photos {
        let photo = folder::read(path)?;
        let x = tensor(&photo, device)?;
        let (content, own) = (test.judge.content(&x)?, test.judge.style(&x)?);
        let looks = test.lpips.map(|lpips| lpips.look(&x)).transpose()?;
        for (scores, look, wanted) in &mut styles {
            let result = pollster::block_on(restyle(&session, &photo, look)).with_context(|| path.display().to_string())?;
            let result = tensor(&result, device)?;
            let [_, content, style] = test.judge.losses(&result, &content, wanted)?.numbers()?;
            if let (Some(lpips), Some(looks), Some(sum)) = (test.lpips, &looks, &mut scores.lpips) {
                *sum += part * lpips.between(&lpips.look(&result)?, looks)?;
            }
            scores.content += part * content;
            scores.style += part * style;
            scores.before += part * number(&own.distance(wanted)?)?;
            progress();
        }
    }
    Ok(styles.into_iter().map(|(scores, ..)| scores).collect())
}
