//! Golden tensors on candle; the parity suites run the same comparison on WebGPU, natively and in the browser.
#![cfg(not(target_arch = "wasm32"))]

use std::path::Path;

use candle_core::Device;
use pollster::block_on;
use shared::checkpoint::{Checkpoint, Dense, Precision};
use shared::models::{RlfnConfig, SrResnetConfig, SuperresConfig};
use shared::picture::Region;
use shared::session::{Engine, Session};
use tests::golden;
use trainer::data::{dead_leaves, pairs::Pairs};
use trainer::superres::run_folder::RunFolder;
use trainer::superres::train::{Length, Options, train};

#[test]
fn candle_gives_what_the_trainer_wrote() {
    block_on(golden::check(|| Engine::Candle(Device::Cpu))).unwrap();
}

/// Trains the golden networks for some steps and writes them with an input and their output.
#[test]
#[ignore = "writes tests/golden anew"]
fn regenerate() {
    let configs = [
        SuperresConfig::Rlfn(RlfnConfig { scale: 2, channels: 4, blocks: 2 }),
        SuperresConfig::SrResnet(SrResnetConfig { scale: 4, channels: 4, blocks: 2 }),
    ];
    for (config, (name, _)) in configs.into_iter().zip(golden::FILES) {
        let pictures = dead_leaves::pictures(4, 96, 11);
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::open(folder.path(), false).unwrap();
        let options = Options {
            config,
            device: Device::Cpu,
            length: Length::Steps(300),
            batch: 4,
            rate: 3e-3,
            seed: 1,
            every: 300,
            from: None,
            resume: false,
            settings: String::new(),
            provenance: [("data".to_owned(), "dead leaves, made up".to_owned())].into(),
        };
        let pairs = Pairs::new(pictures.clone(), config.scale(), 12, 1).unwrap();
        train(&options, &pairs, &pictures[..1], &run, &indicatif::ProgressBar::hidden()).unwrap();

        let mut checkpoint = Checkpoint::read(&run.best()).unwrap();
        // Odd sizes, of which no tile or vector of a kernel is a multiple.
        let (width, height) = (9, 7);
        let input = pictures[3].planes(Region { x: 40, y: 30, width, height }, 0, 3);
        let session = Session::new(&checkpoint, Engine::Candle(Device::Cpu)).unwrap();
        let output = block_on(session.forward(&input, height, width)).unwrap();
        let scale = config.scale();
        let dims = |scale: usize| vec![3, height * scale, width * scale];
        checkpoint.tensors.insert(golden::INPUT.into(), Dense { dims: dims(1), values: input });
        checkpoint.tensors.insert(golden::OUTPUT.into(), Dense { dims: dims(scale), values: output });
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
        std::fs::write(path, checkpoint.to_bytes(Precision::F32).unwrap()).unwrap();
    }
}
