//! What a call costs on this side: processor time and memory, against a model that answers at once, with 1 and with 64
//! episodes in flight, journaled and not, in this process and over HTTP. `cargo bench -p forethought-runtime --bench
//! calls` prints a table.
//!
//! Each case is a process of its own, so that none inherits another's memory; the server is one more. It reads /proc, so
//! it wants Linux.

mod places;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use forethought_runtime::{
    budget::Limits,
    journal::effects::{Deps, Llm, Unrecorded},
    journal::meter::Metering,
    layers::CallConfig,
    run::episode::{EpisodeSpec, Seat, run_episode},
    run::folder::RunStatus,
    run::{Configured, NoopObserver, RunSpec, run},
};
use forethought_sdk::{prelude::*, serde_json::json};
use forethought_testkit::{memory_kb, processor_ms};
use tokio::task::JoinSet;

use crate::places::HERE;

const EPISODES: u64 = 512;
const STEPS: u32 = 8;
const CALLS: u32 = 5;
/// Characters that a step adds to the history; prompts grow to eight times that.
const PAGE: usize = 700;

fn main() {
    let arguments = places::arguments();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => places::serve(Instant),
        [journal, model, in_flight] => case(*journal == "on", model, in_flight.parse().expect("a number")),
        _ => table(),
    }
}

fn table() {
    println!(
        "{EPISODES} episodes of {STEPS} decisions of {CALLS} calls; prompts of 2,000 to 7,000 characters"
    );
    let server = places::Server::start();
    for (journal, model) in [("off", HERE), ("on", HERE), ("off", &server.url), ("on", &server.url)] {
        for in_flight in ["1", "64"] {
            let place = if model == HERE { "in this process" } else { "over HTTP      " };
            let used = places::case(&[journal, model, in_flight]);
            print!("{place}, journal {journal:3}, {in_flight:>2} in flight: {used}");
        }
    }
}

/// Runs one case, with a model in this process or at an address, and prints a line of it.
fn case(journal: bool, model: &str, in_flight: usize) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let backend = places::at(model, Instant);
    let backend =
        CallConfig::default().around(backend, "actor", &json!({}), &Metering::default()).expect("layers");
    let (processor, memory) = (processor_ms(), memory_kb("VmRSS"));
    runtime.block_on(async {
        match journal {
            true => journaled(folder.path(), backend, in_flight).await,
            false => unrecorded(backend, in_flight).await,
        }
    });
    let calls = (EPISODES * u64::from(STEPS * CALLS)) as f64;
    let processor = (processor_ms() - processor) / calls;
    let grown = (memory_kb("VmHWM") - memory) / 1024.0;
    println!("{processor:.3} ms of processor time a call, {grown:.1} MB at most beyond the start");
}

async fn journaled(root: &Path, backend: Arc<dyn LlmBackend>, in_flight: usize) {
    let spec = RunSpec {
        llms: BTreeMap::from([("actor".into(), Configured::new(json!({}), backend))]),
        episodes: (0..EPISODES).map(|task| Reset { task, seed: 0 }).collect(),
        concurrency: in_flight,
        ..RunSpec::new(
            root.into(),
            Configured::new(json!({}), Arc::new(Corridor::default()) as _),
            vec![("asks".into(), Configured::new(json!({}), Arc::new(Asks) as _))],
        )
    };
    let outcome = run(spec, Arc::new(NoopObserver)).await.expect("a run");
    assert_eq!(outcome.status, RunStatus::Finished);
}

async fn unrecorded(backend: Arc<dyn LlmBackend>, in_flight: usize) {
    let capabilities = backend.capabilities().await.expect("capabilities");
    let llms = Arc::new(BTreeMap::from([("actor".to_owned(), Llm { backend, capabilities })]));
    let environment = Corridor::default().spec().await.expect("a specification");
    let mut running = JoinSet::new();
    let end = |ended: Option<Result<_, _>>| {
        let done: Result<forethought_runtime::run::episode::EpisodeResult> =
            ended.expect("an episode").expect("a task");
        assert!(done.expect("an end").summary.error.is_none());
    };
    for task in 0..EPISODES {
        let deps = Deps {
            environment: Arc::new(Corridor::default()),
            llms: llms.clone(),
            critics: Arc::default(),
            summariser: None,
        };
        let spec = EpisodeSpec {
            id: task.to_string(),
            environment: environment.clone(),
            reset: Reset { task, seed: 0 },
            seats: vec![Seat { name: "asks".into(), planner: Arc::new(Asks) }],
            subject: 0,
            summariser: None,
            limits: Limits::default(),
            per_decision: Arc::default(),
            progress: None,
            decided: None,
        };
        if running.len() == in_flight {
            end(running.join_next().await);
        }
        running.spawn(run_episode(Arc::new(Unrecorded(deps)), spec));
    }
    while !running.is_empty() {
        end(running.join_next().await);
    }
}

/// A model that answers at once, with as much around its words as a provider writes.
struct Instant;

#[async_trait]
impl LlmBackend for Instant {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { model: "instant".into(), ..LlmCapabilities::default() })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let seed = request.seed.unwrap_or_default();
        let text = format!("Thought: open the result that fits best, number {seed}\nAction: click[b0{seed}]");
        let raw = json!({
            "id": format!("chatcmpl-{seed}"), "object": "chat.completion", "created": 1_741_569_952, "model": "instant",
            "choices": [{
                "index": 0, "message": { "role": "assistant", "content": text, "refusal": null, "annotations": [] },
                "logprobs": null, "finish_reason": "stop"
            }],
            "usage": { "prompt_tokens": 1200, "completion_tokens": 25, "total_tokens": 1225 }, "service_tier": "default"
        });
        let usage = Usage { input_tokens: 1200, output_tokens: 25 };
        Ok(Completion { choices: vec![Choice { text, ..Choice::default() }], usage, raw })
    }
}

/// A planner that asks with the whole history and does nothing else.
struct Asks;

#[async_trait]
impl Planner for Asks {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec!["actor".into()], ..Requirements::default() })
    }
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let llm = models.llm("actor".into()).await?;
        let seen = context.history.iter().map(|exchange| exchange.observation.as_str());
        let seen: String = seen.chain([context.turn.observation.text.as_str()]).collect();
        let mut decision = Decision::default();
        for call in 0..CALLS {
            let messages = vec![
                Message::system(&context.environment.instructions),
                Message::user(format!("{seen}\nQuestion {call}: what now?")),
            ];
            let seed = Some(seed::derive(context.seed, &call.to_string()));
            let request = ChatRequest { seed, ..ChatRequest::new(Purpose::Action, messages) };
            decision.action = Action::new(llm.complete(request).await?.text());
        }
        Ok(decision)
    }
}

/// A world of pages, no two of them alike.
#[derive(Default)]
struct Corridor(AtomicU32);

impl Corridor {
    fn turn(step: u32, seed: u64) -> Turn {
        let line = |index| {
            format!(
                "[B{:08X}] A thing of use, $ {}.99. ",
                seed::derive(seed, &format!("{step} {index}")) as u32,
                index + 5
            )
        };
        let mut page: String = (0..PAGE / 30).map(line).collect();
        page.truncate(PAGE);
        Turn { observation: Observation::text(page), ..Turn::default() }
    }
}

#[async_trait]
impl Environment for Corridor {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        let instructions = "Buy what fits the instruction best, for no more than it says. ".repeat(20);
        let seats = vec![SeatSpec { name: "agent".into(), ..SeatSpec::default() }];
        Ok(EnvironmentSpec {
            name: "corridor".into(),
            version: "1".into(),
            seats,
            instructions,
            ..EnvironmentSpec::default()
        })
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self::default()))
    }
    async fn reset(&self, reset: Reset) -> Result<Turn> {
        Ok(Self::turn(0, reset.task))
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        let step = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        let seed = seed::derive(u64::from(step), &action.text);
        Ok(Transition {
            turn: Self::turn(step, seed),
            rewards: vec![0.0],
            terminated: step == STEPS,
            ..Transition::default()
        })
    }
}
