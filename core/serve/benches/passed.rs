//! What passing a request on costs: the server's own processor time per call, against a provider on loopback that answers
//! at once. `cargo bench -p forethought-serve` prints a table.
//!
//! Provider, server and client are processes of their own, so that only the server's time is counted: HTTP on both sides,
//! the session, the journal. Sessions have ten turns; prompts grow to 5,000 characters. It reads /proc, so it wants Linux.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use forethought_llm_remote::{Provider, Remote, RemoteConfig};
use forethought_mock_llm::{Options, start};
use forethought_runtime::{
    config::{Config, Sources},
    host::RuntimeHost,
    registry::Registry,
};
use forethought_sdk::{
    futures::{StreamExt, stream},
    prelude::*,
};
use forethought_testkit::processor_ms;
use tokio::runtime::Runtime;

/// A summariser that keeps what was seen, as after a client that has none.
struct Seen;

#[async_trait]
impl Summariser for Seen {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }
    async fn summarise(&self, context: DecisionContext, _: Arc<dyn Models>) -> Result<Summary> {
        Ok(Summary { state: context.turn.observation.text, outcome: String::new() })
    }
}

register! {
    interface: dyn Summariser,
    kind: "seen",
    summary: "what was seen",
    config: NoConfig,
    new: |_config: NoConfig, _host| async move { Ok(Arc::new(Seen) as _) },
}

const SESSIONS: usize = 300;
const TURNS: usize = 10;

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    match std::env::args().nth(1).as_deref() {
        Some("provider") => runtime.block_on(provide()),
        Some("server") => runtime.block_on(serve(&std::env::args().nth(2).expect("the provider"))),
        _ => {
            let mut provider = child(&["provider"]);
            let mut server = child(&["server", &provider.1]);
            println!("{SESSIONS} sessions of {TURNS} turns");
            for (streaming, in_flight) in [(false, 1), (false, 16), (true, 1), (true, 16)] {
                let before = server.processor();
                runtime.block_on(play(&server.1, streaming, in_flight));
                let per_call = (server.processor() - before) / (SESSIONS * TURNS) as f64;
                let kind = if streaming { "streams" } else { "bodies " };
                println!("{kind}, {in_flight:>2} in flight: {per_call:.3} ms of processor time per call");
            }
            server.end();
            provider.end();
        }
    }
}

/// A process, and the address that it says first.
struct Started(Child, String, BufReader<std::process::ChildStdout>);

fn child(arguments: &[&str]) -> Started {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    let mut child =
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a process");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    let mut url = String::new();
    lines.read_line(&mut url).expect("an address");
    Started(child, url.trim().into(), lines)
}

impl Started {
    /// Its processor time so far, in milliseconds.
    fn processor(&mut self) -> f64 {
        self.0.stdin.as_mut().expect("piped").write_all(b"\n").expect("a question");
        let mut line = String::new();
        self.2.read_line(&mut line).expect("an answer");
        line.trim().parse().expect("a number")
    }
    fn end(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().expect("an end");
    }
}

async fn provide() {
    let server = start(Options { backend: Arc::new(Instant), ..Options::default() }).await.expect("a server");
    println!("{}/v1", server.url());
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    ended.await.expect("a task").expect("an end");
}

async fn serve(provider: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let toml = format!(
        "[run]\nout = \"runs\"\n[serve]\naddress = \"127.0.0.1:0\"\n[llm.main]\nkind = \"remote\"\nprovider = \"vllm\"\n\
         model = \"instant\"\nbase_url = \"{provider}\"\n[summariser]\nkind = \"seen\"\n"
    );
    std::fs::write(folder.path().join("forethought.toml"), toml).expect("a file");
    let registry = Registry::linked().expect("components");
    let config = Config::load(&Sources::new(folder.path()), &registry).expect("a configuration");
    let options = forethought_serve::Options::of(&config.serve).expect("options");
    let host = RuntimeHost::new(Arc::new(config), Arc::new(registry));
    let server = forethought_serve::start(&host, options).await.expect("a server");
    println!("{}", server.url());
    let asked = tokio::task::spawn_blocking(|| {
        for _ in std::io::stdin().lines() {
            println!("{}", processor_ms());
        }
    });
    asked.await.expect("a task");
    server.stop().await.expect("a folder");
}

/// Plays all sessions through the server at `url`.
async fn play(url: &str, streaming: bool, in_flight: usize) {
    let config =
        RemoteConfig { base_url: Some(url.into()), streaming, ..RemoteConfig::new(Provider::Vllm, "record") };
    let remote = Remote::new(config).expect("a model");
    let session = |number: usize| {
        let remote = &remote;
        async move {
            let mut messages = vec![Message::system("You shop."), Message::user(format!("Task {number}"))];
            for turn in 0..TURNS {
                let request = ChatRequest::new(Purpose::Other, messages.clone());
                let answer = remote.complete(request).await.expect("an answer");
                assert_eq!(answer.text(), ANSWER);
                messages.push(Message::assistant(answer.text()));
                messages.push(Message::user(format!("Page {turn}. {}", "What now? ".repeat(45))));
            }
        }
    };
    stream::iter((0..SESSIONS).map(session)).buffer_unordered(in_flight).collect::<Vec<_>>().await;
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
