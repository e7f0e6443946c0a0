//! A style from a picture: what a network of adaptive instance norm stores of it.

use crate::checkpoint::{Checkpoint, Dense, Style};
use crate::models::ImageConfig;
use crate::picture::Picture;
use crate::session::Session;
use crate::{Error, Result};

use super::restyle::framed;

/// `checkpoint` with the style of `picture` as its last, by that name; `session` runs the network of `checkpoint`. The style is the
/// mean and the deviation of every colour and feature over the whole picture, so the size of its strokes in pixels counts.
///
/// # Errors
/// [`Error::Checkpoint`] when the network is no [`crate::models::AdaIn`] or has a style of that name; or the engine's own.
pub async fn adopt(checkpoint: &Checkpoint, session: &Session, style: Style, picture: &Picture) -> Result<Checkpoint> {
    let ImageConfig::AdaIn(mut config) = *checkpoint.image()? else {
        return Err(Error::Checkpoint("its styles are learnt in training; it can take none from a picture".into()));
    };
    if checkpoint.metadata.styles.iter().any(|known| known.name == style.name) {
        return Err(Error::Checkpoint(format!("it has a style “{}” already", style.name)));
    }
    let planes = picture.planes(picture.bounds(), 0, 3);
    let (planes, [h, w]) = framed(&planes, [picture.height(), picture.width()]);
    let features = session.features(&planes, h, w).await?;
    let mut adopted = checkpoint.clone();
    for (norm, values, size) in [("colours", &planes, h * w), ("norm", &features, (h / 4) * (w / 4))] {
        let moments: Vec<[f32; 2]> = values.chunks_exact(size).map(moments).collect();
        for (name, which) in [("shift", 0), ("scale", 1)] {
            let name = format!("{norm}.{name}");
            let column: Vec<f32> = moments.iter().map(|moments| moments[which]).collect();
            let dense = match config.styles {
                0 => Dense { dims: vec![column.len(), 1], values: column },
                styles => {
                    let stored = checkpoint.tensor(&name, &[column.len(), styles])?;
                    let dims = vec![column.len(), styles + 1];
                    let rows = stored.chunks_exact(styles).zip(column);
                    Dense { dims, values: rows.flat_map(|(row, new)| row.iter().copied().chain([new])).collect() }
                }
            };
            adopted.tensors.insert(name, dense);
        }
    }
    config.styles += 1;
    adopted.metadata.config = ImageConfig::AdaIn(config).into();
    adopted.metadata.config.validate()?;
    adopted.metadata.styles.push(style);
    Ok(adopted)
}

/// Mean and deviation.
fn moments(values: &[f32]) -> [f32; 2] {
    let count = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
    [mean as f32, variance.sqrt() as f32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_a_few() {
        assert_eq!(moments(&[1.0, 3.0, 1.0, 3.0]), [2.0, 1.0]);
        assert_eq!(moments(&[5.0]), [5.0, 0.0]);
    }
}
