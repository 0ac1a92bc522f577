//! Ten thousand episodes at once with a model that takes 200 ms: throughput against the ideal, processor time of a call,
//! memory of an episode, in this process and over HTTP. `cargo bench -p forethought-runtime --bench episodes` prints a
//! table; `loops/compare.py` runs the agent loops of others against the same mock.
//!
//! An episode is eight calls: each asks with the whole chat so far, and gets the call of a tool whose result is a page of
//! 700 characters, or at last a text. Each case is a process of its own, and so is the server. It reads /proc, so it
//! wants Linux.

mod places;

use std::collections::BTreeMap;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::{Duration, Instant};

use forethought_runtime::{
    journal::meter::Metering,
    layers::CallConfig,
    run::folder::RunStatus,
    run::{Configured, NoopObserver, RunSpec, run},
};
use forethought_sdk::{
    api::llm::{Tool, ToolCall},
    prelude::*,
    serde_json::json,
};
use forethought_testkit::{memory_kb, processor_ms};
use tokio::runtime::Runtime;

use crate::places::HERE;

/// Calls of an episode.
const CALLS: usize = 8;
const DELAY: Duration = Duration::from_millis(200);
/// Characters of a page.
const PAGE: usize = 700;

fn main() {
    let arguments = places::arguments();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => places::serve(Walk),
        ["play", model, episodes] => play(model, episodes.parse().expect("a number")),
        _ => table(arguments.first().map_or(10_000, |number| number.parse().expect("a number"))),
    }
}

fn table(episodes: usize) {
    println!("{CALLS} calls an episode, {} ms a call", DELAY.as_millis());
    let server = places::Server::start();
    for model in [HERE, &server.url] {
        for episodes in [1, episodes / 10, episodes] {
            let place = if model == HERE { "in this process" } else { "over HTTP" };
            let used = places::case(&["play", model, &episodes.to_string()]);
            print!("{place}, {episodes} episodes: {used}");
        }
    }
}

/// Plays so many episodes at once, and prints a line.
fn play(model: &str, episodes: usize) {
    let runtime = Runtime::new().expect("a runtime");
    let backend = places::at(model, Walk);
    let calls = CallConfig { concurrency: 16_384, ..CallConfig::default() };
    let backend = calls.around(backend, "actor", &json!({}), &Metering::default()).expect("layers");
    let folder = tempfile::tempdir().expect("a folder");
    let spec = RunSpec {
        llms: BTreeMap::from([("actor".into(), Configured::new(json!({}), backend))]),
        episodes: (0..episodes as u64).map(|task| Reset { task, seed: 0 }).collect(),
        concurrency: episodes,
        ..RunSpec::new(
            folder.path().into(),
            Configured::new(json!({}), Arc::new(Shop::default()) as _),
            vec![("loop".into(), Configured::new(json!({}), Arc::new(Loop) as _))],
        )
    };
    let (processor, memory, since) = (processor_ms(), memory_kb("VmRSS"), Instant::now());
    let outcome = runtime.block_on(run(spec, Arc::new(NoopObserver))).expect("a run");
    assert_eq!(outcome.status, RunStatus::Finished);
    let (calls, seconds) = ((episodes * CALLS) as f64, since.elapsed().as_secs_f64());
    let ideal = DELAY.as_secs_f64() * CALLS as f64;
    println!(
        "{seconds:.2} s ({:.0} % of the ideal), {:.0} calls/s, {:.3} ms of processor time a call, {:.1} kB an episode at \
         most beyond the start",
        100.0 * ideal / seconds,
        calls / seconds,
        (processor_ms() - processor) / calls,
        (memory_kb("VmHWM") - memory) / episodes as f64
    );
}

/// A model that thinks for a while, calls the tool seven times, and ends.
struct Walk;

#[async_trait]
impl LlmBackend for Walk {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { model: "walk".into(), tools: true, ..LlmCapabilities::default() })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        tokio::time::sleep(DELAY).await;
        let made: usize = request.messages.iter().map(|message| message.tool_calls.len()).sum();
        let arguments = json!({ "target": format!("b{made:08}") });
        let call = ToolCall { id: format!("call_{made}"), name: TOOL.into(), arguments };
        let choice = match made + 1 < CALLS {
            true => Choice { finish: FinishReason::ToolCalls, tool_calls: vec![call], ..Choice::default() },
            false => Choice { text: "I bought it.".into(), ..Choice::default() },
        };
        let usage = Usage { input_tokens: 1200, output_tokens: 25 };
        Ok(Completion { choices: vec![choice], usage, ..Completion::default() })
    }
}

/// The usual agent loop: the chat so far, and the model's calls of tools as actions.
struct Loop;

#[async_trait]
impl Planner for Loop {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec!["actor".into()], ..Requirements::default() })
    }
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let llm = models.llm("actor".into()).await?;
        let mut messages = vec![Message::system(&context.environment.instructions)];
        let mut seen = context.history.iter().map(|exchange| &exchange.observation);
        messages.extend(seen.next().or(Some(&context.turn.observation.text)).map(Message::user));
        let results = seen.chain([&context.turn.observation.text].into_iter().filter(|_| context.step > 0));
        for (step, (exchange, result)) in context.history.iter().zip(results).enumerate() {
            let (id, arguments) = (format!("call_{step}"), json!({ "target": exchange.action }));
            let tool_calls = vec![ToolCall { id: id.clone(), name: TOOL.into(), arguments }];
            messages.push(Message { tool_calls, ..Message::assistant("") });
            messages.push(Message { tool_call_id: Some(id), ..Message::new(Role::Tool, result) });
        }
        let mut request = ChatRequest::new(Purpose::Action, messages);
        let parameters = json!({
            "type": "object", "properties": { "target": { "type": "string" } }, "required": ["target"]
        });
        request.tools = vec![Tool { name: TOOL.into(), description: "Opens a page".into(), parameters }];
        let mut answer = llm.complete(request).await?;
        let choice = answer.choices.remove(0);
        let said = match choice.tool_calls.first() {
            Some(call) => call.arguments["target"].as_str().unwrap_or_default().to_owned(),
            None => choice.text,
        };
        Ok(Decision { action: Action::new(said), ..Decision::default() })
    }
}

const TOOL: &str = "open";

/// A world of pages, which ends when something is bought.
#[derive(Default)]
struct Shop(AtomicU64);

#[async_trait]
impl Environment for Shop {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Ok(EnvironmentSpec {
            name: "shop".into(),
            version: "1".into(),
            seats: vec![SeatSpec { name: "agent".into(), ..SeatSpec::default() }],
            instructions: "Buy what fits the instruction best, for no more than it says. ".repeat(20),
            ..EnvironmentSpec::default()
        })
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(Self::default()))
    }
    async fn reset(&self, reset: Reset) -> Result<Turn> {
        self.0.store(reset.task, Ordering::Relaxed);
        let observation = Observation::text(format!("Task {}: find it.", reset.task));
        Ok(Turn { observation, ..Turn::default() })
    }
    async fn step(&self, action: Action) -> Result<Transition> {
        let task = self.0.load(Ordering::Relaxed);
        let mut page = format!("[{} of {task}] A thing of use, $ 9.99. ", action.text).repeat(30);
        page.truncate(PAGE);
        Ok(Transition {
            turn: Turn { observation: Observation::text(page), ..Turn::default() },
            rewards: vec![0.0],
            terminated: action.text.contains("bought"),
            ..Transition::default()
        })
    }
}
