//! Bad input is a clear error that names the thing: never a panic, never a hang, never all the memory.
#![cfg(not(target_arch = "wasm32"))]

use std::io::Cursor;

use candle_core::Device;
use image::{DynamicImage, ImageFormat, RgbImage};
use pollster::block_on;
use proptest::prelude::*;
use shared::checkpoint::{Checkpoint, Dense, Precision};
use shared::picture::Picture;
use shared::pipeline::Enlargement;
use shared::session::{Engine, Session};
use tests::random::{self, Kind};

const OPAQUE: Kind = Kind { deep: false, alpha: false };

fn session(checkpoint: &Checkpoint) -> shared::Result<Session> {
    Session::new(checkpoint, Engine::Candle(Device::Cpu))
}

/// The message of the error that loading and starting gives.
fn refusal(bytes: &[u8]) -> String {
    match Checkpoint::from_bytes(bytes).and_then(|c| session(&c)) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    }
}

/// A safetensors file with this header and `data` zeros after it.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.resize(file.len() + data, 0);
    file
}

/// A header with Atelier's metadata and one tensor.
fn header(config: &str, tensor: &str) -> String {
    let metadata = format!(r#"{{"config":{config}}}"#).replace('"', r#"\""#);
    format!(r#"{{"__metadata__":{{"atelier":"{metadata}"}},"head.weight":{tensor}}}"#)
}

const CONFIG: &str = r#"{"model":"rlfn","scale":2,"channels":2,"blocks":1}"#;
const TENSOR: &str = r#"{"dtype":"F32","shape":[2,3,3,3],"data_offsets":[0,216]}"#;

#[test]
fn what_is_not_a_checkpoint_is_refused() {
    let png = random::png(3, 3, OPAQUE, 1);
    let cases: [(&str, &[u8]); 6] = [
        ("nothing", b""),
        ("seven bytes", b"1234567"),
        ("a text", b"Weights are stored in the usual place, ask for them there."),
        ("a picture", &png),
        ("a length of all ones", &[0xff; 64]),
        ("a length and no header", &100u64.to_le_bytes()),
    ];
    for (what, bytes) in cases {
        let message = refusal(bytes);
        assert!(message.contains("not a safetensors file"), "{what}: {message}");
    }
    let foreign = refusal(&file(r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 4));
    assert!(foreign.contains("`atelier`"), "{foreign}");
}

#[test]
fn a_header_that_lies_is_refused() {
    let tensors = [
        r#"{"dtype":"F32","shape":[2,3,3,3],"data_offsets":[0,4294967296]}"#,
        r#"{"dtype":"F32","shape":[2,3,3,3],"data_offsets":[216,0]}"#,
        r#"{"dtype":"F32","shape":[2,3,3,3],"data_offsets":[18446744073709551608,18446744073709551615]}"#,
        r#"{"dtype":"F32","shape":[1099511627776,1099511627776],"data_offsets":[0,216]}"#,
        r#"{"dtype":"F32","shape":[4294967296,4294967296,6],"data_offsets":[0,0]}"#,
        r#"{"dtype":"F32","shape":[-1],"data_offsets":[0,216]}"#,
        r#"{"dtype":"F16","shape":[2,3,3,3],"data_offsets":[0,216]}"#,
    ];
    for tensor in tensors {
        let message = refusal(&file(&header(CONFIG, tensor), 216));
        assert!(message.contains("not a safetensors file"), "{tensor}: {message}");
    }
    let message = refusal(&file(&header(CONFIG, &TENSOR.replace("F32", "I32")), 216));
    assert!(message.contains("`head.weight` is I32"), "{message}");
}

#[test]
fn a_configuration_that_asks_for_too_much_is_refused() {
    let cases = [
        (r#"{"model":"rlfn","scale":2,"channels":1000000000,"blocks":1}"#, "channels is 1000000000"),
        (r#"{"model":"rlfn","scale":2,"channels":0,"blocks":1}"#, "channels is 0"),
        (r#"{"model":"sr-resnet","scale":2,"channels":2,"blocks":18446744073709551615}"#, "blocks is 18446744073709551615"),
        (r#"{"model":"sr-resnet","scale":0,"channels":2,"blocks":1}"#, "scale is 0"),
        (r#"{"model":"sr-resnet","scale":5,"channels":2,"blocks":1}"#, "scale is 5"),
        (r#"{"model":"rlfn","scale":2,"channels":-2,"blocks":1}"#, "metadata"),
        (r#"{"model":"colossus","scale":2,"channels":2,"blocks":1}"#, "colossus"),
        (r#"{"model":"rlfn"}"#, "scale"),
        // The largest that is allowed, in a file of a few hundred bytes: refused for what is missing, not built.
        (r#"{"model":"rlfn","scale":4,"channels":512,"blocks":128}"#, "`head.weight` has the dimensions [2, 3, 3, 3]"),
    ];
    for (config, expected) in cases {
        let message = refusal(&file(&header(config, TENSOR), 216));
        assert!(message.contains(expected), "{config}: {message}");
    }
}

#[test]
fn weights_that_are_no_numbers_are_named() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut checkpoint = random::tiny();
        checkpoint.tensors.get_mut("tail.bias").unwrap().values[1] = bad;
        let message = refusal(&checkpoint.to_bytes(Precision::F32).unwrap());
        assert!(message.contains("`tail.bias` holds"), "{message}");
        let message = checkpoint.to_bytes(Precision::F16).unwrap_err().to_string();
        assert!(message.contains("tail.bias"), "{message}");
    }
    // Too large for f16: refused instead of stored as infinity.
    let mut checkpoint = random::tiny();
    checkpoint.tensors.get_mut("tail.bias").unwrap().values[0] = 1e6;
    assert!(checkpoint.to_bytes(Precision::F16).is_err());
}

#[test]
fn missing_tensors_are_named_and_strangers_change_nothing() {
    let whole = random::tiny();
    for name in whole.tensors.keys() {
        let mut checkpoint = whole.clone();
        checkpoint.tensors.remove(name);
        let message = refusal(&checkpoint.to_bytes(Precision::F32).unwrap());
        assert!(message.contains(&format!("`{name}` is missing")), "{message}");

        let mut checkpoint = whole.clone();
        let dims = &mut checkpoint.tensors.get_mut(name).unwrap().dims;
        dims.push(1);
        let message = refusal(&checkpoint.to_bytes(Precision::F32).unwrap());
        assert!(message.contains(&format!("`{name}` has the dimensions")), "{message}");
    }
    let mut more = whole.clone();
    more.tensors.insert("stranger".into(), Dense { dims: vec![1], values: vec![1.0] });
    let more = Checkpoint::from_bytes(&more.to_bytes(Precision::F32).unwrap()).unwrap();
    let run = |c: &Checkpoint| block_on(session(c).unwrap().forward(&[0.25; 12], 2, 2)).unwrap();
    assert_eq!(run(&more), run(&whole));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_checkpoint_never_panics(
        cut in any::<prop::sample::Index>(), whole in any::<bool>(), half in any::<bool>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..4), early in any::<bool>(),
    ) {
        let mut bytes = random::tiny().to_bytes(if half { Precision::F16 } else { Precision::F32 }).unwrap();
        for (at, bits) in flips {
            // Half of the damage goes to the header, a small part of the file that says what the rest is.
            let range = if early { bytes.len().min(900) } else { bytes.len() };
            bytes[at.index(range)] ^= bits;
        }
        if !whole {
            bytes.truncate(cut.index(bytes.len()));
        }
        // What still loads must also run, or be refused, without a panic. A flip may have made the network larger.
        if let Ok(checkpoint) = Checkpoint::from_bytes(&bytes) && let Ok(session) = session(&checkpoint) {
            let output = block_on(session.forward(&[0.5; 12], 2, 2)).unwrap();
            prop_assert_eq!(output.len(), 12 * session.config().scale().pow(2));
        }
    }

    #[test]
    fn a_damaged_picture_never_panics(
        format in prop::sample::select(FORMATS.as_slice()), cut in any::<prop::sample::Index>(), whole in any::<bool>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..4),
    ) {
        let mut bytes = encoded(format);
        for (at, bits) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        if !whole {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(picture) = Picture::decode(&bytes) {
            prop_assert!(picture.width() > 0 && picture.height() > 0);
        }
    }
}

const FORMATS: [ImageFormat; 7] = [
    ImageFormat::Png,
    ImageFormat::Jpeg,
    ImageFormat::WebP,
    ImageFormat::Bmp,
    ImageFormat::Gif,
    ImageFormat::Tiff,
    ImageFormat::Pnm,
];

fn encoded(format: ImageFormat) -> Vec<u8> {
    let pixels = RgbImage::from_fn(19, 13, |x, y| image::Rgb([(x * 13) as u8, (y * 19) as u8, (x * y) as u8]));
    let mut file = Cursor::new(Vec::new());
    DynamicImage::from(pixels).write_to(&mut file, format).unwrap();
    file.into_inner()
}

#[test]
fn half_a_picture_is_refused() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        let bytes = encoded(format);
        assert!(Picture::decode(&bytes).is_ok(), "{format:?}");
        for length in [0, 1, 8, 20, bytes.len() / 4] {
            let message = Picture::decode(&bytes[..length]).unwrap_err().to_string();
            assert!(message.contains("cannot read it"), "{format:?} cut at {length}: {message}");
        }
    }
    let message = Picture::decode(b"Dear diary, today I did not take a picture.").unwrap_err().to_string();
    assert!(message.contains("not a PNG"), "{message}");
}

/// A PNG that claims this size, with the data of another.
fn claims(width: u32, height: u32) -> Vec<u8> {
    let mut png = random::png(5, 5, OPAQUE, 1);
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

#[test]
fn pictures_of_no_size_or_a_gigantic_one_are_refused() {
    assert!(Picture::decode(&claims(5, 5)).is_ok(), "the checksum is right");
    for (width, height) in [(0, 0), (0, 5), (5, 0), (100_000, 100_000), (u32::MAX, u32::MAX), (i32::MAX as u32, 1)] {
        let error = Picture::decode(&claims(width, height)).map(|p| (p.width(), p.height()));
        assert!(error.is_err(), "{width}x{height}: {error:?}");
    }
    for (width, height, bytes) in [(0, 0, 0), (0, 7, 0), (2, 2, 15), (usize::MAX, 2, 8), (1 << 62, 4, 0)] {
        assert!(Picture::from_rgba8(width, height, vec![0; bytes]).is_err(), "{width}x{height} in {bytes} bytes");
    }
}

#[test]
fn an_input_that_is_not_of_its_size_is_refused() {
    let session = session(&random::tiny()).unwrap();
    for (values, height, width) in [(0, 0, 0), (0, 0, 4), (11, 2, 2), (12, 2, 3)] {
        let message = block_on(session.forward(&vec![0.0; values], height, width)).unwrap_err().to_string();
        assert!(message.contains("forward"), "{message}");
    }
    // Three times its square does not fit in a usize.
    assert!(block_on(session.forward(&[0.0; 12], usize::MAX, usize::MAX)).is_err());
}

fn enlarged(session: &Session, picture: &Picture, tile: usize) -> Picture {
    let mut work = Enlargement::new(session, picture, tile).unwrap();
    while block_on(work.step()).unwrap().is_some() {}
    work.into_result()
}

#[test]
fn single_pixels_and_lines_are_enlarged() {
    for config in random::configs() {
        let session = session(&random::checkpoint(config, 2)).unwrap();
        for (width, height) in [(1, 1), (1, 2), (50, 1), (1, 50)] {
            for kind in [OPAQUE, Kind { deep: true, alpha: true }] {
                let result = enlarged(&session, &random::picture(width, height, kind, 4), 16);
                let expected = (width as usize * config.scale(), height as usize * config.scale());
                assert_eq!((result.width(), result.height()), expected, "{config:?}");
            }
        }
    }
}

#[test]
fn a_picture_of_20000_pixels_across_is_enlarged() {
    let session = session(&random::tiny()).unwrap();
    let result = enlarged(&session, &random::picture(20_000, 2, OPAQUE, 6), 256);
    assert_eq!((result.width(), result.height()), (40_000, 4));
    assert!(result.to_rgba8().chunks_exact(4).rev().take(4).any(|p| p[..3] != [0, 0, 0]), "the last pixels are not black");
}
