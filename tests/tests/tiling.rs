//! Tiling changes nothing: what the pipeline puts together is what the network gives for the whole picture.
#![cfg(not(target_arch = "wasm32"))]

use candle_core::Device;
use pollster::block_on;
use shared::models::{ImageConfig, RlfnConfig};
use shared::picture::Picture;
use shared::pipeline::Enlargement;
use shared::session::{Engine, Session};
use tests::gpu;
use tests::random::{self, Kind};

fn session(config: ImageConfig) -> Session {
    let mut checkpoint = random::checkpoint(config, 7);
    // Results around the middle of 0..1: what is clamped would hide differences.
    let last = if matches!(config, ImageConfig::Rlfn(_)) { "upsampler" } else { "tail" };
    checkpoint.tensors.get_mut(&format!("{last}.weight")).unwrap().values.iter_mut().for_each(|w| *w *= 0.2);
    // RLFN adds to its input, which is there already.
    if last == "tail" {
        checkpoint.tensors.get_mut("tail.bias").unwrap().values.iter_mut().for_each(|b| *b += 0.5);
    }
    Session::new(&checkpoint, Engine::Candle(Device::Cpu)).unwrap()
}

fn enlarge(session: &Session, picture: &Picture, tile: usize) -> (Picture, usize) {
    let mut work = Enlargement::new(session, picture, tile).unwrap();
    let mut covered = 0;
    while let Some(region) = block_on(work.step()).unwrap() {
        covered += region.width * region.height;
    }
    let tiles = work.tiles();
    assert_eq!(work.done(), tiles);
    let result = work.into_result();
    assert_eq!(covered, result.width() * result.height(), "the regions cover the result once");
    (result, tiles)
}

/// The largest difference of two lists of samples in 0..1, and where it is.
fn worst(a: &[f32], b: &[f32]) -> (f32, usize) {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).zip(0..).fold((0.0, 0), |worst, this| if this.0 > worst.0 { this } else { worst })
}

#[test]
fn tiles_give_what_the_network_gives_for_the_whole_picture() {
    // 16 bits, so that rounding hides little: half a level beside the 1e-5 that tiling may cost.
    let allowed = 1e-5 + 0.5 / 65535.0;
    for config in random::configs() {
        let session = session(config);
        for (width, height) in [(61, 47), (29, 90)] {
            let picture = random::picture(width, height, Kind { deep: true, alpha: false }, 3);
            let (width, height) = (picture.width(), picture.height());
            let whole = block_on(session.forward(&picture.planes(picture.bounds(), 0, 3), height, width)).unwrap();
            let inside = whole.iter().filter(|v| (0.0..=1.0).contains(*v)).count();
            assert!(inside * 10 > whole.len() * 9, "{config:?}: {inside} of {} samples are not clamped", whole.len());
            let whole: Vec<f32> = whole.iter().map(|v| v.clamp(0.0, 1.0)).collect();

            for tile in [1, 33] {
                let (result, tiles) = enlarge(&session, &picture, tile);
                assert!(tiles >= 4, "{config:?}: {tiles} tiles of {tile}");
                assert_eq!((result.width(), result.height()), (width * config.scale(), height * config.scale()));
                let (difference, at) = worst(&result.planes(result.bounds(), 0, 3), &whole);
                assert!(difference <= allowed, "{config:?}, {width}x{height}, tiles of {tile}: {difference} at {at}");
            }
        }
    }
}

#[test]
fn alpha_and_depth_survive_tiling() {
    for kind in [Kind { deep: false, alpha: true }, Kind { deep: true, alpha: true }, Kind { deep: false, alpha: false }] {
        let picture = random::picture(53, 41, kind, 5);
        let level = if kind.deep { 1.0 / 65535.0 } else { 1.0 / 255.0 };
        for config in random::configs() {
            let session = session(config);
            let (whole, one) = enlarge(&session, &picture, 1000);
            let (tiled, tiles) = enlarge(&session, &picture, 1);
            assert!(one == 1 && tiles >= 6, "{one} and {tiles} tiles");
            assert_eq!(tiled.has_alpha(), kind.alpha);
            let planes = if kind.alpha { 4 } else { 3 };
            let (difference, at) = worst(&tiled.planes(tiled.bounds(), 0, planes), &whole.planes(whole.bounds(), 0, planes));
            // A value at the border of two levels may round either way.
            assert!(difference <= 1.01 * level, "{config:?}, {kind:?}: {difference} at {at}");
        }
    }
}

/// What several workers do: each takes a tile, and they finish in any order.
#[test]
fn tiles_may_be_computed_elsewhere_and_in_any_order() {
    let picture = random::picture(61, 47, Kind { deep: false, alpha: true }, 5);
    for config in random::configs() {
        let session = session(config);
        let (wanted, tiles) = enlarge(&session, &picture, 1);
        let mut work = Enlargement::new(&session, &picture, 1).unwrap();
        let taken: Vec<_> = std::iter::from_fn(|| work.take()).collect();
        assert_eq!((taken.len(), work.done()), (tiles, 0));
        for tile in taken.iter().rev() {
            let rgb = block_on(session.forward(&work.input(tile), tile.window.height, tile.window.width)).unwrap();
            assert!(work.put(tile, &rgb[1..]).is_err(), "a result of the wrong size");
            work.put(tile, &rgb).unwrap();
        }
        assert_eq!(work.done(), tiles);
        assert_eq!(work.into_result(), wanted, "{config:?}");
    }
}

/// A GPU whose largest buffer holds no tile of the size asked for.
#[test]
fn short_memory_makes_tiles_smaller_and_changes_nothing() {
    let Some(context) = gpu::context() else { return };
    let checkpoint = random::checkpoint(ImageConfig::Rlfn(RlfnConfig { scale: 2, channels: 6, blocks: 1 }), 7);
    let picture = random::picture(90, 70, Kind { deep: true, alpha: false }, 3);
    let run = |context| enlarge(&Session::new(&checkpoint, Engine::WebGpu(context)).unwrap(), &picture, 90);
    let (wanted, one) = run(context.clone());
    assert_eq!(one, 1);
    // Two blocks of four channels on 45 x 45 pixels are 65 KB, on 90 x 70 they are 202.
    let (got, several) = run(context.with_largest_buffer(100_000));
    assert!(several > 1, "{several} tile");
    let planes = |picture: &Picture| picture.planes(picture.bounds(), 0, 3);
    let (difference, at) = worst(&planes(&got), &planes(&wanted));
    assert!(difference <= 1e-4, "{difference} at {at}");

    let session = Session::new(&checkpoint, Engine::WebGpu(context.with_largest_buffer(1000))).unwrap();
    let mut hopeless = Enlargement::new(&session, &picture, 90).unwrap();
    let error = block_on(hopeless.step()).unwrap_err().to_string();
    assert!(error.contains("use smaller tiles"), "{error}");
}

/// The halo is `receptive_field`. In a random network the outermost pixels count so little that 1e-5 would not show a halo that
/// is one too small, so it is measured: how far does a change of one pixel reach?
#[test]
fn the_receptive_field_is_what_the_configuration_says() {
    let (side, middle) = (41, 20);
    for config in random::configs() {
        let session = session(config);
        let mut input = vec![0.5; 3 * side * side];
        let before = block_on(session.forward(&input, side, side)).unwrap();
        for channel in 0..3 {
            input[(channel * side + middle) * side + middle] = 1e6;
        }
        let after = block_on(session.forward(&input, side, side)).unwrap();
        let scale = config.scale();
        let width = side * scale;
        let reach = |i: usize| (i % width / scale).abs_diff(middle).max((i / width % width / scale).abs_diff(middle));
        let farthest = (0..after.len()).filter(|&i| after[i] != before[i]).map(reach).max().unwrap();
        let field = config.receptive_field().unwrap();
        // Rounding up may make the halo one pixel larger than it need be.
        assert!(farthest <= field && farthest + 1 >= field, "{config:?}: a pixel reaches {farthest}, the field is {field}");
    }
}
