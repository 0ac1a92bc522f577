//! Texts per second, batched in order of arrival and by length: `cargo bench -p forethought-encoder-bert`.
//!
//! Needs all-MiniLM-L6-v2 at `FORETHOUGHT_MINILM` or where `.ci/minilm` puts it.

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forethought_encoder_bert::{BertConfig, BertEncoder};
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
    let encoder =
        BertEncoder::load(&folder, &config).expect("FORETHOUGHT_MINILM is all-MiniLM-L6-v2's folder");
    let texts = texts();
    let mut group = criterion.benchmark_group("minilm");
    group.sample_size(10).throughput(Throughput::Elements(texts.len() as u64));
    for (name, by_length) in [("arrival order", false), ("by length", true)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(encoder.encode_blocking(texts.clone(), by_length).expect("encodes")));
        });
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
