//! The client's cost of a call over HTTP: processor time and memory, against a server on loopback that answers
//! immediately, with 1 and with 64 calls in flight. `cargo bench -p forethought-llm-remote` prints a table.
//!
//! The server is a separate process, so that its work is not counted. Linux only, because it reads /proc.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use forethought_llm_remote::{Provider, Remote, RemoteConfig};
use forethought_mock_llm::{Options, start};
use forethought_sdk::{
    futures::{StreamExt, stream},
    prelude::*,
};
use forethought_testkit::{memory_kb, processor_ms};
use tokio::runtime::Runtime;

const CALLS: usize = 10_000;

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    if std::env::args().nth(1).as_deref() == Some("serve") {
        let options = Options { backend: Arc::new(Instant), ..Options::default() };
        let server = runtime.block_on(start(options)).expect("a server");
        println!("{}", server.url());
        // Until the client is done.
        std::io::stdin().read_to_end(&mut Vec::new()).expect("an end");
        return;
    }
    let program = std::env::current_exe().expect("this program");
    let mut serve = Command::new(program);
    let mut server =
        serve.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a server");
    let mut url = String::new();
    BufReader::new(server.stdout.take().expect("piped")).read_line(&mut url).expect("an address");
    let config = RemoteConfig {
        base_url: Some(format!("{}/v1", url.trim())),
        ..RemoteConfig::new(Provider::Vllm, "instant")
    };
    let remote = Remote::new(config).expect("a model");
    println!("{CALLS} calls with prompts of 5,000 characters");
    for in_flight in [1, 64] {
        let (processor, memory) = (processor_ms(), memory_kb("VmRSS"));
        runtime.block_on(async {
            let ask = |call: usize| {
                let question = format!("Question {call}. {}", "What now? ".repeat(500));
                remote.complete(ChatRequest::new(Purpose::Other, vec![Message::user(question)]))
            };
            let mut answers = stream::iter((0..CALLS).map(ask)).buffer_unordered(in_flight);
            while let Some(answer) = answers.next().await {
                assert_eq!(answer.expect("an answer").text(), ANSWER);
            }
        });
        let processor = (processor_ms() - processor) / CALLS as f64;
        let grown = (memory_kb("VmHWM") - memory) / 1024.0;
        println!(
            "{in_flight:>2} in flight: {processor:.3} ms of processor time per call, {grown:.1} MB at most beyond the start"
        );
    }
    drop(server.stdin.take());
    server.wait().expect("an end");
}

const ANSWER: &str = "Thought: open the result that fits best\nAction: click[b01234567]";

/// A model that answers at once.
struct Instant;

#[async_trait]
impl LlmBackend for Instant {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities::default())
    }
    async fn complete(&self, _: ChatRequest) -> Result<Completion> {
        let choice = Choice { text: ANSWER.into(), ..Choice::default() };
        Ok(Completion { choices: vec![choice], ..Completion::default() })
    }
}
