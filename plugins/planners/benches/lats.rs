//! What a search costs besides its models: LATS at 1,000 nodes with a model that answers at once. `cargo bench -p
//! forethought-planners` prints microseconds per decision and bytes per node; it reads /proc, so it wants Linux.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use forethought_planners::lats::Lats;
use forethought_sdk::{
    prelude::*,
    serde_json::{from_value, json},
};
use forethought_testkit::memory_kb;
use futures::executor::block_on;

/// Actions per expansion.
const BREADTH: usize = 5;
/// Characters of an observation.
const PAGE: usize = 300;

/// Endless ways, no two of them alike.
#[derive(Clone, Copy)]
struct Ways(u64);

#[async_trait]
impl Environment for Ways {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Ok(EnvironmentSpec {
            name: "ways".into(),
            instructions: "Find the way home. Name where to go.".repeat(10),
            seats: vec![SeatSpec { name: "agent".into(), ..SeatSpec::default() }],
            fork: true,
            ..EnvironmentSpec::default()
        })
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(*self))
    }
    async fn reset(&self, _: Reset) -> Result<Turn> {
        let mut text = format!("You are at crossing {:016x}. ", self.0).repeat(PAGE / 30);
        text.truncate(PAGE);
        Ok(Turn { observation: Observation::text(text), ..Turn::default() })
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        let turn = Self(seed::derive(self.0, &action.text)).reset(Reset::default()).await?;
        Ok(Transition { turn, rewards: vec![0.0], ..Transition::default() })
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(Some(Arc::new(*self)))
    }
}

/// A model that answers at once.
struct Instant;

#[async_trait]
impl LlmBackend for Instant {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let seed = request.seed.unwrap_or_default();
        let text = match request.purpose {
            Purpose::Judge => format!("Grade: {}", 1 + seed % 10),
            _ => format!("Thought: it may lead home\nAction: go to {seed:016x}"),
        };
        Ok(Completion { choices: vec![Choice { text, ..Choice::default() }], ..Completion::default() })
    }
}

struct Offered;

#[async_trait]
impl Models for Offered {
    async fn llm(&self, _: String) -> Result<Arc<dyn LlmBackend>> {
        Ok(Arc::new(Instant))
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ways(0).fork().await
    }
}

struct Nobody;

impl Host for Nobody {}

/// One decision with this many nodes.
fn decide(nodes: usize) -> Decision {
    block_on(async {
        let config = json!({
            "llm": "actor", "iterations": nodes / BREADTH, "breadth": BREADTH, "rollout": 0, "depth": 1000,
        });
        let host: Arc<dyn Host> = Arc::new(Nobody);
        let lats = Lats::new(from_value(config)?, &host).await?;
        let world = Ways(0);
        let (environment, turn) = (world.spec().await?, world.reset(Reset::default()).await?);
        let context = DecisionContext { environment, turn, seed: 7, ..DecisionContext::default() };
        lats.decide(context, Arc::new(Offered)).await
    })
    .expect("a decision")
}

fn search(criterion: &mut Criterion) {
    let before = memory_kb("VmHWM");
    let decision = decide(50_000);
    let bytes = (memory_kb("VmHWM") - before) * 1024.0 / 50_000.0;
    println!("{bytes:.0} bytes per node, observations of {PAGE} characters included");
    assert_eq!(decision.trace.details["nodes"], 50_001);
    criterion.bench_function("lats/1000 nodes", |bencher| bencher.iter(|| black_box(decide(1000))));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = search
}
criterion_main!(benches);
