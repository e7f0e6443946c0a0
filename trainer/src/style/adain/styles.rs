//! Styles from pictures, for a network that has learnt none.

use anyhow::{Context, Result};
use shared::checkpoint::{Checkpoint, Style};
use shared::imresize::{Side, scaled};
use shared::models::ImageConfig;
use shared::pipeline::adopt;
use shared::session::{Engine, Session};

use crate::data::folder;
use crate::style::config::{StylePicture, title};

/// `checkpoint`, which `session` runs, with the styles of these pictures too, whose shorter side becomes `size`.
///
/// # Errors
/// Names the picture that cannot be read; when the network takes no styles, or has one of that name; or the engine's.
pub fn take(checkpoint: &Checkpoint, session: &Session, styles: &[StylePicture], size: usize) -> Result<Checkpoint> {
    styles.iter().try_fold(checkpoint.clone(), |checkpoint, StylePicture { name, picture }| {
        let style = Style { name: name.clone(), title: title(name) };
        let scaled = scaled(&folder::read(picture)?, Side::Shorter(size))?;
        pollster::block_on(adopt(&checkpoint, session, style, &scaled)).with_context(|| picture.display().to_string())
    })
}

/// The same with those that it does not have yet. A network whose styles are learnt stays as it is.
///
/// # Errors
/// As [`take`].
pub fn complete(checkpoint: &Checkpoint, styles: &[StylePicture], size: usize, engine: &Engine) -> Result<Checkpoint> {
    if !matches!(checkpoint.image()?, ImageConfig::AdaIn(_)) {
        return Ok(checkpoint.clone());
    }
    let known = |style: &StylePicture| checkpoint.metadata.styles.iter().any(|known| known.name == style.name);
    let missing: Vec<StylePicture> = styles.iter().filter(|style| !known(style)).cloned().collect();
    take(checkpoint, &Session::new(checkpoint, engine.clone())?, &missing, size)
}
