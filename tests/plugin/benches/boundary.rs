//! The cost of a call: direct, through a loaded library (on the caller's thread, or on a thread of the library's own
//! runtime), and over a pipe to a process. The last lines compare each with a direct call.
//!
//! The work itself is negligible here; a language model takes a hundred thousand times as long.

#[allow(dead_code)] // Shared with the tests.
#[path = "../tests/boundary/way.rs"]
mod way;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::future::Future;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use criterion::Criterion;
use forethought_sdk::{
    api::registry::{Pluggable, linked},
    prelude::*,
    serde_json::json,
};
use forethought_test_plugin as _;
use tokio::runtime::Runtime;
use way::{Desk, Plugin, Way, helper, runtime, test_plugin};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = helper(&arguments) {
        return code;
    }
    let mut bench = Bench {
        criterion: Criterion::default()
            .sample_size(20)
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_secs(1))
            .configure_from_args(),
        runtime: runtime(),
        best: RefCell::default(),
    };
    let loaded = bench.runtime.block_on(Way::library("library", test_plugin()).plugin());
    let piped = bench.runtime.block_on(Way::process("process", test_plugin()).plugin());
    // A message of 172 bytes, one page, a batch of vectors, a stream.
    let action = Action::new("x".repeat(172 - r#"{"action":{"text":""}}"#.len()));
    let page = Action::new("x".repeat(4096));
    let texts: Vec<String> = (0..1000).map(|row| format!("text {row}")).collect();

    for (way, plugin, kind) in [
        ("direct", None, "echo"),
        ("inline", Some(&loaded), "echo-inline"),
        ("spawned", Some(&loaded), "echo"),
        ("pipe", Some(&piped), "echo"),
    ] {
        let world: Arc<dyn Environment> = bench.component(plugin, kind);
        bench.measure("step, 172 bytes", way, || world.step(action.clone()));
        bench.measure("step, 4 KiB", way, || world.step(page.clone()));
    }
    for (way, plugin) in [("direct", None), ("spawned", Some(&loaded)), ("pipe", Some(&piped))] {
        let encoder: Arc<dyn TextEncoder> = bench.component(plugin, "axes");
        bench.measure("encode, 1000 x 384 f32", way, || encoder.encode(texts.clone()));
        let model: Arc<dyn LlmBackend> = bench.component(plugin, "count");
        bench.measure("stream, 1000 tokens", way, || stream(&model));
    }
    print!("{}", bench.ratios());
    ExitCode::SUCCESS
}

async fn stream(model: &Arc<dyn LlmBackend>) -> Result<usize> {
    let stream = model.stream(ChatRequest::default()).await?;
    let mut tokens = 0;
    loop {
        match stream.next(32).await?.len() {
            0 => return Ok(tokens),
            some => tokens += some,
        }
    }
}

struct Bench {
    criterion: Criterion,
    runtime: Runtime,
    /// Shortest mean of any sample, for each measurement and way.
    best: RefCell<Vec<(String, String, Duration)>>,
}

impl Bench {
    /// A component of a plugin, or the linked one.
    fn component<I: Pluggable + ?Sized>(&self, plugin: Option<&Plugin>, kind: &str) -> Arc<I> {
        let Some(plugin) = plugin else {
            let own = linked()
                .find(|one| one.interface == I::NAME && one.kind == kind)
                .expect("a linked component");
            let component = self.runtime.block_on((own.create)(json!({}), Arc::new(Desk::default())));
            return component.ok().and_then(I::unwrap).expect("a component");
        };
        self.runtime.block_on(plugin.make(kind, json!({})))
    }

    fn measure<T, F: Future<Output = Result<T>>>(&mut self, what: &str, way: &str, call: impl Fn() -> F) {
        let best = RefCell::new(Duration::MAX);
        let mut group = self.criterion.benchmark_group(what);
        group.bench_function(way, |bencher| {
            bencher.iter_custom(|times| {
                let took = self.runtime.block_on(async {
                    let begun = Instant::now();
                    for _ in 0..times {
                        call().await.unwrap_or_else(|error| panic!("{error}"));
                    }
                    begun.elapsed()
                });
                best.replace_with(|best| (*best).min(took.div_f64(times as f64)));
                took
            });
        });
        group.finish();
        self.best.borrow_mut().push((what.into(), way.into(), best.into_inner()));
    }

    fn ratios(&self) -> String {
        let best = self.best.borrow();
        let mut table = String::from("\nbest mean, and its ratio to a direct call:\n");
        for (what, way, took) in best.iter().filter(|(.., took)| *took < Duration::MAX) {
            let direct = best.iter().find(|(other, way, _)| other == what && way == "direct");
            let times = direct.map_or(f64::NAN, |(.., direct)| took.as_secs_f64() / direct.as_secs_f64());
            let _ = writeln!(table, "{what:24} {way:8} {:>12.2?} {times:>8.1} x", *took);
        }
        table
    }
}
