//! Pictures as tensors, at the size that is wanted.

use anyhow::Result;
use candle_core::{Device, Tensor};
use shared::engine::candle::values;
use shared::imresize::resized;
use shared::picture::{Picture, Region};

/// Pixels between the pictures of a sheet.
pub const GAP: usize = 4;

/// `[1, 3, H, W]` of a picture, RGB in 0..1.
///
/// # Errors
/// When the device fails.
pub fn tensor(picture: &Picture, device: &Device) -> Result<Tensor> {
    let planes = picture.planes(picture.bounds(), 0, 3);
    Ok(Tensor::from_vec(planes, (1, 3, picture.height(), picture.width()), device)?)
}

/// The picture of `[1, 3, H, W]`.
///
/// # Errors
/// When the device fails.
pub fn picture(tensor: &Tensor) -> Result<Picture> {
    let (_, _, height, width) = tensor.dims4()?;
    Ok(Picture::from_planes(width, height, &values(tensor)?)?)
}

/// A white square, `side` pixels wide.
///
/// # Errors
/// When that is none.
pub fn white(side: usize) -> Result<Picture> {
    Ok(Picture::from_planes(side, side, &vec![1.0; 3 * side * side])?)
}

/// The square in the middle, `side` pixels wide.
///
/// # Errors
/// When that is none.
pub fn resized_square(picture: &Picture, side: usize) -> Result<Picture> {
    let size = picture.width().min(picture.height());
    let middle = Region { x: (picture.width() - size) / 2, y: (picture.height() - size) / 2, width: size, height: size };
    Ok(resized(&picture.crop(middle), side, side)?)
}
