//! Training steps per second: each step draws a batch, updates both Qs and V, and averages the targets.
//!
//! 8,000 transitions, embeddings of 256 numbers, batches of 256 rows, one thread. An element is one step.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use forethought_critic_goal_q::TrainerConfig;
use forethought_critic_goal_q::measure::Training;

fn train(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("goal-q train step");
    group.sample_size(10);
    for hidden in [64, 128, 256] {
        for goals in [1, 4] {
            let config = TrainerConfig {
                hidden: vec![hidden, hidden],
                goals_per_transition: goals,
                ..TrainerConfig::default()
            };
            let mut training = Training::new(config, 8000, 256).expect("the benchmark's data are valid");
            group.throughput(Throughput::Elements(20));
            group.bench_function(
                BenchmarkId::new(format!("{goals} goals per transition"), hidden),
                |bencher| {
                    bencher.iter(|| training.steps(20).expect("a step"));
                },
            );
        }
    }
    group.finish();
}

criterion_group!(benches, train);
criterion_main!(benches);
