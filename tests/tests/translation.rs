//! What holds for every network for sentences, trained or not.
#![cfg(not(target_arch = "wasm32"))]

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use shared::checkpoint::{Checkpoint, Metadata, Precision, Text};
use shared::engine::candle;
use shared::layers::Keep;
use shared::models::{Transformer, TransformerConfig, TranslationConfig};
use shared::pipeline::search::Search;
use shared::pipeline::translate::{HIDDEN, Translator};
use shared::text::{Piece, Tokenizer};
use shared::{Error, Scope};
use trainer::variables::{Variables, to_dense};

const LENGTH: usize = 24;

fn tokenizer() -> Tokenizer {
    Tokenizer::train(["Ein Mann geht.", "A man walks."].into_iter(), 300).unwrap()
}

/// A network with random weights.
fn checkpoint() -> Checkpoint {
    let tokenizer = tokenizer();
    let vocabulary = tokenizer.vocabulary();
    let config = TransformerConfig { vocabulary, features: 32, heads: 4, hidden: 48, encoder: 2, decoder: 2, length: LENGTH };
    let variables = Variables::new(&Device::Cpu, 3);
    Transformer::new(&config, &Scope::root(&variables)).unwrap();
    let tensors = to_dense(variables.all().iter().map(|(name, var)| (name, var.as_tensor()))).unwrap();
    let text = Text { source: "de".into(), target: "en".into(), tokenizer: tokenizer.json().into() };
    let metadata = Metadata { text: Some(text), ..Metadata::new(TranslationConfig::Transformer(config)) };
    Checkpoint { metadata, tensors }
}

fn model(checkpoint: &Checkpoint) -> Transformer<Tensor> {
    let TranslationConfig::Transformer(config) = checkpoint.translation().unwrap();
    let source = candle::Constants { checkpoint, device: &Device::Cpu };
    Transformer::new(config, &Scope::root(&source)).unwrap()
}

fn numbers(values: &[f32], dims: &[usize]) -> Tensor {
    Tensor::from_slice(values, dims, &Device::Cpu).unwrap()
}

fn positions(rows: usize, count: usize) -> Tensor {
    numbers(&(0..rows * count).map(|i| (i % count) as f32).collect::<Vec<_>>(), &[rows, count])
}

fn close(a: &Tensor, b: &Tensor) {
    let off = (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(off < 1e-4, "{off} apart");
}

#[test]
fn word_by_word_is_what_teacher_forcing_gives() {
    let model = model(&checkpoint());
    let source = numbers(&[9., 8., 7., 2.], &[1, 4]);
    let source = model.encode(&source, &positions(1, 4), None, &Keep).unwrap();
    let words = [1.0f32, 20., 30., 40., 50.];
    let mask: Vec<f32> = (0..25).map(|i| if i % 5 <= i / 5 { 0.0 } else { HIDDEN }).collect();
    let mask = numbers(&mask, &[1, 5, 5]);
    let forced = model.decode(&numbers(&words, &[1, 5]), &positions(1, 5), &mask, &source, None, &Keep).unwrap();
    // A longer cache than there are words: what is not written yet must not be seen.
    let zeros = |dims: &[usize]| Ok(Tensor::full(3.0f32, dims, &Device::Cpu)?);
    let mut state = model.start(&source, 9, zeros).unwrap();
    for (i, word) in words.iter().enumerate() {
        let at = i as f32;
        let mask: Vec<f32> = (0..9).map(|t| if t <= i { 0.0 } else { HIDDEN }).collect();
        let (word, here) = (numbers(&[*word], &[1, 1]), numbers(&[at], &[1, 1]));
        let step = model.step(&word, &here, &numbers(&[at], &[1]), &numbers(&mask, &[1, 1, 9]), None, &state).unwrap();
        close(&step.logits, &forced.narrow(1, i, 1).unwrap());
        state = step.state;
    }
}

#[test]
fn padding_changes_nothing() {
    let model = model(&checkpoint());
    let alone = model.encode(&numbers(&[9., 8., 2.], &[1, 3]), &positions(1, 3), None, &Keep).unwrap();
    let beside = numbers(&[9., 8., 2., 0., 0., 5., 6., 7., 8., 2.], &[2, 5]);
    let mask = numbers(&[0., 0., 0., HIDDEN, HIDDEN, 0., 0., 0., 0., 0.], &[2, 1, 5]);
    let both = model.encode(&beside, &positions(2, 5), Some(&mask), &Keep).unwrap();
    close(&alone, &both.narrow(0, 0, 1).unwrap().narrow(1, 0, 3).unwrap());
}

#[test]
fn files_keep_the_tokenizer_and_the_translation() {
    let checkpoint = checkpoint();
    let again = Checkpoint::from_bytes(&checkpoint.to_bytes(Precision::F32).unwrap()).unwrap();
    assert_eq!(again, checkpoint);
    let translate = |c: &Checkpoint| Translator::new(c, &Device::Cpu).unwrap().translate("Ein Mann", &Search::default()).unwrap();
    assert_eq!(translate(&again), translate(&checkpoint));
}

#[test]
fn broken_files_are_refused_in_words() {
    let refuse = |change: &dyn Fn(&mut Checkpoint), word: &str| {
        let mut broken = checkpoint();
        change(&mut broken);
        let error = Translator::new(&broken, &Device::Cpu).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(word), "{error:?} does not say {word:?}");
    };
    refuse(&|c| c.metadata.text = None, "no tokenizer");
    refuse(&|c| c.metadata.text.as_mut().unwrap().tokenizer.truncate(900), "cannot be read");
    refuse(&|c| c.metadata.text.as_mut().unwrap().tokenizer = "{}".into(), "cannot be read");
    refuse(&|c| drop(c.tensors.remove("decoder.1.source.key.weight")), "decoder.1.source.key.weight");
    refuse(
        &|c| c.metadata.config = serde_json::from_str(r#"{"model":"rlfn","scale":2,"channels":4,"blocks":1}"#).unwrap(),
        "pictures",
    );
    let smaller = |c: &mut Checkpoint| {
        let TranslationConfig::Transformer(mut config) = *c.translation().unwrap();
        config.vocabulary = 100;
        c.metadata.config = TranslationConfig::Transformer(config).into();
    };
    refuse(&smaller, "its table has 100");
    for config in [
        r#"{"model":"transformer"}"#,
        r#"{"model":"transformer","vocabulary":9,"features":6,"heads":1,"hidden":1,"encoder":1,"decoder":1,"length":9}"#,
        r#"{"model":"transformer","vocabulary":9,"features":8,"heads":0,"hidden":1,"encoder":1,"decoder":1,"length":9}"#,
        r#"{"model":"transformer","vocabulary":9999999999,"features":8,"heads":1,"hidden":1,"encoder":1,"decoder":1,"length":9}"#,
    ] {
        let read = serde_json::from_str::<shared::models::Config>(config).map_err(|e| e.to_string());
        let refused = read.and_then(|c| c.validate().map_err(|e| e.to_string()));
        assert!(refused.is_err(), "{config}");
    }
}

#[test]
fn strange_sentences_are_translated_or_refused() {
    let translator = Translator::new(&checkpoint(), &Device::Cpu).unwrap();
    let search = Search { beam: 2, ..Search::default() };
    let refused = |text: &str| matches!(translator.translate(text, &search), Err(Error::Text(_)));
    assert!(refused("") && refused(" \n\t") && refused(&"Ein Mann geht. ".repeat(700)) && refused(&"x".repeat(10_000)));
    for text in ["🎈🎈", "\u{202e}שלום", "a\u{0}\u{7}b", "\u{fffd}", "<pad>"] {
        let found = translator.translate(text, &search).unwrap();
        let alignment = translator.alignment(text, &found[0]).unwrap();
        assert_eq!(alignment.weights.len(), alignment.target.len());
        let sums = alignment.weights.iter().map(|row| row.iter().sum::<f32>());
        assert!(sums.into_iter().all(|sum| (sum - 1.0).abs() < 1e-3), "{alignment:?}");
        assert!(alignment.confidence.iter().all(|c| (0.0..=1.0).contains(c)));
    }
}

#[test]
fn long_texts_are_cut_so_that_every_sentence_fits() {
    let translator = Translator::new(&checkpoint(), &Device::Cpu).unwrap();
    for text in ["Ein Mann geht. ".repeat(700), "x".repeat(10_000), "🎈".repeat(500), "\u{5d0} ".repeat(300)] {
        let pieces = translator.pieces(&text).unwrap();
        let parts = pieces.iter().map(|piece| match piece {
            Piece::Sentence(sentence) => {
                assert!(translator.tokenizer().encode(sentence).unwrap().len() <= translator.longest(), "{sentence}");
                *sentence
            }
            Piece::Between(space) => *space,
        });
        assert_eq!(parts.collect::<String>(), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_text_ends(text in "\\PC{0,12}|[a-z ]{0,40}") {
        let translator = Translator::new(&checkpoint(), &Device::Cpu).unwrap();
        if let Ok(found) = translator.translate(&text, &Search { beam: 1, ..Search::default() }) {
            prop_assert!(found[0].hypothesis.words.len() < LENGTH);
        }
    }
}
