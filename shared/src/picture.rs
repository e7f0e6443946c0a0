//! Pictures: decoded, read and written by region, encoded.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{ColorType, DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Limits};

use crate::{Error, Result};

/// More memory than this a decoder may not take: a header that claims a gigantic picture is refused before it is believed.
const DECODE_LIMIT: u64 = 4 << 30;

/// An RGB or RGBA picture with 8 or 16 bits a sample, interleaved; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    channels: usize,
    samples: Samples,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Samples {
    U8(Vec<u8>),
    U16(Vec<u16>),
}

/// A file format to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Lossless, 8 or 16 bits, alpha.
    Png,
    /// Lossy, 8 bits; what is transparent lies on white.
    Jpeg {
        /// 1..=100.
        quality: u8,
    },
    /// Lossless, 8 bits, alpha.
    WebP,
}

/// A rectangle of a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Left edge.
    pub x: usize,
    /// Upper edge.
    pub y: usize,
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
}

fn unreadable(e: impl std::fmt::Display) -> Error {
    Error::Picture(format!("cannot read it: {e}"))
}

impl Picture {
    /// Reads PNG, JPEG, WebP, BMP, GIF (first frame), TIFF or PNM. Turned upright by its EXIF orientation; grey and palette
    /// become RGB; 16 bits and alpha are kept.
    ///
    /// # Errors
    /// [`Error::Picture`] when it is none of these, broken, empty, or too large to decode.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(unreadable)?;
        if reader.format().is_none() {
            return Err(unreadable("not a PNG, JPEG, WebP, BMP, GIF, TIFF or PNM picture"));
        }
        let mut limits = Limits::default();
        limits.max_alloc = Some(DECODE_LIMIT);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(unreadable)?;
        // `into_decoder` leaves the output out of the limit; what a file of 100 bytes claims must not end the program.
        if decoder.total_bytes() > DECODE_LIMIT {
            let (width, height) = decoder.dimensions();
            return Err(unreadable(format!("{width} x {height} pixels are more than {} MiB", DECODE_LIMIT >> 20)));
        }
        let orientation = decoder.orientation().map_err(unreadable)?;
        let mut image = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
        image.apply_orientation(orientation);
        Self::from_image(image)
    }

    fn from_image(image: DynamicImage) -> Result<Self> {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let wide = !matches!(image.color(), ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8);
        let (channels, samples) = match (image.color().has_alpha(), wide) {
            (false, false) => (3, Samples::U8(image.into_rgb8().into_raw())),
            (true, false) => (4, Samples::U8(image.into_rgba8().into_raw())),
            (false, true) => (3, Samples::U16(image.into_rgb16().into_raw())),
            (true, true) => (4, Samples::U16(image.into_rgba16().into_raw())),
        };
        if width * height == 0 {
            return Err(Error::Picture(format!("it is empty ({width} x {height})")));
        }
        Ok(Self { width, height, channels, samples })
    }

    /// From RGBA bytes, row by row. Alpha is dropped where all is opaque.
    ///
    /// # Errors
    /// [`Error::Picture`] when it is empty or `rgba` has not `4 * width * height` bytes.
    pub fn from_rgba8(width: usize, height: usize, rgba: Vec<u8>) -> Result<Self> {
        let expected = width.checked_mul(height).and_then(|n| n.checked_mul(4));
        if expected != Some(rgba.len()) || rgba.is_empty() {
            return Err(Error::Picture(format!("{} bytes are not {width} x {height} RGBA pixels", rgba.len())));
        }
        if rgba.chunks_exact(4).all(|p| p[3] == 255) {
            let rgb = rgba.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
            return Ok(Self { width, height, channels: 3, samples: Samples::U8(rgb) });
        }
        Ok(Self { width, height, channels: 4, samples: Samples::U8(rgba) })
    }

    /// A black picture of this size with the depth and the channels of `like`.
    ///
    /// # Errors
    /// [`Error::Picture`] when it is empty or there is no memory for it.
    pub fn blank(width: usize, height: usize, like: &Self) -> Result<Self> {
        let channels = like.channels;
        let too_large = || Error::Picture(format!("no memory for {width} x {height} pixels"));
        let count = width.checked_mul(height).and_then(|n| n.checked_mul(channels)).ok_or_else(too_large)?;
        if count == 0 {
            return Err(Error::Picture(format!("it is empty ({width} x {height})")));
        }
        fn zeros<S: Clone + Default>(count: usize) -> Option<Vec<S>> {
            let mut samples = Vec::new();
            samples.try_reserve_exact(count).ok()?;
            samples.resize(count, S::default());
            Some(samples)
        }
        let samples = match like.samples {
            Samples::U8(_) => zeros(count).map(Samples::U8),
            Samples::U16(_) => zeros(count).map(Samples::U16),
        };
        Ok(Self { width, height, channels, samples: samples.ok_or_else(too_large)? })
    }

    /// From planar RGB in 0..1, `[3, height, width]`, rounded to 8 bits.
    ///
    /// # Errors
    /// [`Error::Picture`] when it is empty or `rgb` has not `3 * width * height` values.
    pub fn from_planes(width: usize, height: usize, rgb: &[f32]) -> Result<Self> {
        if rgb.is_empty() || rgb.len() != 3 * width * height {
            return Err(Error::Picture(format!("{} values are not {width} x {height} RGB pixels", rgb.len())));
        }
        let mut picture = Self { width, height, channels: 3, samples: Samples::U8(vec![0; rgb.len()]) };
        let all = picture.bounds();
        picture.write_planes(all, 0, 3, rgb);
        Ok(picture)
    }

    /// Pixels across.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels down.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Whether it has transparency.
    pub fn has_alpha(&self) -> bool {
        self.channels == 4
    }

    /// The whole picture as a region.
    pub fn bounds(&self) -> Region {
        Region { x: 0, y: 0, width: self.width, height: self.height }
    }

    /// `region` of the planes `first..first + count` (0 to 2 are RGB, 3 is alpha) as `[count, height, width]` in 0..1.
    ///
    /// # Panics
    /// When the region or the planes lie outside the picture.
    pub fn planes(&self, region: Region, first: usize, count: usize) -> Vec<f32> {
        let mut out = Vec::with_capacity(count * region.width * region.height);
        for plane in first..first + count {
            for y in region.y..region.y + region.height {
                let start = (y * self.width + region.x) * self.channels;
                let row = start..start + region.width * self.channels;
                match &self.samples {
                    Samples::U8(s) => out.extend(s[row].chunks_exact(self.channels).map(|p| f32::from(p[plane]) / 255.0)),
                    Samples::U16(s) => out.extend(s[row].chunks_exact(self.channels).map(|p| f32::from(p[plane]) / 65535.0)),
                }
            }
        }
        out
    }

    /// Writes `[count, height, width]` in 0..1 (clamped) to `region` of the planes `first..first + count`.
    ///
    /// # Panics
    /// When the region or the planes lie outside the picture, or `values` has another size.
    pub fn write_planes(&mut self, region: Region, first: usize, count: usize, values: &[f32]) {
        assert_eq!(values.len(), count * region.width * region.height, "write_planes");
        let channels = self.channels;
        for (i, line) in values.chunks_exact(region.width).enumerate() {
            let (plane, y) = (first + i / region.height, region.y + i % region.height);
            let start = (y * self.width + region.x) * channels;
            let row = start..start + region.width * channels;
            // `as` saturates and takes NaN to 0.
            match &mut self.samples {
                Samples::U8(s) => {
                    let pixels = s[row].chunks_exact_mut(channels).zip(line);
                    pixels.for_each(|(p, v)| p[plane] = (v * 255.0).round() as u8);
                }
                Samples::U16(s) => {
                    let pixels = s[row].chunks_exact_mut(channels).zip(line);
                    pixels.for_each(|(p, v)| p[plane] = (v * 65535.0).round() as u16);
                }
            }
        }
    }

    /// `region` as a picture of its own.
    ///
    /// # Panics
    /// When it lies outside the picture.
    pub fn crop(&self, region: Region) -> Self {
        fn copy<S: Copy>(samples: &[S], width: usize, channels: usize, region: Region) -> Vec<S> {
            let rows = region.y..region.y + region.height;
            rows.flat_map(|y| &samples[(y * width + region.x) * channels..][..region.width * channels]).copied().collect()
        }
        let samples = match &self.samples {
            Samples::U8(s) => Samples::U8(copy(s, self.width, self.channels, region)),
            Samples::U16(s) => Samples::U16(copy(s, self.width, self.channels, region)),
        };
        Self { width: region.width, height: region.height, channels: self.channels, samples }
    }

    /// `region` as RGBA bytes.
    ///
    /// # Panics
    /// When it lies outside the picture.
    pub fn region_rgba8(&self, x: usize, y: usize, width: usize, height: usize) -> Vec<u8> {
        fn rgba<S: Copy>(samples: &[S], channels: usize, byte: impl Fn(S) -> u8) -> Vec<u8> {
            let pixels = samples.chunks_exact(channels);
            pixels.flat_map(|p| [byte(p[0]), byte(p[1]), byte(p[2]), p.get(3).map_or(255, |&a| byte(a))]).collect()
        }
        match &self.crop(Region { x, y, width, height }).samples {
            Samples::U8(s) => rgba(s, self.channels, |v| v),
            Samples::U16(s) => rgba(s, self.channels, to_byte),
        }
    }

    /// All of it as RGBA bytes.
    pub fn to_rgba8(&self) -> Vec<u8> {
        self.region_rgba8(0, 0, self.width, self.height)
    }

    /// The content of a file in this format.
    ///
    /// # Errors
    /// [`Error::Picture`] when the format cannot hold a picture of this size.
    pub fn encode(&self, format: Format) -> Result<Vec<u8>> {
        let failed = |e: image::ImageError| Error::Picture(format!("cannot write it: {e}"));
        let too_large = |_| Error::Picture(format!("{} x {} is too large for a file", self.width, self.height));
        let width = u32::try_from(self.width).map_err(too_large)?;
        let height = u32::try_from(self.height).map_err(too_large)?;
        let mut file = Vec::new();
        match format {
            Format::Png => {
                // PNG stores 16 bits in the machine's order here; the encoder turns them around.
                let bytes = match &self.samples {
                    Samples::U8(s) => s.as_slice(),
                    Samples::U16(s) => bytemuck::cast_slice(s),
                };
                let encoder = image::codecs::png::PngEncoder::new(&mut file);
                encoder.write_image(bytes, width, height, self.color()).map_err(failed)?;
            }
            Format::Jpeg { quality } => {
                let rgb: Vec<u8> = self.to_rgba8().chunks_exact(4).flat_map(on_white).collect();
                let mut encoder = JpegEncoder::new_with_quality(&mut file, quality.clamp(1, 100));
                encoder.encode(&rgb, width, height, ExtendedColorType::Rgb8).map_err(failed)?;
            }
            Format::WebP => {
                let encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut file);
                encoder.encode(&self.to_rgba8(), width, height, ExtendedColorType::Rgba8).map_err(failed)?;
            }
        }
        Ok(file)
    }

    fn color(&self) -> ExtendedColorType {
        match (&self.samples, self.channels) {
            (Samples::U8(_), 3) => ExtendedColorType::Rgb8,
            (Samples::U8(_), _) => ExtendedColorType::Rgba8,
            (Samples::U16(_), 3) => ExtendedColorType::Rgb16,
            (Samples::U16(_), _) => ExtendedColorType::Rgba16,
        }
    }
}

impl Format {
    /// The format that a file name asks for by its ending.
    pub fn from_path(path: &std::path::Path) -> Option<Self> {
        match ImageFormat::from_path(path).ok()? {
            ImageFormat::Png => Some(Self::Png),
            ImageFormat::Jpeg => Some(Self::Jpeg { quality: 92 }),
            ImageFormat::WebP => Some(Self::WebP),
            _ => None,
        }
    }
}

fn to_byte(v: u16) -> u8 {
    ((u32::from(v) + 128) / 257) as u8
}

fn on_white(pixel: &[u8]) -> [u8; 3] {
    let alpha = u32::from(pixel[3]);
    let blend = |v: u8| ((u32::from(v) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
    [blend(pixel[0]), blend(pixel[1]), blend(pixel[2])]
}
