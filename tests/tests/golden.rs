//! Golden tensors on candle; the parity suites run the same comparison on WebGPU, natively and in the browser.
#![cfg(not(target_arch = "wasm32"))]

use std::path::Path;

use candle_core::Device;
use pollster::block_on;
use shared::Scope;
use shared::checkpoint::{Dense, Metadata, Precision};
use shared::models::{ImageConfig, ImageNetwork, RlfnConfig, SrResnetConfig};
use shared::picture::Region;
use shared::session::{Engine, Session};
use tests::golden;
use trainer::data::{dead_leaves, pairs::Pairs};
use trainer::learner::callbacks::{Clipping, Ema, Scheduler};
use trainer::learner::{Callback, Learner, Length, Run};
use trainer::optimizer::OptimizerConfig;
use trainer::schedule::Schedule;
use trainer::superres::task::Enlarging;
use trainer::variables::Variables;

#[test]
fn candle_gives_what_the_trainer_wrote() {
    block_on(golden::check(|| Engine::Candle(Device::Cpu))).unwrap();
}

/// Trains the golden networks for some steps and writes them with an input and their output.
#[test]
#[ignore = "writes tests/golden anew"]
fn regenerate() {
    let configs = [
        ImageConfig::Rlfn(RlfnConfig { scale: 2, channels: 4, blocks: 2 }),
        ImageConfig::SrResnet(SrResnetConfig { scale: 4, channels: 4, blocks: 2 }),
    ];
    for (config, (name, _)) in configs.into_iter().zip(golden::FILES) {
        let pictures = dead_leaves::pictures(4, 96, 11);
        let pairs = Pairs::new(pictures.clone(), config.scale(), 12, 1).unwrap();
        let task = Enlarging::new(config, pairs, &pictures[..1], 4, vec![12]);
        let variables = Variables::new(&Device::Cpu, 1);
        ImageNetwork::new(&config, &Scope::root(&variables)).unwrap();
        let mut run = Run::new(variables.all(), OptimizerConfig::default().build(), Device::Cpu, Length::Steps(300));
        run.provenance.insert("data".to_owned(), "dead leaves, made up".to_owned());
        let callbacks: Vec<Box<dyn Callback>> = vec![
            Box::new(Scheduler { rate: 3e-3, schedule: Schedule::default() }),
            Box::new(Clipping { max_norm: 1.0 }),
            Box::new(Ema { decay: 0.999 }),
        ];
        let mut learner = Learner::new(&task, run, callbacks);
        learner.fit().unwrap();

        let mut checkpoint = learner.run.weights(Metadata::new(config)).unwrap();
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
