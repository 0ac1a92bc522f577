//! How fast the shop is: search in a thousand and in a million products, and random walks.
//!
//! `cargo bench -p forethought-webshop`; the first lines also give the cost of building the large index.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use forethought_sdk::prelude::*;
use forethought_sdk::seed::{IndexedRandom, stream};
use forethought_testkit::{block_on, memory_kb};
use forethought_webshop::environment::{WebShop, WebShopConfig};
use forethought_webshop::generated::GeneratedCatalogue;
use forethought_webshop::product::{Catalogue, GoalOptions};
use forethought_webshop::search::Index;

/// Actions of one random walk.
const WALK: usize = 1000;

/// What agents type: goods with attributes, the same with options, and whole instructions.
fn queries(shop: &GeneratedCatalogue, kind: &str) -> Vec<String> {
    let words = |number| {
        let goal = shop.goal(number);
        let mut words = vec![goal.attributes.join(" "), goal.query.clone()];
        match (kind, &goal.options) {
            ("attributes", _) => {}
            ("options", GoalOptions::Pairs(pairs)) => {
                words.extend(pairs.iter().map(|(_, value)| value.clone()))
            }
            _ => words = vec![goal.instruction.clone()],
        }
        words.join(" ")
    };
    (0..300).map(words).collect()
}

fn search(criterion: &mut Criterion) {
    for products in [1000, 1_000_000] {
        let shop = GeneratedCatalogue::new(products, 0);
        let started = Instant::now();
        let index = Index::build(&shop);
        println!(
            "{products} products: index built in {:.2?}, peak memory {:.0} MiB",
            started.elapsed(),
            memory_kb("VmHWM") / 1024.0
        );
        for kind in ["attributes", "options", "instruction"] {
            let queries = queries(&shop, kind);
            let mut times: Vec<Duration> =
                queries.iter().map(|query| timed(|| index.search(query, 50))).collect();
            times.sort_unstable();
            let [median, most] = [times.len() / 2, times.len() - 1].map(|at| times[at]);
            println!("{products} products, {kind}: median {median:.2?}, slowest {most:.2?}");
            let mut next = queries.iter().cycle();
            criterion.bench_function(&format!("search/{kind}/{products}"), |bencher| {
                bencher.iter_batched(
                    || next.next().expect("endless"),
                    |query| index.search(query, 50),
                    BatchSize::SmallInput,
                );
            });
        }
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let started = Instant::now();
    black_box(work());
    started.elapsed()
}

fn walk(criterion: &mut Criterion) {
    let shop = GeneratedCatalogue::default();
    let world = WebShop::new(WebShopConfig { max_steps: 0, ..WebShopConfig::default() })
        .expect("the default shop opens");
    criterion.bench_function(&format!("random walk/{WALK} steps"), |bencher| {
        bencher.iter(|| {
            let mut random = stream(0, "walk");
            let mut task = 0;
            let mut turn = None;
            for _ in 0..WALK {
                let now = turn.take().unwrap_or_else(|| {
                    task += 1;
                    block_on(world.reset(Reset { task, seed: 0 })).expect("no error")
                });
                let action = match now.legal_actions.choose(&mut random) {
                    Some(action) => action.clone(),
                    None => format!("search[{}]", shop.goal(task).query),
                };
                let transition = block_on(world.step(Action::new(action))).expect("no error");
                turn = (!transition.terminated && !transition.truncated).then_some(transition.turn);
            }
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(4));
    targets = search, walk
}
criterion_main!(benches);
