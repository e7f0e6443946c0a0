//! Sentences decoded on the GPU, against the search on the CPU.
#![cfg(not(target_arch = "wasm32"))]

use std::path::Path;

use candle_core::Device;
use pollster::block_on;
use shared::checkpoint::Checkpoint;
use shared::engine::webgpu::kernels::Geometry;
use shared::pipeline::decoder::Decoder;
use shared::pipeline::search::{Hypothesis, Search};
use shared::pipeline::translate::Translator;
use shared::text::{END, FIRST};
use tests::gpu::{context, half_context};

fn dates() -> Checkpoint {
    Checkpoint::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/models/dates.safetensors")).unwrap()
}

/// By the GPU, and how often something was read back.
fn decode(decoder: &Decoder, words: &[u32], search: &Search) -> (Vec<Hypothesis>, usize) {
    let mut decoding = decoder.begin(words, search).unwrap();
    let mut reads = 1;
    while block_on(decoding.step()).unwrap() {
        reads += 1;
    }
    (decoding.into_result(), reads)
}

#[test]
fn the_gpu_decodes_as_the_cpu_does() {
    let Some(context) = context() else { return };
    let checkpoint = dates();
    let translator = Translator::new(&checkpoint, &Device::Cpu).unwrap();
    // As on software, and as on a GPU, where threads share the sums of a row.
    let decoders =
        [context.geometry(), Geometry::HARDWARE].map(|g| Decoder::new(&checkpoint, &context.with_geometry(g)).unwrap());
    for (decoder, beam) in decoders.iter().flat_map(|decoder| [1, 4, 5].map(|beam| (decoder, beam))) {
        let options = Search { beam, ..Search::default() };
        for sentence in ["le 3 mai 2021", "Montag, den 24. Dezember 2001", "x", "not a date at all, but a sentence 🎈"] {
            let (words, search) = translator.words(sentence, &options).unwrap();
            let (got, reads) = decode(decoder, &words, &search);
            let mut decoding = translator.begin(sentence, &options).unwrap();
            while decoding.step().unwrap() {}
            let wanted = decoding.into_result();
            assert_eq!(got.len(), wanted.len(), "{sentence}, beam {beam}");
            for (got, wanted) in got.iter().zip(&wanted) {
                assert_eq!(got.words, wanted.words, "{sentence}, beam {beam}");
                assert!((got.log_probability - wanted.log_probability).abs() < 1e-3, "{got:?}\n{wanted:?}");
                let off = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off(&got.probabilities, &wanted.probabilities) < 1e-3);
                assert_eq!(got.attention.len(), wanted.attention.len());
                assert!(got.attention.iter().zip(&wanted.attention).all(|(a, b)| a.len() == b.len() && off(a, b) < 1e-3));
            }
            let longest = got.iter().map(|h| h.probabilities.len()).max().unwrap();
            assert!(reads <= longest.div_ceil(8) + 1, "{reads} read-backs for {longest} words");
        }
    }
}

#[test]
fn f16_reads_the_same_dates() {
    let Some(context) = half_context() else { return };
    let checkpoint = dates();
    let translator = Translator::new(&checkpoint, &Device::Cpu).unwrap();
    let decoder = Decoder::new(&checkpoint, &context).unwrap();
    let search = Search { beam: 1, ..Search::default() };
    for (date, iso) in [("le 14 juillet 1989", "1989-07-14"), ("May 3rd, 2021", "2021-05-03")] {
        let (words, search) = translator.words(date, &search).unwrap();
        let best = decode(&decoder, &words, &search).0.remove(0);
        assert_eq!(translator.read(best).unwrap().text, iso);
    }
}

#[test]
fn what_the_gpu_cannot_decode_is_an_error() {
    let Some(context) = context() else { return };
    let decoder = Decoder::new(&dates(), &context).unwrap();
    let message = |search: Search| decoder.begin(&[FIRST, END], &search).err().map(|e| e.to_string()).unwrap_or_default();
    let drawn = shared::pipeline::search::Sampling { temperature: 1.0, top: 3, seed: 1 };
    assert!(message(Search { sampling: Some(drawn), ..Search::default() }).contains("CPU only"));
    assert!(message(Search { beam: 400, ..Search::default() }).contains("400 sentences"));
}
