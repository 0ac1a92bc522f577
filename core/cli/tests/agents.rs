//! Agents of other people's frameworks, unchanged but for the base URL and the name of the model, over the real program
//! and a scripted model behind a provider. Their sources are in tests/agents; `bash .ci/agents` installs the frameworks.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use forethought_api::{
    Result,
    llm::{
        ChatRequest, Choice, Completion, FinishReason, LlmBackend, LlmCapabilities, Role, ToolCall, Usage,
    },
};
use forethought_mock_llm::Options;
use forethought_testkit::Suite;
use forethought_tests::{Desk, workspace};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// A model that opens the door in three steps, each a call of a tool, and then says what is behind it. It sees how far it
/// is by what was done: in an agent's own chat, or in a planner's prompt.
struct Porter;

const STEPS: [(&str, &str); 3] = [
    ("look", r#"{"place":"hall"}"#),
    ("take", r#"{"item":"small \"key\"","count":1}"#),
    ("open_door", r#"{"key":"small"}"#),
];

const ANSWER: &str = "Behind it is a room, \"Größe 大\".";

#[async_trait]
impl LlmBackend for Porter {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { model: "porter".into(), tools: true, ..LlmCapabilities::default() })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let chat = request.messages.iter().filter(|message| message.role == Role::Tool).count();
        let prompt =
            |message: &str| STEPS.iter().filter(|(name, _)| message.contains(&format!("{name}({{"))).count();
        let planned = request.messages.iter().map(|message| prompt(&message.content)).max().unwrap_or(0);
        let choice = match STEPS.get(chat.max(planned)) {
            Some((name, arguments)) => Choice {
                text: format!("Thought: next I use {name}."),
                finish: FinishReason::ToolCalls,
                tool_calls: vec![ToolCall {
                    id: format!("call-{name}"),
                    name: (*name).into(),
                    arguments: serde_json::from_str(arguments)?,
                }],
                ..Choice::default()
            },
            None => Choice { text: ANSWER.into(), ..Choice::default() },
        };
        let usage = Usage { input_tokens: 10, output_tokens: 5 };
        Ok(Completion { choices: vec![choice], usage, ..Completion::default() })
    }
}

/// A program that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs one agent with one model, over the program's server.
fn an_agent_opens_the_door(python: &PathBuf, agent: &str, model: &str) {
    let options = Options { backend: Arc::new(Porter), ..Options::default() };
    let provider = RUNTIME.block_on(forethought_mock_llm::start(options)).expect("a provider");
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    let base = format!("{}/v1", provider.url());
    desk.write(
        "forethought.toml",
        &format!(
            "[llm.main]\nkind = \"remote\"\nprovider = \"openai-compatible\"\nbase_url = \"{base}\"\nmodel = \"porter\"\n\
             [planner.react]\nkind = \"react\"\nllm = \"main\"\n"
        ),
    );
    let mut command = desk.spawn("serve forethought.toml --address 127.0.0.1:0 --json");
    let mut served = Ended(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(served.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let (script, how) = agent.split_once(' ').unwrap_or((agent, ""));
    let ran = Command::new(python)
        .arg(workspace().join("tests/agents").join(script))
        .arg(model)
        .args(how.split_whitespace())
        .env("OPENAI_BASE_URL", said["url"].as_str().unwrap())
        .env("OPENAI_API_KEY", "none")
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| {
        panic!("{agent} with {model}: {error}: {}", String::from_utf8_lossy(&ran.stderr))
    });
    let calls: Vec<_> = STEPS
        .iter()
        .map(|(name, arguments)| json!([name, serde_json::from_str::<Value>(arguments).unwrap()]))
        .collect();
    assert_eq!(report, json!({ "calls": calls, "answer": ANSWER }), "{agent} with {model}");
}

fn main() -> ExitCode {
    let python = workspace().join("target/agents/bin/python");
    let missing = (!python.is_file())
        .then(|| "other agents' packages are missing; `bash .ci/agents` installs them".to_owned());
    let mut suite = Suite::default();
    for agent in [
        "with_openai.py",
        "with_openai.py stream",
        "with_openai_agents.py",
        "with_openai_agents.py chat",
        "with_openai_agents.py previous",
        "with_pydantic_ai.py",
    ] {
        for model in ["record", "react"] {
            let python = python.clone();
            suite = suite.unless(missing.clone(), &format!("{agent} with {model}"), move || {
                an_agent_opens_the_door(&python, agent, model)
            });
        }
    }
    suite.run()
}
