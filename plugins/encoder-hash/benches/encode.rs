//! Texts per second on one core: `cargo bench -p forethought-encoder-hash`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use forethought_encoder_hash::{HashConfig, HashEncoder};
use forethought_sdk::{futures::FutureExt, prelude::TextEncoder};

/// Outcomes of one sentence, as a critic asks about them, and summaries of a few.
fn texts(sentences: usize) -> Vec<String> {
    (0..256)
        .map(|n| {
            (0..sentences)
                .map(|s| format!("Option size {} is chosen, item {s} at {}.99 dollars is bought. ", n % 7, n))
                .collect()
        })
        .collect()
}

fn encode(criterion: &mut Criterion) {
    let encoder = HashEncoder::new(HashConfig::default()).expect("the default config is valid");
    let mut group = criterion.benchmark_group("hash");
    for (name, sentences) in [("sentence", 1), ("summary of 6 sentences", 6)] {
        let texts = texts(sentences);
        group.throughput(Throughput::Elements(texts.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || texts.clone(),
                |texts| {
                    black_box(encoder.encode(texts).now_or_never().expect("never waits").expect("encodes"))
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
