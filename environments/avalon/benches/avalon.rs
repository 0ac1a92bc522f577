//! How fast naive bots play, next to AvalonBench's own figures, how fast the table of text is, and a game's memory.
//!
//! `cargo bench -p forethought-avalon`; the first lines give games per second and memory.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forethought_avalon::environment::{Avalon, AvalonConfig};
use forethought_avalon::naive::planner::Assassin;
use forethought_avalon::naive::play::Bots;
use forethought_avalon::role::Role;
use forethought_avalon::rules::{FifthRejection, Rules};
use forethought_avalon::table::{Setup, Table};
use forethought_sdk::prelude::*;
use forethought_sdk::seed::{IndexedRandom, RngExt, SliceRandom, stream};
use forethought_testkit::{block_on, memory_kb, processor_ms};

/// Naive games per second of AvalonBench's engine and bots, by number of players (one core; 5 players: the better one).
const UPSTREAM: [(usize, f64); 6] = [(5, 1770.0), (6, 648.0), (7, 286.0), (8, 68.0), (9, 17.0), (10, 4.7)];

fn rules(players: usize) -> (Rules, Vec<Role>) {
    let rules = Rules::new(players, FifthRejection::Passes).expect("a number of players");
    let mut roles = vec![Role::Merlin, Role::Assassin];
    roles.resize(rules.evil() + 1, Role::Minion);
    roles.resize(players, Role::Servant);
    (rules, roles)
}

fn naive(criterion: &mut Criterion) {
    for (players, upstream) in UPSTREAM {
        let (rules, roles) = rules(players);
        let mut random = stream(0, "bench");
        let mut play = || Bots::dealt(rules, &roles, Assassin::Uniform, &mut random).play(&mut random);
        play();
        let (start, begun, mut games) = (Instant::now(), processor_ms(), 0_u32);
        while start.elapsed() < Duration::from_secs(4) {
            black_box(play());
            games += 1;
        }
        // Upstream's figures are per second of processor time; a busy machine's wall clock shows more.
        let speed = f64::from(games) / ((processor_ms() - begun) / 1000.0);
        let times = speed / upstream;
        println!(
            "{players} players: {speed:.0} naive games per processor second, {times:.0} times AvalonBench's {upstream}"
        );
        let mut group = criterion.benchmark_group("naive games");
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{players} players"), |bencher| bencher.iter(&mut play));
    }
}

/// 10,000 games at once, each played to its middle: of bots, and at tables of text.
fn memory(_: &mut Criterion) {
    for players in [5, 10] {
        let (rules, roles) = rules(players);
        let mut random = stream(0, "memory");
        let before = memory_kb("VmRSS");
        let bots: Vec<Bots> = (0..10_000)
            .map(|_| {
                let mut bots = Bots::dealt(rules, &roles, Assassin::Uniform, &mut random);
                for _ in 0..8 {
                    bots.advance(&mut random);
                }
                bots
            })
            .collect();
        let between = memory_kb("VmRSS");
        let setup = Arc::new(Setup::new(roles, FifthRejection::Passes, true).expect("a setup"));
        let tables: Vec<Table> = (0..10_000)
            .map(|_| {
                let mut deal = setup.roles().to_vec();
                deal.shuffle(&mut random);
                let mut table = Table::new(setup.clone(), &deal, 0).expect("a table");
                for _ in 0..8 * (2 * players + 1) {
                    match table.legal_moves().choose(&mut random) {
                        Some(made) => table.act(made).expect("a legal move"),
                        None => {
                            table.answer(&format!("say I trust Player {}", random.random_range(0..players)));
                        }
                    }
                }
                table
            })
            .collect();
        let after = memory_kb("VmRSS");
        println!(
            "10,000 games of {players} at once: {:.0} MiB of bots, {:.0} MiB of tables with talk",
            (between - before) / 1024.0,
            (after - between) / 1024.0
        );
        black_box((bots, tables));
    }
}

fn table(criterion: &mut Criterion) {
    let world = Avalon::new(AvalonConfig::default()).expect("a table");
    let mut group = criterion.benchmark_group("table of text");
    let mut random = stream(0, "walk");
    let mut turn = block_on(world.reset(Reset::default())).expect("no error");
    let mut episode = 0;
    group.throughput(Throughput::Elements(1));
    group.bench_function("random step", |bencher| {
        bencher.iter(|| {
            let action = turn.legal_actions.choose(&mut random).expect("a legal action").clone();
            let transition = block_on(world.step(Action::new(action))).expect("no error");
            turn = transition.turn;
            if transition.terminated {
                episode += 1;
                turn = block_on(world.reset(Reset { task: episode, seed: 0 })).expect("no error");
            }
        });
    });
    group.bench_function("fork", |bencher| bencher.iter(|| block_on(world.fork())));
    let mut seed = 0;
    group.bench_function("imagine", |bencher| {
        bencher.iter(|| {
            seed += 1;
            block_on(world.imagine(Imagine { seat: turn.seat, seed, ..Imagine::default() }))
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = memory, naive, table
}
criterion_main!(benches);
