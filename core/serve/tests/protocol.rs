//! The protocol, as clients see it: raw HTTP on loopback, a model that does what the messages say, no provider.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use forethought_api::{error::Code, llm::ToolCall, tools, trajectory::Trajectory};
use forethought_runtime::{
    config::{Config, Sources},
    host::RuntimeHost,
    registry::Registry,
    run::{self, episode::EpisodeStatus, folder},
};
use forethought_sdk::prelude::*;
use forethought_serve::{LiveOutcome, Options, Server};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// A model that obeys its last message: `call NAME {ARGUMENTS}` (several on a line each), `wait`, `fail`, or words to
/// repeat.
#[config]
#[derive(Default)]
#[serde(default)]
struct ObedientConfig {
    /// Whether it has tool calls.
    tools: bool,
    /// Its price is not known.
    paid: bool,
}

struct Obedient(ObedientConfig);

/// Calls that wait, and those that were given up.
static WAITING: AtomicU32 = AtomicU32::new(0);
static GIVEN_UP: AtomicU32 = AtomicU32::new(0);
static RELEASE: LazyLock<Notify> = LazyLock::new(Notify::new);

struct GivenUp(bool);

impl Drop for GivenUp {
    fn drop(&mut self) {
        if self.0 {
            GIVEN_UP.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl LlmBackend for Obedient {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        let ObedientConfig { tools, paid } = self.0;
        Ok(LlmCapabilities { model: "obedient".into(), tools, free: !paid, ..LlmCapabilities::default() })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let text = request.messages.last().map(|message| message.content.clone()).unwrap_or_default();
        let mut choice = Choice::default();
        for line in text.lines() {
            if let Some((name, arguments)) = line.strip_prefix("call ").and_then(|call| call.split_once(' '))
            {
                let arguments = serde_json::from_str(arguments)?;
                choice.tool_calls.push(ToolCall { name: name.into(), arguments, ..ToolCall::default() });
            }
        }
        match text.as_str() {
            "wait" => {
                let mut given_up = GivenUp(true);
                WAITING.fetch_add(1, Ordering::SeqCst);
                RELEASE.notified().await;
                given_up.0 = false;
                choice.text = "waited".into();
            }
            "fail" => return Err(Error::new(Code::Provider, "the provider is ill")),
            _ if choice.tool_calls.is_empty() => choice.text = text,
            _ => choice.text = "I call.".into(),
        }
        let usage = Usage { input_tokens: request.messages.len() as u64, output_tokens: 1 };
        Ok(Completion { choices: vec![choice], usage, ..Completion::default() })
    }
}

register! {
    interface: dyn LlmBackend,
    kind: "obedient",
    summary: "does what the last message says",
    config: ObedientConfig,
    new: |config: ObedientConfig, _host| async move { Ok(Arc::new(Obedient(config)) as _) },
}

/// A planner that asks twice and does what the observation says.
#[config]
struct TwiceConfig {}

struct Twice;

#[async_trait]
impl Planner for Twice {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec!["main".into()], ..Requirements::default() })
    }
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let llm = models.llm("main".into()).await?;
        let seen = context.turn.observation.text;
        let ask = |text: String| ChatRequest::new(Purpose::Action, vec![Message::user(text)]);
        llm.complete(ask("think".into())).await?;
        let answer = llm.complete(ask(seen.clone())).await?.choices.remove(0);
        let action = match (seen.as_str(), answer.tool_calls.is_empty()) {
            ("history", _) => {
                let past = context.history.iter().map(|one| format!("{} > {}", one.observation, one.action));
                Action::new(past.collect::<Vec<_>>().join(" | "))
            }
            ("rules", _) => Action::new(context.environment.instructions),
            // Of several messages the last.
            (_, true) => Action::new(answer.text.rsplit("\n\n").next().unwrap_or_default()),
            // In words, as a planner writes that knows nothing of tools.
            (_, false) => Action::new(tools::write(&answer.tool_calls)),
        };
        Ok(Decision { thought: "twice".into(), action, ..Decision::default() })
    }
}

register! {
    interface: dyn Planner,
    kind: "twice",
    summary: "asks twice",
    config: TwiceConfig,
    new: |_: TwiceConfig, _host| async move { Ok(Arc::new(Twice) as _) },
}

/// A summariser that keeps what was seen.
#[config]
struct SeenConfig {}

struct Seen;

#[async_trait]
impl Summariser for Seen {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }
    async fn summarise(&self, context: DecisionContext, _: Arc<dyn Models>) -> Result<Summary> {
        Ok(Summary { state: context.turn.observation.text, ..Summary::default() })
    }
}

register! {
    interface: dyn Summariser,
    kind: "seen",
    summary: "keeps what was seen",
    config: SeenConfig,
    new: |_: SeenConfig, _host| async move { Ok(Arc::new(Seen) as _) },
}

const MODELS: &str = "[llm.main]\nkind = \"obedient\"\ntools = true\n[llm.plain]\nkind = \"obedient\"\n\
                      [planner.twice]\nkind = \"twice\"\n[summariser]\nkind = \"seen\"\n";

/// A server in a folder of its own.
struct Desk {
    server: Server,
    address: String,
    folder: tempfile::TempDir,
}

async fn started(more: &str, token: Option<&str>) -> Result<Desk> {
    let folder = tempfile::tempdir()?;
    let address = if more.contains("address") { "" } else { "[serve]\naddress = \"127.0.0.1:0\"\n" };
    std::fs::write(folder.path().join("forethought.toml"), format!("{MODELS}{address}{more}"))?;
    let registry = Arc::new(Registry::linked()?);
    let config = Arc::new(Config::load(&Sources::new(folder.path()), &registry)?);
    let host = RuntimeHost::new(config.clone(), registry);
    let mut options = Options::of(&config.serve)?;
    options.token = token.map(String::from);
    let server = forethought_serve::start(&host, options).await?;
    Ok(Desk { address: server.address().to_string(), server, folder })
}

async fn desk(more: &str) -> Desk {
    started(more, None).await.unwrap_or_else(|error| panic!("{error}"))
}

/// An answer.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
    fn message(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["choices"][0]["message"].clone()
    }
    fn words(&self) -> String {
        self.message()["content"].as_str().unwrap_or_default().to_owned()
    }
    fn error(&self) -> String {
        let error = &self.json()["error"];
        assert!(
            error["type"].is_string() && error.get("param").is_some() && error.get("code").is_some(),
            "{self:?}"
        );
        error["message"].as_str().unwrap_or_default().to_owned()
    }
    fn session(&self) -> String {
        self.headers["x-forethought-session"].clone()
    }
    /// The data of the events of a stream.
    fn events(&self) -> Vec<String> {
        self.body.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).map(String::from).collect()
    }
}

/// A connection with a request on it.
async fn send(address: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head += &format!("Host: {address}\r\n");
    }
    headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    let body = body.unwrap_or_default();
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    // A server that refuses does not read on.
    let _ = stream.write_all(body.as_bytes()).await;
    stream
}

async fn receive(mut stream: TcpStream) -> Reply {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap()[9..12].parse().unwrap();
    let header =
        |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: BTreeMap<_, _> = lines.filter_map(header).collect();
    let mut body = body.to_owned();
    if headers.get("transfer-encoding").is_some_and(|how| how == "chunked") {
        let (mut rest, mut whole) = (body.as_str(), String::new());
        while let Some((size, after)) = rest.split_once("\r\n") {
            let size = usize::from_str_radix(size, 16).unwrap();
            whole += &after[..size];
            rest = &after[size + 2..];
        }
        body = whole;
    }
    Reply { status, headers, body }
}

impl Desk {
    async fn get(&self, path: &str) -> Reply {
        receive(send(&self.address, path, &[], None).await).await
    }
    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        receive(send(&self.address, path, headers, Some(&body.to_string())).await).await
    }
    async fn chat(&self, body: &Value) -> Reply {
        self.post("/v1/chat/completions", &[], body).await
    }
    /// Says something in a conversation, and adds the answer to it.
    async fn say(&self, model: &str, messages: &mut Vec<Value>, content: &str) -> Reply {
        messages.push(json!({ "role": "user", "content": content }));
        let reply = self.chat(&json!({ "model": model, "messages": messages, "tools": tools() })).await;
        messages.push(reply.message());
        reply
    }
    async fn outcome(&self, session: &str, outcome: Value) -> Reply {
        self.post(&format!("/v1/sessions/{session}/outcome"), &[], &outcome).await
    }
    async fn stop(self) -> (LiveOutcome, Vec<Trajectory>) {
        let (outcome, trajectories, _) = self.stop_and_look().await;
        (outcome, trajectories)
    }
    /// The same, with the folder.
    async fn stop_and_look(self) -> (LiveOutcome, Vec<Trajectory>, tempfile::TempDir) {
        let outcome = self.server.stop().await.unwrap();
        let trajectories = run::trajectories(&outcome.folder).await.unwrap();
        (outcome, trajectories, self.folder)
    }
}

fn tools() -> Value {
    let tool = |name: &str, argument: &str| {
        json!({ "type": "function", "function": { "name": name, "description": "does it", "parameters": {
            "type": "object", "properties": { argument: { "type": "string" } }, "required": [argument] } } })
    };
    json!([tool("search", "query"), tool("click", "target")])
}

fn user(content: &str) -> Value {
    json!({ "role": "user", "content": content })
}

const SEARCH: &str = "call search {\"query\":\"red shoes\"}";
const BOTH: &str = "call search {\"query\":\"red shoes\"}\ncall click {\"target\":\"item (1)\\n\"}";

#[tokio::test]
async fn an_agent_acts_through_calls_and_is_recorded() {
    let desk = desk("").await;
    let mut messages = vec![json!({ "role": "system", "content": "You shop." })];
    let first = desk.say("twice", &mut messages, BOTH).await;
    let whole = first.json();
    assert_eq!((&whole["object"], &whole["model"]), (&json!("chat.completion"), &json!("twice")));
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(whole["usage"], json!({ "prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4 }));
    assert_eq!(first.headers["x-forethought-calls"], "2");
    let message = first.message();
    assert_eq!(message["content"], Value::Null);
    let calls = message["tool_calls"].as_array().unwrap();
    assert_eq!(calls[0]["function"], json!({ "name": "search", "arguments": "{\"query\":\"red shoes\"}" }));
    assert_eq!(calls[1]["function"]["arguments"], "{\"target\":\"item (1)\\n\"}");
    assert_ne!(calls[0]["id"], calls[1]["id"]);
    for call in calls {
        let found = format!("found {}", call["function"]["name"].as_str().unwrap());
        messages.push(json!({ "role": "tool", "tool_call_id": call["id"], "content": found }));
    }
    // Found by its messages alone; what was done is the planner's history.
    let second = desk.say("twice", &mut messages, "bought").await;
    assert_eq!(second.session(), first.session());
    assert_eq!(second.headers["x-forethought-episode"], first.headers["x-forethought-episode"]);
    let history = desk.say("twice", &mut messages, "history").await.words();
    assert!(history.starts_with("call search"), "{history}");
    assert!(history.contains("click({\"target\":\"item (1)\\n\"}):\nfound click\n\nbought > "), "{history}");
    assert_eq!(desk.say("twice", &mut messages, "rules").await.words(), "You shop.");

    let ended = desk.outcome(&first.session(), json!({ "reward": 0.75, "success": true })).await.json();
    assert_eq!(
        (&ended["status"], &ended["detail"], &ended["turns"]),
        (&json!("ended"), &json!("outcome"), &json!(4))
    );
    assert_eq!(ended["episodes"][0]["score"], 0.75);
    let (outcome, trajectories, _folder) = desk.stop_and_look().await;
    assert_eq!((outcome.episodes, outcome.status), (1, folder::RunStatus::Finished));
    let [one] = &trajectories[..] else { panic!("{trajectories:?}") };
    assert_eq!((one.source.as_str(), one.environment.as_str(), one.steps.len()), ("twice", "session", 4));
    assert_eq!(one.steps[0].action, "search({\"query\":\"red shoes\"})\nclick({\"target\":\"item (1)\\n\"})");
    let last = one.steps.last().unwrap();
    assert_eq!((last.reward, last.terminated, last.thought.as_str()), (0.75, true, "twice"));
    assert_eq!(last.next_state, "The session ended in success. Reward: 0.75.");
    let episodes = folder::read_episodes(&outcome.folder).unwrap();
    assert_eq!((episodes[0].status, episodes[0].success), (EpisodeStatus::Done, Some(true)));
    assert!(folder::events_path(&outcome.folder, &one.episode).is_file());
}

#[tokio::test]
async fn requests_are_passed_on_and_recorded() {
    let desk = desk("").await;
    let mut messages = Vec::new();
    let first = desk.say("record", &mut messages, SEARCH).await;
    // Words next to calls are not lost, and are what was thought.
    assert_eq!(first.words(), "I call.");
    let id = messages[1]["tool_calls"][0]["id"].clone();
    messages.push(json!({ "role": "tool", "tool_call_id": id, "content": "none" }));
    assert_eq!(desk.say("record", &mut messages, "sorry").await.words(), "sorry");
    // A model without tool calls gets and writes them as text.
    let plain = desk.say("plain", &mut vec![], "search[blue shoes]").await.message();
    assert_eq!(plain["tool_calls"][0]["function"]["arguments"], "{\"query\":\"blue shoes\"}");
    let (_, mut trajectories) = desk.stop().await;
    trajectories.sort_by_key(|one| one.source.clone());
    let sources: Vec<_> = trajectories.iter().map(|one| (one.source.as_str(), one.steps.len())).collect();
    assert_eq!(sources, [("plain", 1), ("record", 2)]);
    let step = &trajectories[1].steps[0];
    assert_eq!(
        (step.thought.as_str(), step.action.as_str()),
        ("I call.", "search({\"query\":\"red shoes\"})")
    );
    assert!(trajectories[1].steps[1].truncated);
}

#[tokio::test]
async fn streams_are_chunks_of_the_same() {
    let desk = desk("").await;
    let ask = |model: &str, content: &str, usage: bool| {
        json!({ "model": model, "stream": true, "stream_options": { "include_usage": usage }, "tools": tools(),
            "messages": [user(content)] })
    };
    let reply = desk.chat(&ask("twice", BOTH, true)).await;
    assert!(reply.headers["content-type"].starts_with("text/event-stream"));
    let events = reply.events();
    assert_eq!(events.last().unwrap(), "[DONE]");
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let mut calls: Vec<(String, String)> = Vec::new();
    for call in chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].get(0)) {
        let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
        if calls.len() == index {
            assert!(call["id"].as_str().unwrap().starts_with("call_") && call["type"] == "function");
            calls.push((call["function"]["name"].as_str().unwrap().into(), String::new()));
        }
        calls[index].1 += call["function"]["arguments"].as_str().unwrap();
    }
    let expected = [("search", "{\"query\":\"red shoes\"}"), ("click", "{\"target\":\"item (1)\\n\"}")];
    assert_eq!(calls, expected.map(|(name, arguments)| (name.to_owned(), arguments.to_owned())));
    let [finish, usage] = &chunks[chunks.len() - 2..] else { panic!("{chunks:?}") };
    assert_eq!(finish["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!((&usage["choices"], &usage["usage"]["total_tokens"]), (&json!([]), &json!(4)));
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));

    let words = "Grüße. ".repeat(40);
    let events = desk.chat(&ask("record", words.trim(), false)).await.events();
    let said: String = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(String::from))
        .collect();
    assert_eq!(said, words.trim());
    assert!(events.len() > 5 && !events.iter().any(|event| event.contains("usage")));
    // What fails at once has its status.
    let failed = desk.chat(&ask("record", "fail", false)).await;
    assert_eq!(failed.status, 502);
    assert!(failed.error().contains("the provider is ill"), "{failed:?}");
}

#[tokio::test]
async fn responses_are_the_same_in_another_form() {
    let desk = desk("").await;
    let tools: Vec<_> = tools()
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| {
            let mut flat = tool["function"].clone();
            flat["type"] = "function".into();
            flat
        })
        .collect();
    let ask = |input: &Value, stream: bool| json!({ "model": "twice", "instructions": "You shop.", "input": input, "tools": tools, "stream": stream });
    let mut input = json!([{ "role": "user", "content": [{ "type": "input_text", "text": BOTH }] }]);
    let first = desk.post("/v1/responses", &[], &ask(&input, false)).await;
    let response = first.json();
    assert_eq!(
        (&response["object"], &response["status"]),
        (&json!("response"), &json!("completed")),
        "{response}"
    );
    assert_eq!(response["usage"]["total_tokens"], 4);
    let output = response["output"].as_array().unwrap();
    assert_eq!((&output[0]["type"], &output[1]["name"]), (&json!("function_call"), &json!("click")));
    let items = input.as_array_mut().unwrap();
    items.push(json!({ "type": "reasoning", "id": "rs_1", "summary": [] }));
    items.extend(output.iter().cloned());
    for call in output {
        items.push(json!({ "type": "function_call_output", "call_id": call["call_id"], "output": "found" }));
    }
    items.push(json!({ "role": "user", "content": "bought" }));
    let second = desk.post("/v1/responses", &[], &ask(&input, true)).await;
    assert_eq!(second.session(), first.session());
    let events: Vec<Value> = second
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    let (begun, ended) = (&events[0], events.last().unwrap());
    assert_eq!((&begun["type"], &begun["response"]["output"]), (&json!("response.created"), &json!([])));
    assert_eq!(ended["type"], "response.completed");
    assert_eq!(ended["response"]["output"][0]["content"][0]["text"], "bought");
    assert!(events.iter().enumerate().all(|(number, event)| event["sequence_number"] == number));
    let said: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(said, "bought");
    // The same conversation, as what came after the first response.
    let mut after = ask(&json!(input.as_array().unwrap()[output.len() + 2..]), false);
    after["previous_response_id"] = response["id"].clone();
    let third = desk.post("/v1/responses", &[], &after).await;
    assert_eq!(third.json()["output"][0]["content"][0]["text"], "bought", "{third:?}");
    assert_eq!(third.json()["previous_response_id"], response["id"]);
    after["previous_response_id"] = third.json()["id"].clone();
    after["store"] = json!(false);
    let fourth = desk.post("/v1/responses", &[], &after).await;
    assert_eq!(fourth.status, 200, "{fourth:?}");
    after["previous_response_id"] = fourth.json()["id"].clone();
    let unkept = desk.post("/v1/responses", &[], &after).await;
    assert_eq!(unkept.json()["error"]["code"], "previous_response_not_found");
    for (key, value, param) in [
        ("previous_response_id", json!("resp_1"), "previous_response_id"),
        ("store", json!("yes"), "store"),
        ("conversation", json!("conv_1"), "conversation"),
        ("input", json!([{ "type": "computer_call" }]), "input.[0].type"),
        ("tools", json!([{ "type": "web_search" }]), "tools.[0].type"),
    ] {
        let mut body = ask(&json!("hello"), false);
        body[key] = value;
        let reply = desk.post("/v1/responses", &[], &body).await;
        assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!(param)));
    }
    desk.stop().await;
}

#[tokio::test]
async fn history_that_was_made_elsewhere_is_given() {
    let desk = desk("").await;
    let call = json!({ "id": "call_1", "type": "function",
        "function": { "name": "search", "arguments": "{ \"query\": \"hats\" }" } });
    let messages = json!([user("Find hats."), { "role": "assistant", "content": "I search.", "tool_calls": [call] },
        { "role": "tool", "tool_call_id": "call_1", "content": "7 hats" }, { "role": "assistant", "content": "Well." },
        user("history")]);
    let reply = desk.chat(&json!({ "model": "twice", "messages": messages, "tools": tools() })).await;
    assert_eq!(reply.words(), "Find hats. > search({\"query\":\"hats\"}) | 7 hats > Well.");
    // No model was asked for what is given.
    assert_eq!(reply.headers["x-forethought-calls"], "2");
    desk.outcome(&reply.session(), json!({ "reward": 1 })).await;

    // A decision that failed is made again when the request is sent again: the same session, another episode.
    let failing = json!({ "model": "twice", "messages": [user("a"), { "role": "assistant", "content": "b" }, user("fail")] });
    let failed = desk.chat(&failing).await;
    assert_eq!((failed.status, failed.headers["x-should-retry"].as_str()), (502, "false"));
    let again = desk.chat(&failing).await;
    assert_eq!(again.session(), failed.session());
    assert_ne!(again.headers["x-forethought-episode"], failed.headers["x-forethought-episode"]);
    // What was done before it is kept, and can be judged.
    let ended = desk.outcome(&failed.session(), json!({ "success": false })).await.json();
    assert_eq!(ended["episodes"].as_array().unwrap().len(), 3, "{ended}");
    let (_, trajectories) = desk.stop().await;
    let mut steps: Vec<_> = trajectories.iter().map(|one| (one.steps.len(), one.score())).collect();
    steps.sort_by_key(|(steps, _)| *steps);
    assert_eq!(steps, [(1, 0.0), (3, 1.0)]);
    let hats = trajectories.iter().find(|one| one.steps.len() == 3).unwrap();
    assert_eq!(hats.steps[0].thought, "I search.");
}

#[tokio::test]
async fn sessions_are_told_apart() {
    let desk = desk("").await;
    let (mut one, mut other) = (Vec::new(), Vec::new());
    let first = desk.say("twice", &mut one, SEARCH).await;
    let second = desk.say("twice", &mut other, SEARCH).await;
    assert_ne!(first.session(), second.session());
    for (messages, session) in [(&mut one, first.session()), (&mut other, second.session())] {
        let id = messages[1]["tool_calls"][0]["id"].clone();
        messages.push(json!({ "role": "tool", "tool_call_id": id, "content": "the same" }));
        assert_eq!(desk.say("twice", messages, "go on").await.session(), session);
    }
    // As frameworks write calls that they keep as text.
    let id = one[1]["tool_calls"][0]["id"].as_str().unwrap();
    let text = json!([user(SEARCH), { "role": "assistant", "content": format!("Calling tools: [{{'id': '{id}'}}]") },
        { "role": "tool", "tool_call_id": id, "content": "the same" }, user("go on"), one[4], user("more")]);
    let reply = desk.chat(&json!({ "model": "twice", "messages": text, "tools": tools() })).await;
    assert_eq!(reply.session(), first.session());

    // By header: one session, whatever its messages say. A history that is not the session's begins an episode.
    let headers =
        [("x-forethought-session", "mine"), ("x-forethought-task", "7"), ("x-forethought-seed", "9")];
    let ask = |content: &str| json!({ "model": "twice", "messages": [user(content)] });
    let first = desk.post("/v1/chat/completions", &headers, &ask("one")).await;
    let second = desk.post("/v1/chat/completions", &headers, &ask("two")).await;
    assert_eq!((first.session(), second.session()), ("mine".into(), "mine".into()));
    assert_ne!(first.headers["x-forethought-episode"], second.headers["x-forethought-episode"]);
    let mine = desk.get("/v1/sessions/mine").await.json();
    assert_eq!((&mine["task"], &mine["seed"], &mine["status"]), (&json!(7), &json!(9), &json!("waiting")));
    assert_eq!(desk.get("/v1/sessions").await.json()["data"].as_array().unwrap().len(), 3);
    for (header, value) in [("x-forethought-session", "../../etc"), ("x-forethought-task", "-1")] {
        let reply = desk.post("/v1/chat/completions", &[(header, value)], &ask("one")).await;
        assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!(header)));
    }
    let (_, trajectories) = desk.stop().await;
    assert_eq!(trajectories.iter().filter(|one| (one.task, one.seed) == (7, 9)).count(), 2);
}

#[tokio::test]
async fn an_outcome_is_judged_once_and_in_order() {
    let desk = desk("").await;
    let missing = desk.outcome("nobody", json!({ "reward": 1 })).await;
    assert_eq!((missing.status, &missing.json()["error"]["code"]), (404, &json!("session_not_found")));
    let mut messages = Vec::new();
    let session = desk.say("record", &mut messages, "hello").await.session();
    for (outcome, param) in [
        (json!({}), "reward"),
        (json!({ "reward": "high" }), "reward"),
        (json!({ "reward": 1, "success": "yes" }), "success"),
        (json!({ "reward": 1, "path": "/etc" }), "path"),
    ] {
        let reply = desk.outcome(&session, outcome).await;
        assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!(param)));
    }
    // The reward of a step on the way, and the rest at the end.
    messages.push(user("more"));
    let body = json!({ "model": "record", "messages": messages });
    desk.post("/v1/chat/completions", &[("x-forethought-reward", "0.25")], &body).await;
    let seen = json!({ "reward": 0.5, "success": true, "observation": "Thank you!" });
    assert_eq!(desk.outcome(&session, seen.clone()).await.status, 200);
    assert_eq!(desk.outcome(&session, seen).await.status, 409);
    let (_, trajectories) = desk.stop().await;
    let rewards: Vec<_> = trajectories[0].steps.iter().map(|step| step.reward).collect();
    assert_eq!(rewards, [0.25, 0.5]);
    assert!(trajectories[0].steps[1].next_state.starts_with("Thank you!\n\nThe session ended in success."));
}

#[tokio::test]
async fn impossible_decisions_are_asked_again_and_formats_are_kept() {
    let desk = desk("").await;
    let ask = |content: &str, more: Value| {
        let mut body = json!({ "model": "twice", "messages": [user(content)], "tools": tools() });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    // The planner repeats the world's answer, which is no call either.
    let reply = desk.chat(&ask("only words", json!({ "tool_choice": "required" }))).await;
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (502, &json!("malformed_answer")));
    assert!(reply.error().contains("an action is a call of a tool here"), "{reply:?}");
    let reply = desk.chat(&ask(BOTH, json!({ "parallel_tool_calls": false }))).await;
    // This planner then uses words.
    assert!(reply.words().contains("only one call is possible"), "{reply:?}");
    assert_eq!(reply.headers["x-forethought-calls"], "4");
    let none = desk.chat(&ask("search[x]", json!({ "tool_choice": "none" }))).await;
    assert_eq!(none.words(), "search[x]");

    let schema = json!({ "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"] });
    let format = json!({ "response_format":
        { "type": "json_schema", "json_schema": { "name": "a", "strict": true, "schema": schema } } });
    let kept = desk.chat(&ask("```json\n{ \"a\": 1 }\n```", format.clone())).await;
    assert_eq!(kept.words(), "{\"a\":1}");
    let broken = desk.chat(&ask("{\"a\": \"x\"}", format)).await;
    assert!(broken.error().contains("does not have the requested format"), "{broken:?}");
    // A second attempt was made.
    let session = desk.get(&format!("/v1/sessions/{}", broken.session())).await.json();
    assert_eq!(session["status"], "failed");
    desk.stop().await;
}

/// The tests that make the model wait, one after the other.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn until(reached: impl Fn() -> bool) {
    for _ in 0..2000 {
        if reached() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("this did not happen");
}

#[tokio::test]
async fn too_many_decisions_are_refused_and_those_of_clients_that_go_are_given_up() {
    let _alone = ALONE.lock().await;
    let desk = desk("concurrency = 1\n").await;
    let wait = json!({ "model": "record", "messages": [user("wait")] });
    for stream in [false, true] {
        let (waiting, given_up) = (WAITING.load(Ordering::SeqCst), GIVEN_UP.load(Ordering::SeqCst));
        let mut body = wait.clone();
        body["stream"] = stream.into();
        let connection = send(&desk.address, "/v1/chat/completions", &[], Some(&body.to_string())).await;
        until(|| WAITING.load(Ordering::SeqCst) > waiting).await;
        let refused = desk.chat(&json!({ "model": "record", "messages": [user("hello")] })).await;
        assert_eq!((refused.status, refused.headers["retry-after"].as_str()), (429, "1"));
        assert!(refused.error().contains("`concurrency` under [serve]"), "{refused:?}");
        assert!(desk.get("/metrics").await.body.contains("forethought_decisions_in_flight 1\n"));
        drop(connection);
        until(|| GIVEN_UP.load(Ordering::SeqCst) > given_up).await;
    }
    // The same request again belongs to the same session, and can be answered.
    let waiting = WAITING.load(Ordering::SeqCst);
    let connection = send(&desk.address, "/v1/chat/completions", &[], Some(&wait.to_string())).await;
    until(|| WAITING.load(Ordering::SeqCst) > waiting).await;
    RELEASE.notify_one();
    let reply = receive(connection).await;
    assert_eq!(reply.words(), "waited");
    let session = desk.get(&format!("/v1/sessions/{}", reply.session())).await.json();
    assert_eq!(session["episodes"].as_array().unwrap().len(), 2, "{session}");
    let (_, trajectories) = desk.stop().await;
    assert_eq!(trajectories.len(), 1);
}

#[tokio::test]
async fn a_server_that_stops_keeps_what_there_is() {
    let _alone = ALONE.lock().await;
    let desk = desk("").await;
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    desk.say("twice", &mut idle, "hello").await;
    desk.say("record", &mut busy, "hello").await;
    busy.push(user("wait"));
    let body = json!({ "model": "record", "messages": busy, "stream": true }).to_string();
    let waiting = WAITING.load(Ordering::SeqCst);
    let connection = send(&desk.address, "/v1/chat/completions", &[], Some(&body)).await;
    until(|| WAITING.load(Ordering::SeqCst) > waiting).await;
    let client = tokio::spawn(receive(connection));
    let (outcome, trajectories) = desk.stop().await;
    let reply = client.await.unwrap();
    assert!(reply.body.contains("the server stops"), "{reply:?}");
    // Of the session whose decision was given up, the turns before are kept.
    assert_eq!(trajectories.iter().map(|one| one.steps.len()).collect::<Vec<_>>(), [1, 1]);
    assert_eq!((outcome.episodes, outcome.status), (3, folder::RunStatus::Finished));
}

#[tokio::test]
async fn strangers_are_refused() {
    let token = "0123456789abcdef";
    let desk = started("", Some(token)).await.unwrap();
    let (good, short, other) =
        (format!("Bearer {token}"), format!("Bearer {}", &token[1..]), format!("Basic {token}"));
    for (headers, status) in [
        (vec![], 401),
        (vec![("Authorization", short.as_str())], 401),
        (vec![("Authorization", other.as_str())], 401),
        (vec![("Authorization", good.as_str())], 200),
        // A page of another site, and one whose name points here.
        (vec![("Authorization", good.as_str()), ("Origin", "https://evil.example")], 403),
        (vec![("Authorization", good.as_str()), ("Origin", "null")], 403),
        (vec![("Authorization", good.as_str()), ("Host", "evil.example")], 403),
        (vec![("Authorization", good.as_str()), ("Host", "127.0.0.1.evil.example:4114")], 403),
        (vec![("Authorization", good.as_str()), ("Origin", "http://localhost:3000")], 200),
        (vec![("Authorization", good.as_str()), ("Host", "localhost:4114")], 200),
    ] {
        for path in ["/v1/models", "/v1/sessions", "/metrics", "/healthz"] {
            let reply = receive(send(&desk.address, path, &headers, None).await).await;
            assert_eq!(reply.status, status, "{path} {headers:?}");
            if status != 200 {
                assert!(!reply.error().contains(token), "{reply:?}");
            }
        }
    }
    desk.stop().await;
    let open = started("[serve]\naddress = \"0.0.0.0:0\"\n", None).await.err().expect("nobody must reach it");
    assert!(open.message.contains("token_env"), "{open}");
    let wrong = started("[serve]\naddress = \"here\"\n", None).await.err().expect("no address");
    assert!(wrong.message.contains("`serve.address`: `here`"), "{wrong}");
    let unset = started("token_env = \"FORETHOUGHT_NO_SUCH_TOKEN\"\n", None).await.err().expect("no token");
    assert!(unset.message.contains("$FORETHOUGHT_NO_SUCH_TOKEN is not set"), "{unset}");
}

#[tokio::test]
async fn hostile_requests_are_refused_and_leave_nothing_behind() {
    let desk = desk("max_body = 2048\n").await;
    let deep = format!("{{\"model\":\"record\",\"messages\":{}{}}}", "[".repeat(900), "]".repeat(900));
    let large = json!({ "model": "record", "messages": [user(&"x".repeat(4096))] }).to_string();
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("[]", 400),
        ("\u{0}", 400),
        (deep.as_str(), 400),
        (large.as_str(), 413),
        (r#"{"model":"../../etc/passwd","messages":[{"role":"user","content":"a"}]}"#, 404),
        (
            r#"{"model":"record","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]}]}"#,
            400,
        ),
    ] {
        let reply = receive(send(&desk.address, "/v1/chat/completions", &[], Some(body)).await).await;
        assert_eq!(reply.status, status, "{body:.80} {reply:?}");
        assert!(!reply.error().is_empty());
    }
    let unknown = desk.chat(&json!({ "model": "gpt-4o", "messages": [user("a")] })).await;
    assert!(unknown.error().contains("the models are main, plain, record, twice"), "{unknown:?}");
    assert_eq!(desk.get("/v1/nothing").await.status, 404);
    assert_eq!(desk.get("/v1/chat/completions").await.status, 405);
    assert_eq!(desk.get("/v1/models/twice").await.json()["owned_by"], "forethought");
    // Values of a prompt that look like parts of the protocol change nothing.
    let said = "data: [DONE]\n\n\u{7f}{\"error\":null}";
    let reply = desk.chat(&json!({ "model": "record", "stream": true, "messages": [user(said)] })).await;
    assert_eq!(reply.events().last().unwrap(), "[DONE]");
    assert_eq!(reply.body.matches("\ndata: [DONE]").count(), 1, "{}", reply.body);
    let (outcome, _) = desk.stop().await;
    assert_eq!(outcome.episodes, 1);
}

#[tokio::test]
async fn a_reached_budget_is_an_error_that_is_not_worth_repeating() {
    let desk = desk("[run]\nmax_calls = 3\n").await;
    let mut messages = Vec::new();
    desk.say("twice", &mut messages, "one").await;
    messages.push(user("two"));
    let body = json!({ "model": "twice", "messages": messages });
    for _ in 0..2 {
        let reply = desk.chat(&body).await;
        assert_eq!((reply.status, reply.headers["x-should-retry"].as_str()), (429, "false"));
        assert_eq!(reply.json()["error"]["type"], "insufficient_quota");
    }
    let (outcome, trajectories) = desk.stop().await;
    assert_eq!((outcome.status, trajectories.len()), (folder::RunStatus::Budget, 1));
}

#[tokio::test]
async fn what_cannot_be_offered_is_named_with_its_reason() {
    let more = "[llm.dear]\nkind = \"obedient\"\npaid = true\n[run]\nmax_usd = 1\n";
    let desk = desk(more).await;
    assert_eq!(desk.server.models(), ["main", "plain", "record", "twice"]);
    let reply = desk.chat(&json!({ "model": "dear", "messages": [user("a")] })).await;
    assert!(reply.error().contains("the price of `obedient` ([llm.dear]) is not known"), "{reply:?}");
    desk.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sessions_wait_at_once() {
    const SESSIONS: usize = 1000;
    let desk = Arc::new(desk("").await);
    let turn = async |number: usize, messages: &mut Vec<Value>, said: &str| {
        let id = format!("s{number}");
        messages.push(user(said));
        let body = json!({ "model": "record", "messages": messages });
        let reply = desk.post("/v1/chat/completions", &[("x-forethought-session", &id)], &body).await;
        messages.push(reply.message());
    };
    let all = futures::stream::iter(0..SESSIONS).map(async |number| {
        let mut messages = Vec::new();
        turn(number, &mut messages, &format!("hello {number}")).await;
        (number, messages)
    });
    let all: Vec<_> = all.buffer_unordered(64).collect().await;
    assert!(desk.get("/metrics").await.body.contains(&format!("forethought_sessions {SESSIONS}\n")));
    // And any of them goes on.
    let some = all.into_iter().filter(|(number, _)| number % 10 == 0);
    let all = futures::stream::iter(some).map(async |(number, mut messages)| {
        turn(number, &mut messages, "bye").await;
    });
    all.buffer_unordered(64).collect::<Vec<_>>().await;
    let desk = Arc::into_inner(desk).expect("nobody else has it");
    let (outcome, trajectories) = desk.stop().await;
    assert_eq!((outcome.episodes as usize, trajectories.len()), (SESSIONS, SESSIONS));
    assert_eq!(trajectories.iter().filter(|one| one.steps.len() == 2).count(), SESSIONS / 10);
}
