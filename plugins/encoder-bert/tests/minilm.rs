//! The real all-MiniLM-L6-v2 against sentence-transformers.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use forethought_encoder_bert::{BertConfig, BertEncoder, Precision};
use forethought_sdk::{prelude::*, serde_json};
use forethought_testkit::Suite;

fn main() -> ExitCode {
    let folder = std::env::var_os("FORETHOUGHT_MINILM").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/minilm")),
        PathBuf::from,
    );
    let unable = (!folder.join("model.safetensors").exists())
        .then(|| "all-MiniLM-L6-v2 is missing; `bash .ci/minilm` fetches it".to_owned());
    let test = move || minilm_agrees_with_sentence_transformers(&folder);
    Suite::default().unless(unable, "minilm_agrees_with_sentence_transformers", test).run()
}

#[data]
struct Reference {
    rows: Vec<ReferenceRow>,
}

#[data]
struct ReferenceRow {
    text: String,
    vector: Vec<f32>,
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[tokio::main]
async fn minilm_agrees_with_sentence_transformers(folder: &Path) {
    let reference: Reference =
        serde_json::from_str(include_str!("fixtures/minilm_reference.json")).expect("the fixture is valid");
    assert_eq!(reference.rows.len(), 16);
    let config = BertConfig { device: "cpu".into(), ..Default::default() };
    let rounding = BertConfig { precision: Precision::Bf16, ..config.clone() };
    for (name, encoder, least) in [
        ("f32", BertEncoder::load(folder, &config), 0.99999),
        ("f32 on candle", BertEncoder::load_on_candle(folder, &config), 0.99999),
        ("bf16", BertEncoder::load(folder, &rounding), 0.999),
    ] {
        let encoder = match encoder {
            Err(error) if error.to_string().contains("AVX-512 BF16") => continue,
            loaded => loaded.expect("loads"),
        };
        let all = reference.rows.iter().map(|row| row.text.clone()).collect();
        let rows = encoder.encode(all).await.expect("encodes");
        let mut worst: f64 = 1.0;
        for (index, expected) in reference.rows.iter().enumerate() {
            let cosine = cosine(rows.row(index), &expected.vector);
            let head: String = expected.text.chars().take(40).collect();
            assert!(cosine > least, "{name}, {head:?}: cosine {cosine}");
            worst = worst.min(cosine);
        }
        println!("lowest cosine of 16 texts, {name}: {worst:.7}");
    }
}
