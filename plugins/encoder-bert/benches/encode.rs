//! Texts per second, and what is new in a decision: `cargo bench -p forethought-encoder-bert`.
//!
//! Needs all-MiniLM-L6-v2 at `FORETHOUGHT_MINILM` or where `.ci/minilm` puts it.

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forethought_encoder_bert::{BertConfig, BertEncoder, Precision};
use forethought_sdk::seed::{self, RngExt};

/// Texts of 5 to 120 words, as goals, thoughts and summaries come mixed.
fn texts() -> Vec<String> {
    let mut random = seed::stream(0, "bench/texts");
    (0..64)
        .map(|_| {
            let words =
                if random.random() { random.random_range(5..15) } else { random.random_range(30..120) };
            (0..words).map(|word| ["size ", "blue ", "chosen ", "not ", "shirt "][word % 5]).collect()
        })
        .collect()
}

fn encode(criterion: &mut Criterion) {
    let folder = std::env::var_os("FORETHOUGHT_MINILM").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/minilm")),
        PathBuf::from,
    );
    if !folder.join("model.safetensors").exists() {
        println!("minilm: skipped, no weights in {}; `bash .ci/minilm` puts them there", folder.display());
        return;
    }
    let config = BertConfig { device: "cpu".into(), ..Default::default() };
    let rounding = BertConfig { precision: Precision::Bf16, ..config.clone() };
    let encoders = [
        ("candle", BertEncoder::load_on_candle(&folder, &config).ok()),
        ("f32", BertEncoder::load(&folder, &config).ok()),
        // Not where the processor has none.
        ("bf16", BertEncoder::load(&folder, &rounding).ok()),
    ];
    let texts = texts();
    let mut group = criterion.benchmark_group("minilm, 64 texts");
    group.sample_size(10).throughput(Throughput::Elements(texts.len() as u64));
    for (name, encoder) in &encoders {
        let Some(encoder) = encoder else { continue };
        group.bench_function(*name, |bencher| {
            bencher.iter(|| black_box(encoder.encode_blocking(texts.clone(), true).expect("encodes")));
        });
    }
    group.finish();
    // The state was encoded when it was summarised; a thought and four outcomes are new.
    let decision = [
        "The shirt is blue but the size is not chosen yet, so I should choose large and check that the price stays below \
         forty dollars before I buy it.",
        "the right size is chosen",
        "the price is above the limit",
        "the bought item has every attribute asked for",
        "a wrong colour is bought",
    ];
    let mut group = criterion.benchmark_group("minilm, a thought and four outcomes");
    for (name, encoder) in &encoders {
        let Some(encoder) = encoder else { continue };
        group.bench_function(*name, |bencher| {
            let decision = || decision.map(str::to_owned).to_vec();
            bencher.iter(|| black_box(encoder.encode_blocking(decision(), true).expect("encodes")));
        });
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
