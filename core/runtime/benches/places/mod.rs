//! Where the model of a benchmark is: in this process, or in one of its own behind HTTP. Each case is another process,
//! so that none inherits another's memory.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use forethought_llm_remote::{Provider, Remote, RemoteConfig};
use forethought_mock_llm::{Options, start};
use forethought_sdk::prelude::*;
use tokio::runtime::Runtime;

/// The model's place if it is in the process of the case.
pub(crate) const HERE: &str = "here";

/// This program's arguments, without cargo's.
pub(crate) fn arguments() -> Vec<String> {
    std::env::args().skip(1).filter(|argument| argument != "--bench").collect()
}

fn this_program() -> Command {
    Command::new(std::env::current_exe().expect("this program"))
}

/// Another process of this program, which serves its model: `[PROGRAM] serve`.
pub(crate) struct Server {
    process: Child,
    /// The model's place.
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        let mut serve = this_program();
        let serve = serve.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = serve.spawn().expect("a server");
        let mut url = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut url).expect("an address");
        Self { process, url: url.trim().into() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().expect("an end");
    }
}

/// Serves `model` until the client is done.
pub(crate) fn serve(model: impl LlmBackend + 'static) {
    let runtime = Runtime::new().expect("a runtime");
    let options = Options { backend: Arc::new(model), ..Options::default() };
    let server = runtime.block_on(start(options)).expect("a server");
    println!("{}", server.url());
    std::io::stdin().read_to_end(&mut Vec::new()).expect("an end");
}

/// `model`, or what is served at `place`.
pub(crate) fn at(place: &str, model: impl LlmBackend + 'static) -> Arc<dyn LlmBackend> {
    if place == HERE {
        return Arc::new(model);
    }
    let base_url = Some(format!("{place}/v1"));
    let config = RemoteConfig { base_url, ..RemoteConfig::new(Provider::Vllm, "model") };
    Arc::new(Remote::new(config).expect("a model"))
}

/// What a case prints: this program with these arguments.
pub(crate) fn case(arguments: &[&str]) -> String {
    let output = this_program().args(arguments).output().expect("a process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}
