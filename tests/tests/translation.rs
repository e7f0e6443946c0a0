//! What holds for every network for sentences, trained or not.
#![cfg(not(target_arch = "wasm32"))]

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use shared::checkpoint::{Checkpoint, Dense, Metadata, Precision, Text};
use shared::engine::candle;
use shared::layers::Keep;
use shared::models::{
    Cell, CellKind, Sentences, Seq2Seq, Seq2SeqConfig, Transformer, TransformerConfig, TranslationConfig, TranslationNetwork,
};
use shared::pipeline::search::Search;
use shared::pipeline::translate::{HIDDEN, Translator};
use shared::text::{Piece, Tokenizer};
use shared::{Error, Scope};
use trainer::variables::{Variables, to_dense};

const LENGTH: usize = 24;

fn tokenizer() -> Tokenizer {
    Tokenizer::train(["Ein Mann geht.", "A man walks."].into_iter(), 300).unwrap()
}

/// A Transformer with random weights.
fn checkpoint() -> Checkpoint {
    let vocabulary = tokenizer().vocabulary();
    let config = TransformerConfig { vocabulary, features: 32, heads: 4, hidden: 48, encoder: 2, decoder: 2, length: LENGTH };
    random(TranslationConfig::Transformer(config))
}

/// Recurrent networks of every kind with random weights.
fn recurrent() -> impl Iterator<Item = Checkpoint> {
    let vocabulary = tokenizer().vocabulary();
    [(CellKind::Gru, true, true), (CellKind::Lstm, true, false), (CellKind::Lstm, false, true), (CellKind::Gru, false, false)]
        .into_iter()
        .map(move |(cell, bidirectional, attention)| {
            let (features, encoder, decoder, length) = (16, 2, 3, LENGTH);
            let config = Seq2SeqConfig { vocabulary, features, cell, encoder, decoder, bidirectional, attention, length };
            random(TranslationConfig::Seq2Seq(config))
        })
}

fn random(config: TranslationConfig) -> Checkpoint {
    let tokenizer = tokenizer();
    let variables = Variables::new(&Device::Cpu, 3);
    TranslationNetwork::new(&config, &Scope::root(&variables)).unwrap();
    let tensors = to_dense(variables.all().iter().map(|(name, var)| (name, var.as_tensor()))).unwrap();
    let text = Text { source: "de".into(), target: "en".into(), tokenizer: tokenizer.json().into() };
    let metadata = Metadata { text: Some(text), ..Metadata::new(config) };
    Checkpoint { metadata, tensors }
}

fn model(checkpoint: &Checkpoint) -> Transformer<Tensor> {
    let TranslationConfig::Transformer(config) = checkpoint.translation().unwrap() else { panic!("recurrent") };
    let source = candle::Constants { tensors: &checkpoint.tensors, device: &Device::Cpu };
    Transformer::new(config, &Scope::root(&source)).unwrap()
}

fn seq2seq(checkpoint: &Checkpoint) -> Seq2Seq<Tensor> {
    let TranslationConfig::Seq2Seq(config) = checkpoint.translation().unwrap() else { panic!("a Transformer") };
    let source = candle::Constants { tensors: &checkpoint.tensors, device: &Device::Cpu };
    Seq2Seq::new(config, &Scope::root(&source)).unwrap()
}

/// Sentences side by side, 0 behind their ends.
fn sentences(rows: &[&[f32]]) -> Sentences<Tensor> {
    let (count, length) = (rows.len(), rows.iter().map(|row| row.len()).max().unwrap());
    let at = |t: usize| rows.iter().map(|row| row.get(t).copied().unwrap_or(0.0)).collect::<Vec<_>>();
    let present = |t: usize| {
        let stands: Vec<f32> = at(t).iter().flat_map(|&word| [word.min(1.0); 16]).collect();
        stands.contains(&0.0).then(|| numbers(&stands, &[count, 1, 16]))
    };
    let mask: Vec<f32> = rows.iter().flat_map(|row| (0..length).map(|t| if t < row.len() { 0.0 } else { HIDDEN })).collect();
    Sentences {
        words: (0..length).map(|t| numbers(&at(t), &[count, 1])).collect(),
        present: (0..length).map(present).collect(),
        mask: Some(numbers(&mask, &[count, 1, length])),
    }
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
fn recurrent_words_one_by_one_are_what_teacher_forcing_gives() {
    for checkpoint in recurrent() {
        let model = seq2seq(&checkpoint);
        let read = || model.encode(sentences(&[&[9., 8., 7., 2.]]), &Keep).unwrap();
        let words = [1.0f32, 20., 30., 40., 50.];
        let forced = model.decode(read(), 5, &Keep, |i, _| Ok(numbers(&words[i..=i], &[1, 1]))).unwrap();
        let (mut state, masks) = (read(), model.masks(&read(), &Keep).unwrap());
        for (i, word) in words.iter().enumerate() {
            let step = model.step(&numbers(&[*word], &[1, 1]), &state, &masks).unwrap();
            close(&model.logits(&step.output).unwrap(), &forced.narrow(1, i, 1).unwrap());
            state = step.state;
        }
        // Its own words, fed back, are a greedy search.
        let mut own = vec![1.0f32];
        let free = model.decode(read(), 8, &Keep, |_, output: Option<&Tensor>| {
            if let Some(output) = output {
                let best = model.logits(output)?.argmax(2)?.flatten_all()?.to_vec1::<u32>()?;
                own.push(best[0] as f32);
            }
            Ok(numbers(&own[own.len() - 1..], &[1, 1]))
        });
        let forced = model.decode(read(), 8, &Keep, |i, _| Ok(numbers(&own[i..=i], &[1, 1]))).unwrap();
        close(&free.unwrap(), &forced);
    }
}

#[test]
fn padding_changes_no_recurrent_state() {
    for checkpoint in recurrent() {
        let model = seq2seq(&checkpoint);
        let step = |rows: &[&[f32]]| {
            let state = model.encode(sentences(rows), &Keep).unwrap();
            let words = numbers(&vec![20.0; rows.len()], &[rows.len(), 1]);
            let step = model.step(&words, &state, &model.masks(&state, &Keep).unwrap()).unwrap();
            model.logits(&step.output).unwrap()
        };
        let both = step(&[&[9., 8., 2.], &[5., 6., 7., 8., 2.]]);
        close(&step(&[&[9., 8., 2.]]), &both.narrow(0, 0, 1).unwrap());
        close(&step(&[&[5., 6., 7., 8., 2.]]), &both.narrow(0, 1, 1).unwrap());
    }
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
        let TranslationConfig::Transformer(mut config) = *c.translation().unwrap() else { panic!("recurrent") };
        config.vocabulary = 100;
        c.metadata.config = TranslationConfig::Transformer(config).into();
    };
    refuse(&smaller, "its table has 100");
    for config in [
        r#"{"model":"transformer"}"#,
        r#"{"model":"transformer","vocabulary":9,"features":6,"heads":1,"hidden":1,"encoder":1,"decoder":1,"length":9}"#,
        r#"{"model":"transformer","vocabulary":9,"features":8,"heads":0,"hidden":1,"encoder":1,"decoder":1,"length":9}"#,
        r#"{"model":"transformer","vocabulary":9999999999,"features":8,"heads":1,"hidden":1,"encoder":1,"decoder":1,"length":9}"#,
        r#"{"model":"seq2seq","vocabulary":9,"features":8,"cell":"elman","encoder":1,"decoder":1,"bidirectional":true,"attention":true,"length":9}"#,
        r#"{"model":"seq2seq","vocabulary":9,"features":6,"cell":"gru","encoder":1,"decoder":1,"bidirectional":true,"attention":true,"length":9}"#,
        r#"{"model":"seq2seq","vocabulary":9,"features":8,"cell":"gru","encoder":0,"decoder":1,"bidirectional":true,"attention":true,"length":9}"#,
        r#"{"model":"seq2seq","vocabulary":9,"features":8,"cell":"lstm","encoder":1,"decoder":99999999,"bidirectional":true,"attention":true,"length":9}"#,
        r#"{"model":"recurrent-language","vocabulary":9,"features":99999996,"cell":"lstm","layers":1,"length":9}"#,
    ] {
        let read = serde_json::from_str::<shared::models::Config>(config).map_err(|e| e.to_string());
        let refused = read.and_then(|c| c.validate().map_err(|e| e.to_string()));
        assert!(refused.is_err(), "{config}");
    }
}

#[test]
fn strange_sentences_are_translated_or_refused() {
    std::iter::once(checkpoint()).chain(recurrent()).for_each(|checkpoint| strange_sentences(&checkpoint));
}

fn strange_sentences(checkpoint: &Checkpoint) {
    let translator = Translator::new(checkpoint, &Device::Cpu).unwrap();
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

/// `W x`, in f64.
fn product(weights: &BTreeMap<String, Dense>, name: &str, x: &[f64]) -> Vec<f64> {
    let rows = weights[name].values.chunks(x.len());
    rows.map(|row| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum()).collect()
}

#[test]
fn cells_compute_what_their_papers_say() {
    const F: usize = 4;
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
    for kind in [CellKind::Gru, CellKind::Lstm] {
        let variables = Variables::new(&Device::Cpu, 5);
        let cell = Cell::new(kind, F, &Scope::root(&variables)).unwrap();
        for (name, var) in variables.all() {
            if name.ends_with("bias") {
                var.set(&(var.ones_like().unwrap() * (0.1 * name.len() as f64)).unwrap()).unwrap();
            }
        }
        let weights = to_dense(variables.all().iter().map(|(name, var)| (name, var.as_tensor()))).unwrap();
        let gate = |name: &str, x: &[f64], h: &[f64], f: &dyn Fn(f64) -> f64| -> Vec<f64> {
            let wx = product(&weights, &format!("{name}.input.weight"), x);
            let uh = product(&weights, &format!("{name}.state.weight"), h);
            let b = &weights[&format!("{name}.input.bias")].values;
            (0..F).map(|i| f(wx[i] + uh[i] + f64::from(b[i]))).collect()
        };
        let (mut h, mut c) = ([0.0f64; F], [0.0f64; F]);
        let mut steps = Vec::new();
        for t in 0..3 {
            let x: Vec<f64> = (0..F).map(|i| ((3 * t + i) as f64).sin()).collect();
            steps.push(numbers(&x.iter().map(|&v| v as f32).collect::<Vec<_>>(), &[1, 1, F]));
            match kind {
                CellKind::Gru => {
                    let (r, z) = (gate("reset", &x, &h, &sigmoid), gate("update", &x, &h, &sigmoid));
                    let rh: Vec<f64> = (0..F).map(|i| r[i] * h[i]).collect();
                    let n = gate("candidate", &x, &rh, &f64::tanh);
                    h = std::array::from_fn(|i| z[i] * h[i] + (1.0 - z[i]) * n[i]);
                }
                CellKind::Lstm => {
                    let (i, o) = (gate("input", &x, &h, &sigmoid), gate("output", &x, &h, &sigmoid));
                    let (f, g) = (gate("forget", &x, &h, &|v| sigmoid(v + 1.0)), gate("candidate", &x, &h, &f64::tanh));
                    c = std::array::from_fn(|k| f[k] * c[k] + i[k] * g[k]);
                    h = std::array::from_fn(|k| o[k] * c[k].tanh());
                }
            }
        }
        let (states, last) = cell.run(steps.iter().map(|x| (x, None)), &Keep).unwrap().unwrap();
        let wanted = |values: [f64; F]| numbers(&values.map(|v| v as f32), &[1, 1, F]);
        close(&states[2], &wanted(h));
        close(&last.state, &wanted(h));
        if let Some(memory) = last.memory {
            close(&memory, &wanted(c));
        }
    }
}
