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

/// The middle, of the proportions of `width` and `height`, resized to them.
///
/// # Errors
/// When they are none.
pub fn filled(picture: &Picture, width: usize, height: usize) -> Result<Picture> {
    let (all_width, all_height) = (picture.width(), picture.height());
    // As wide as it can be for its height.
    let wide = (all_height * width / height.max(1)).clamp(1, all_width);
    let high = (wide * height / width.max(1)).clamp(1, all_height);
    let middle = Region { x: (all_width - wide) / 2, y: (all_height - high) / 2, width: wide, height: high };
    Ok(resized(&picture.crop(middle), width, height)?)
}
