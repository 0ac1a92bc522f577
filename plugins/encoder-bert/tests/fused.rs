//! The forward pass on the CPU against candle's, and a text's vector in one batch against another, on models of random
//! shapes and weights.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use forethought_encoder_bert::{BertConfig, BertEncoder, Precision};
use forethought_sdk::{
    prelude::*,
    seed::{self, ChaCha8Rng, RngExt},
    serde_json::{self, json},
};
use tempfile::TempDir;

const WORDS: usize = 60;
const POSITIONS: usize = 128;

/// Sizes of a model.
#[derive(Debug, Clone, Copy)]
struct Shape {
    heads: usize,
    /// Numbers of a head.
    size: usize,
    inner: usize,
    layers: usize,
    activation: &'static str,
    pooling: &'static str,
}

/// Odd and even sizes, smaller and larger than a panel of weights.
const SHAPES: [Shape; 5] = [
    Shape { heads: 4, size: 4, inner: 33, layers: 2, activation: "gelu", pooling: "mean_tokens" },
    Shape { heads: 3, size: 32, inner: 200, layers: 3, activation: "gelu", pooling: "mean_tokens" },
    Shape { heads: 1, size: 45, inner: 64, layers: 1, activation: "gelu_new", pooling: "cls_token" },
    Shape { heads: 2, size: 64, inner: 96, layers: 2, activation: "relu", pooling: "mean_tokens" },
    Shape { heads: 2, size: 9, inner: 20, layers: 1, activation: "silu", pooling: "mean_tokens" },
];

fn model(shape: Shape) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    let write = |name: &str, value: serde_json::Value| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("has a parent")).expect("makes folders");
        std::fs::write(path, value.to_string()).expect("writes");
    };
    let hidden = shape.heads * shape.size;
    write(
        "config.json",
        json!({
            "model_type": "bert", "hidden_act": shape.activation, "vocab_size": WORDS, "hidden_size": hidden,
            "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
            "intermediate_size": shape.inner, "max_position_embeddings": POSITIONS, "type_vocab_size": 2,
            "layer_norm_eps": 1e-12,
        }),
    );
    let words: serde_json::Map<_, _> = (0..WORDS).map(|id| (format!("w{id}"), json!(id))).collect();
    write(
        "tokenizer.json",
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "decoder": null,
            "normalizer": null, "pre_tokenizer": { "type": "WhitespaceSplit" }, "post_processor": null,
            "model": { "type": "WordLevel", "unk_token": "w0", "vocab": words },
        }),
    );
    write("1_Pooling/config.json", json!({ (format!("pooling_mode_{}", shape.pooling)): true }));
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        ("embeddings.word_embeddings.weight".into(), vec![WORDS, hidden]),
        ("embeddings.position_embeddings.weight".into(), vec![POSITIONS, hidden]),
        ("embeddings.token_type_embeddings.weight".into(), vec![2, hidden]),
        ("embeddings.LayerNorm.weight".into(), vec![hidden]),
        ("embeddings.LayerNorm.bias".into(), vec![hidden]),
    ];
    for layer in 0..shape.layers {
        for (name, outputs, inputs) in [
            ("attention.self.query", hidden, Some(hidden)),
            ("attention.self.key", hidden, Some(hidden)),
            ("attention.self.value", hidden, Some(hidden)),
            ("attention.output.dense", hidden, Some(hidden)),
            ("attention.output.LayerNorm", hidden, None),
            ("intermediate.dense", shape.inner, Some(hidden)),
            ("output.dense", hidden, Some(shape.inner)),
            ("output.LayerNorm", hidden, None),
        ] {
            let name = format!("encoder.layer.{layer}.{name}");
            shapes.push((format!("{name}.weight"), [vec![outputs], inputs.into_iter().collect()].concat()));
            shapes.push((format!("{name}.bias"), vec![outputs]));
        }
    }
    let tensor = |name: &str, shape: Vec<usize>| {
        let mut random = seed::stream(11, name);
        // Of the size that training leaves: sums of products keep the size of what goes in.
        let most = 3.0 / (*shape.last().expect("has a size") as f32).sqrt();
        let numbers: Vec<f32> =
            (0..shape.iter().product()).map(|_| random.random_range(-most..most)).collect();
        Tensor::from_vec(numbers, shape, &Device::Cpu).expect("a tensor")
    };
    let weights: HashMap<_, _> =
        shapes.into_iter().map(|(name, shape)| (name.clone(), tensor(&name, shape))).collect();
    candle_core::safetensors::save(&weights, folder.path().join("model.safetensors"))
        .expect("writes weights");
    folder
}

/// Texts of 0 to 140 words: empty ones, and some that are cut.
fn texts(random: &mut ChaCha8Rng, count: usize) -> Vec<String> {
    let text = |random: &mut ChaCha8Rng| {
        let words = if random.random() { random.random_range(0..12) } else { random.random_range(0..140) };
        (0..words).map(|_| format!("w{} ", random.random_range(0..WORDS + 3))).collect()
    };
    (0..count).map(|_| text(random)).collect()
}

fn load(folder: &Path, precision: Precision, batch_tokens: usize) -> Result<BertEncoder> {
    let config = BertConfig { device: "cpu".into(), precision, batch_tokens, ..Default::default() };
    BertEncoder::load(folder, &config)
}

/// The precisions of this processor.
fn precisions(folder: &Path) -> Vec<Precision> {
    let all = [Precision::F32, Precision::Bf16];
    all.into_iter().filter(|&one| one == Precision::F32 || load(folder, one, 8).is_ok()).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|number| number.to_bits()).collect()
}

#[test]
fn vectors_are_those_of_candle() {
    for shape in SHAPES {
        let folder = model(shape);
        let config = BertConfig { device: "cpu".into(), ..Default::default() };
        let candle = BertEncoder::load_on_candle(folder.path(), &config).expect("loads");
        let texts = texts(&mut seed::stream(1, "texts"), 40);
        let expected = candle.encode_blocking(texts.clone(), true).expect("encodes");
        for precision in precisions(folder.path()) {
            let encoder = load(folder.path(), precision, 300).expect("loads");
            let rows = encoder.encode_blocking(texts.clone(), true).expect("encodes");
            let least = if precision == Precision::F32 { 0.99999 } else { 0.999 };
            for (index, text) in texts.iter().enumerate() {
                let cosine = cosine(rows.row(index), expected.row(index));
                assert!(cosine > least, "{shape:?} {precision:?}: {cosine} for {text:?}");
                let norm: f32 = rows.row(index).iter().map(|number| number * number).sum();
                assert!((norm - 1.0).abs() < 1e-5, "{norm}");
            }
        }
    }
}

#[test]
fn a_vector_is_the_same_bit_for_bit_in_any_batch_and_with_any_number_of_threads() {
    for shape in SHAPES {
        let folder = model(shape);
        let mut random = seed::stream(2, "batches");
        let all = texts(&mut random, 30);
        for precision in precisions(folder.path()) {
            let alone: Vec<Vec<u32>> = {
                let encoder = load(folder.path(), precision, 2048).expect("loads");
                let alone =
                    |text: &String| encoder.encode_blocking(vec![text.clone()], true).expect("encodes");
                all.iter().map(|text| bits(alone(text).row(0))).collect()
            };
            for _ in 0..12 {
                let threads = random.random_range(1..5);
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                let tokens = random.random_range(1..400);
                let encoder = load(folder.path(), precision, tokens).expect("loads");
                let chosen: Vec<usize> =
                    (0..random.random_range(1..20)).map(|_| random.random_range(0..all.len())).collect();
                let batch = chosen.iter().map(|&index| all[index].clone()).collect();
                let rows = pool.install(|| encoder.encode_blocking(batch, random.random())).expect("encodes");
                for (row, index) in chosen.into_iter().enumerate() {
                    assert!(
                        bits(rows.row(row)) == alone[index],
                        "{shape:?} {precision:?}, {threads} threads, {tokens} tokens a batch: {:?} differs",
                        all[index]
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_precision_is_another_encoder() {
    let folder = model(SHAPES[0]);
    let exact = load(folder.path(), Precision::F32, 8).expect("loads").spec().await.expect("a spec");
    assert!(!exact.id.contains("precision"), "what critics were trained with: {}", exact.id);
    match load(folder.path(), Precision::Bf16, 8) {
        Ok(rounded) => {
            let rounded = rounded.spec().await.expect("a spec");
            assert_eq!(rounded.id, format!("{}&precision=bf16", exact.id));
            assert_eq!(rounded.revision, exact.revision);
        }
        Err(error) => assert!(error.to_string().contains("AVX-512 BF16"), "{error}"),
    }
    let config = BertConfig { device: "cpu".into(), ..Default::default() };
    let candle = BertEncoder::load_on_candle(folder.path(), &config).expect("loads").spec().await;
    let candle = candle.expect("a spec");
    assert_eq!(candle.id, exact.id);
    assert_ne!(candle.revision, exact.revision, "last bits differ");
}
