//! One experiment with every provider, through the real program and over the wire: the shipped configurations against a
//! server that imitates the providers, with faults, with kills, and with an eye on the key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use assert_cmd::assert::Assert;
use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    llm::{ChatRequest, Choice, Completion, FinishReason, LlmBackend, LlmCapabilities, Message, ToolCall},
};
use forethought_llm_simulated::{Simulated, SimulatedConfig};
use forethought_mock_llm::{Count, Options, Rule, Server};
use forethought_runtime::{
    run::episode::EpisodeSummary,
    run::events::{self, Event},
    run::folder,
};
use forethought_testkit::slow;
use forethought_tests::{Desk, workspace};
use forethought_webshop::behaviour::Shopper;
use serde_json::{Value, json};
use tokio::{
    runtime::Runtime,
    sync::{Barrier, Semaphore},
};

/// A shipped configuration, what its base URL adds to an address, the end of the paths that are asked, and the variable
/// that holds the key.
type Provider = (&'static str, &'static str, &'static str, Option<&'static str>);

const PROVIDERS: [Provider; 5] = [
    ("openai", "/v1", "/v1/chat/completions", Some("OPENAI_API_KEY")),
    ("vllm", "/v1", "/v1/chat/completions", None),
    ("anthropic", "/v1", "/v1/messages", Some("ANTHROPIC_API_KEY")),
    ("gemini", "/v1beta", ":generateContent", Some("GEMINI_API_KEY")),
    ("ollama", "/api", "/api/chat", None),
];

const KEY: &str = "sk-sesame-0123456789";

/// Far above what anything here takes: a program that is still running hangs.
const HANGS: Duration = Duration::from_secs(240);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

fn start(options: Options) -> Server {
    RUNTIME.block_on(forethought_mock_llm::start(options)).expect("a server")
}

// ---- a model behind the server ------------------------------------------------------------------------------------

/// The simulated shopper, which knows only words, answering in the requested form.
struct Actor {
    simulated: Simulated,
    /// The first requests are answered once so many of them are here.
    together: Option<(Barrier, AtomicUsize)>,
    /// Answers that it has left to give, where these are limited.
    patience: Option<Arc<Patience>>,
}

/// Answers that are left, and how many requests wait for more.
struct Patience {
    left: Semaphore,
    waiting: AtomicUsize,
}

/// A request that waits; no longer once its connection is closed.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Patience {
    async fn lose(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.waiting);
        self.left.acquire().await.expect("it is never closed").forget();
    }

    /// Whether so many requests wait, and none of them will be answered.
    fn holds(&self, requests: usize) -> bool {
        self.waiting.load(Ordering::SeqCst) == requests && self.left.available_permits() == 0
    }
}

impl Actor {
    /// A shopper whose share `malformed` of answers is in no form.
    fn new(malformed: f64) -> Self {
        let config = SimulatedConfig { malformed, ..SimulatedConfig::default() };
        let simulated =
            Simulated::new(config, vec![("webshop".into(), Arc::new(Shopper::default()))]).expect("a model");
        Self { simulated, together: None, patience: None }
    }
}

#[async_trait]
impl LlmBackend for Actor {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        self.simulated.capabilities().await
    }

    async fn complete(&self, mut request: ChatRequest) -> Result<Completion> {
        if let Some((barrier, arrived)) = &self.together
            && arrived.fetch_add(1, Ordering::Relaxed) < IN_FLIGHT
        {
            barrier.wait().await;
        }
        if let Some(patience) = &self.patience {
            patience.lose().await;
        }
        let (tool, schema) = (request.tools.pop(), request.json_schema.take());
        let Some(schema) = schema.or_else(|| tool.clone().map(|tool| tool.parameters)) else {
            return self.simulated.complete(request).await;
        };
        // The request for a form is at the end, after the lines that the simulated model knows.
        for Message { content, .. } in &mut request.messages {
            let end = content.find("\n\nIn place of these lines, ").unwrap_or(content.len());
            content.truncate(end);
        }
        let mut completion = self.simulated.complete(request).await?;
        for choice in &mut completion.choices {
            let answer = object(&choice.text, &schema);
            *choice = match &tool {
                None => Choice { text: answer.to_string(), ..Choice::default() },
                Some(tool) => Choice {
                    finish: FinishReason::ToolCalls,
                    tool_calls: vec![ToolCall {
                        id: "call_1".into(),
                        name: tool.name.clone(),
                        arguments: answer,
                    }],
                    ..Choice::default()
                },
            };
        }
        Ok(completion)
    }
}

/// Labelled lines as the object that `schema` describes.
fn object(lines: &str, schema: &Value) -> Value {
    let texts = |key: &str| {
        let labelled = lines.lines().filter_map(|line| line.split_once(": "));
        labelled.filter(|(label, _)| label.to_lowercase() == *key).map(|(_, text)| text).collect::<Vec<_>>()
    };
    let properties = schema["properties"].as_object().expect("an object's schema").iter();
    let value = |(key, kind): (&String, &Value)| match kind["type"].as_str() {
        Some("array") => (key.clone(), json!(texts(key))),
        _ => (key.clone(), json!(texts(key).last())),
    };
    properties.map(value).collect()
}

// ---- the program, and its results ---------------------------------------------------------------------------------

/// `forethought eval` of a shipped configuration against `server`, in a shop that is small enough for tests.
fn eval(provider: Provider, server: &Server, planner: &str, further: &[&str]) -> String {
    let (name, version, ..) = provider;
    let path = workspace().join("configs").join(name).with_extension("toml");
    format!(
        "eval {} --planner {planner} --json --set llm.actor.base_url={}{version} --set environment.products=100 {}",
        path.display(),
        server.url(),
        further.join(" ")
    )
}

fn desk() -> Desk {
    Desk::new(env!("CARGO_BIN_EXE_forethought"))
}

fn run(desk: &Desk, line: &str) -> Assert {
    let mut command = desk.forethought(line);
    for key in PROVIDERS.iter().filter_map(|provider| provider.3) {
        command.env(key, KEY);
    }
    command.timeout(HANGS).assert()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What the planners did and what it brought, episode by episode, by planner and task.
type Played = BTreeMap<(String, u64), Vec<Value>>;

/// Everything in the runs that must not depend on provider, form, faults, or kills.
fn played(desk: &Desk) -> Played {
    let mut played = Played::new();
    for planner in std::fs::read_dir(desk.path().join("runs")).expect("runs").flatten() {
        let name = text(planner.file_name().as_encoded_bytes());
        let runs: Vec<_> = std::fs::read_dir(planner.path()).expect("a run").flatten().collect();
        assert_eq!(runs.len(), 1, "a run was begun twice");
        for episode in std::fs::read_dir(runs[0].path().join("events")).expect("events").flatten() {
            let mut task = 0;
            let line = |event| match event {
                Event::Episode { reset, .. } => {
                    task = reset.task;
                    json!(reset.seed)
                }
                Event::Decision { thought, action, trace, .. } => {
                    let rounds: Vec<_> =
                        trace.rounds.iter().map(|round| (&round.thought, round.kept)).collect();
                    json!([thought, action, rounds])
                }
                Event::Transition { rewards, .. } => json!(rewards),
                Event::End { status, error, scores } => json!([status, error, scores]),
                Event::Turn { turn, .. } => json!(turn.observation.text),
            };
            let lines = events::read(&episode.path()).expect("a log").into_iter().map(line).collect();
            played.insert((name.clone(), task), lines);
        }
        for EpisodeSummary { task, llm_calls, calls, value_queries, .. } in
            folder::read_episodes(&runs[0].path()).expect("episodes")
        {
            let calls: Vec<_> = calls.iter().map(|(purpose, count)| json!([purpose, count.calls])).collect();
            let lines = played.get_mut(&(name.clone(), task)).expect("a line for every log");
            lines.push(json!({ "calls": llm_calls, "by purpose": calls, "value queries": value_queries }));
        }
    }
    played
}

/// Calls of all planners in all episodes.
fn calls(played: &Played) -> u64 {
    played.values().map(|lines| lines.last().expect("lines")["calls"].as_u64().expect("a count")).sum()
}

/// What `eval` prints, without what a clock and a price list say.
fn report(assert: &Assert) -> Value {
    let mut report: Value = serde_json::from_slice(&assert.get_output().stdout).expect("a report");
    for planner in report["planners"].as_array_mut().expect("planners") {
        let planner = planner.as_object_mut().expect("a planner");
        planner.retain(|key, _| {
            key != "ms_per_decision" && !key.starts_with("critical") && !key.contains("usd")
        });
    }
    // Where each run is, and of which provider.
    report
        .as_object_mut()
        .expect("a report")
        .retain(|key, _| !["runs", "overrides", "costs"].contains(&key.as_str()));
    report
}

/// How often each content was answered.
fn answered(server: &Server) -> BTreeMap<String, u64> {
    server.counts().into_iter().map(|(content, count)| (content, count.answered)).collect()
}

// ---- one experiment, five providers -------------------------------------------------------------------------------

#[test]
fn the_shipped_configurations_differ_in_who_answers_and_in_nothing_else() {
    let read = |(name, ..): Provider| {
        let path = workspace().join("configs").join(name).with_extension("toml");
        let mut config: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let actor = config["llm"]["actor"].as_table_mut().unwrap();
        for key in ["provider", "model", "base_url", "api_key_env", "extra"] {
            actor.remove(key);
        }
        config
    };
    let configs = PROVIDERS.map(read);
    assert!(configs[0]["planner"].as_table().unwrap().contains_key("pnlc"));
    assert!(configs.iter().all(|config| *config == configs[0]));
}

#[test]
fn one_experiment_with_five_providers_comes_out_the_same() {
    let mut results = Vec::new();
    for provider in PROVIDERS {
        let (name, _, path, key) = provider;
        let key = key.map(|_| KEY.to_owned());
        let server =
            start(Options { backend: Arc::new(Actor::new(0.02)), key, record: true, ..Options::default() });
        let desk = desk();
        let report = report(&run(&desk, &eval(provider, &server, "react,pnlc", &["--episodes 4"])).success());
        let played = played(&desk);
        let calls = calls(&played);
        assert_eq!(server.total(), Count { asked: calls, answered: calls }, "{name}");
        assert!(server.received().iter().all(|received| received.path.ends_with(path)), "{name}");
        results.push((name, report, played));
    }
    let (_, first, episodes) = &results[0];
    assert_eq!(episodes.len(), 8);
    assert!(calls(episodes) > 100, "{first}");
    for (name, report, played) in &results {
        assert_eq!((report, played), (first, episodes), "{name}");
    }
}

#[test]
fn answers_held_to_a_schema_and_tool_calls_come_out_as_words_do_with_every_provider() {
    let mut results = Vec::new();
    let held = ["json", "tool"].into_iter().flat_map(|answers| PROVIDERS.map(|provider| (answers, provider)));
    for (answers, provider) in [("text", PROVIDERS[0])].into_iter().chain(held) {
        let server =
            start(Options { backend: Arc::new(Actor::new(0.0)), record: true, ..Options::default() });
        let desk = desk();
        let form = ["react", "pnlc"].map(|planner| format!("--set planner.{planner}.answers={answers}"));
        let line = eval(provider, &server, "react,pnlc", &["--episodes 2", &form.join(" ")]);
        run(&desk, &line).success();
        // All but the judge's, which asks for numbers.
        let held = |body: &str| body.contains("additionalProperties") || body.contains("How likely is each");
        let held = server.received().iter().filter(|received| held(&received.body)).count();
        assert_eq!(held as u64 == server.total().asked, answers != "text");
        results.push((answers, provider.0, played(&desk)));
    }
    assert_eq!(results[0].2.len(), 4);
    for (answers, provider, played) in &results {
        assert_eq!(*played, results[0].2, "{provider} in {answers}");
    }
}

#[test]
fn a_model_that_cannot_answer_in_a_form_is_refused_when_the_configuration_is_read() {
    let desk = desk();
    desk.write(
        "mine.toml",
        "[environment]\nkind = \"webshop\"\nproducts = 20\n[llm.actor]\nkind = \"simulated\"\n\
         [planner.react]\nkind = \"react\"\nllm = \"actor\"\n",
    );
    run(&desk, "config check mine.toml").success();
    for (answers, lack) in [("json", "JSON schema"), ("tool", "tool")] {
        let line = format!("config check mine.toml --set planner.react.answers={answers}");
        let assert = run(&desk, &line).code(2);
        let error = text(&assert.get_output().stderr);
        assert!(error.contains(lack) && error.contains("actor"), "{error}");
    }
}

// ---- faults -------------------------------------------------------------------------------------------------------

/// Episodes in flight at once, each with one call at a time.
const IN_FLIGHT: usize = 64;

/// Every fault after which another attempt helps, and the share of requests that meet it, some more than once.
const FAULTS: [&str; 12] = [
    "rate-limit:20=0.1x3",
    "status:500=0.1x2",
    "status:408=0.05",
    "status:503=0.05",
    "status:529=0.05",
    "slow:200=0.05",
    "cut=0.1x2",
    "truncate=0.1x2",
    "malformed=0.1",
    "wrong-usage=0.1",
    "hang=0.006",
    "stall=0.006",
];

/// So many episodes at once, and short pauses.
const AT_ONCE: &str = "--episodes 64 --concurrency 64 --set llm.actor.calls.concurrency=64 \
                       --set llm.actor.calls.longest_pause_s=0.1";

fn rules(rules: &[&str]) -> Vec<Rule> {
    rules.iter().map(|rule| rule.parse().expect("a rule")).collect()
}

/// A desk after an evaluation against a server that has no faults, and that server.
fn undisturbed(provider: Provider, further: &[&str]) -> (Desk, Server) {
    // Answered once all are here, or never: so many are in flight.
    let together = Some((Barrier::new(IN_FLIGHT), AtomicUsize::new(0)));
    let server =
        start(Options { backend: Arc::new(Actor { together, ..Actor::new(0.02) }), ..Options::default() });
    let desk = desk();
    run(&desk, &eval(provider, &server, "react", further)).success();
    (desk, server)
}

fn every_fault(provider: Provider, further: &str) {
    let (calm, expected) = undisturbed(provider, &[AT_ONCE, further]);
    // A request that hangs is given up; only here, because a busy machine may be slow to answer.
    let patience = format!("--set llm.actor.read_timeout_s={}", slow(5, 10));
    let further = [AT_ONCE, &patience, further];
    let faults = rules(&FAULTS);
    let server = start(Options { backend: Arc::new(Actor::new(0.02)), faults, ..Options::default() });
    let desk = desk();
    let report = report(&run(&desk, &eval(provider, &server, "react", &further)).success());

    // No episode is lost, and none is different.
    assert_eq!(report["planners"][0]["episodes"], IN_FLIGHT);
    assert_eq!(played(&desk), played(&calm));
    // No answered call was repeated, and no superfluous call was made.
    assert_eq!(answered(&server), answered(&expected));
    let struck = server.struck();
    let happened: BTreeSet<_> = struck.keys().map(String::as_str).collect();
    let all: BTreeSet<_> = FAULTS.iter().map(|rule| rule.split('=').next().unwrap()).collect();
    assert_eq!(happened, all, "not every fault happened; another seed of the server may do");
    let harmless = struck["slow:200"] + struck["wrong-usage"];
    let Count { asked, answered } = server.total();
    assert_eq!(asked - answered, struck.values().sum::<u64>() - harmless);
}

#[test]
fn with_every_fault_at_64_in_flight_nothing_is_lost_and_nothing_paid_twice() {
    let all = [
        (PROVIDERS[2], "--set llm.actor.streaming=true"),
        (PROVIDERS[0], ""),
        (PROVIDERS[3], ""),
        (PROVIDERS[4], "--set llm.actor.streaming=true"),
    ];
    // At the same time, because most of it is waiting.
    std::thread::scope(|scope| {
        for &(provider, further) in slow(&all[..1], &all) {
            scope.spawn(move || every_fault(provider, further));
        }
    });
}

#[test]
fn what_is_refused_fails_its_episode_and_the_same_command_retries_it() {
    let further = [AT_ONCE];
    let (calm, expected) = undisturbed(PROVIDERS[0], &further);
    let faults = rules(&["unauthorized=0.05", "status:400=0.05"]);
    let server = start(Options { backend: Arc::new(Actor::new(0.02)), faults, ..Options::default() });
    let desk = desk();
    let line = eval(PROVIDERS[0], &server, "react", &further);
    let mut tries = 0;
    let error = loop {
        tries += 1;
        let assert = run(&desk, &line);
        if assert.get_output().status.success() {
            break None;
        }
        let failed = text(&assert.code(1).get_output().stderr);
        if tries == 40 {
            break Some(failed);
        }
        assert!(failed.contains("the same command retries them"), "{failed}");
    };
    assert_eq!(error, None);
    assert!(tries > 1, "nothing was refused");
    assert_eq!(played(&desk), played(&calm));
    assert_eq!(answered(&server), answered(&expected), "an answered call was asked again");
}

// ---- kill -9 ------------------------------------------------------------------------------------------------------

/// The program, started with a key.
fn spawn(desk: &Desk, line: &str) -> Child {
    let mut child = desk.spawn(line);
    child.env("OPENAI_API_KEY", KEY).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits for something that happens soon, or never.
fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < HANGS, "{what}: this does not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Plays until so many requests wait for an answer, then kills the program without warning.
fn kill(desk: &Desk, line: &str, patience: &Patience, waiting: usize) {
    let mut child = spawn(desk, line);
    until("requests wait", || patience.holds(waiting));
    child.kill().unwrap();
    child.wait().unwrap();
    // Or the server would answer the dead.
    until("the server sees that nobody is there", || patience.holds(0));
}

#[test]
fn no_answered_call_is_asked_again_after_a_kill() {
    const WAITING: usize = 8;
    let further = ["--episodes 24 --concurrency 8"];
    let calm = desk();
    let expected = start(Options { backend: Arc::new(Actor::new(0.02)), ..Options::default() });
    run(&calm, &eval(PROVIDERS[0], &expected, "pnlc", &further)).success();

    let patience = Arc::new(Patience { left: Semaphore::new(0), waiting: AtomicUsize::new(0) });
    let actor = Actor { patience: Some(patience.clone()), ..Actor::new(0.02) };
    let server = start(Options { backend: Arc::new(actor), ..Options::default() });
    let desk = desk();
    let line = eval(PROVIDERS[0], &server, "pnlc", &further);
    // Every episode in flight waits for an answer at each kill, so all that was answered before has been used.
    for answers in [40, 150, 90] {
        patience.left.add_permits(answers);
        kill(&desk, &line, &patience, WAITING);
    }
    patience.left.add_permits(1_000_000);
    run(&desk, &line).success();
    assert_eq!(played(&desk), played(&calm));
    assert_eq!(answered(&server), answered(&expected), "an answered call was asked again");
    // And of what was not answered, each call once more.
    assert_eq!(server.total().asked, expected.total().asked + 3 * WAITING as u64);
}

// ---- Ctrl-C -------------------------------------------------------------------------------------------------------

/// Plays until it is `time`, then interrupts the program as Ctrl-C does.
fn interrupt(desk: &Desk, line: &str, time: impl Fn() -> bool) {
    let mut child = spawn(desk, line);
    until("it is time", time);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    until("the program ends", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(130), "{line}");
}

/// A command that plays episodes.
fn play(command: &str, server: &Server, further: &str) -> String {
    eval(PROVIDERS[0], server, "react", &[further]).replacen("eval", command, 1)
}

#[test]
fn an_interruption_gives_up_calls_that_hang_and_loses_no_answer() {
    const WAITING: usize = 4;
    for command in ["run", "eval"] {
        let further = "--episodes 6 --concurrency 4";
        let calm = desk();
        let expected = start(Options { backend: Arc::new(Actor::new(0.02)), ..Options::default() });
        run(&calm, &play(command, &expected, further)).success();

        let patience = Arc::new(Patience { left: Semaphore::new(20), waiting: AtomicUsize::new(0) });
        let actor = Actor { patience: Some(patience.clone()), ..Actor::new(0.02) };
        let server = start(Options { backend: Arc::new(actor), ..Options::default() });
        let desk = desk();
        let line = play(command, &server, further);
        interrupt(&desk, &line, || patience.holds(WAITING));
        until("the server sees that nobody is there", || patience.holds(0));
        patience.left.add_permits(1_000_000);
        run(&desk, &line).success();
        assert_eq!(played(&desk), played(&calm));
        assert_eq!(answered(&server), answered(&expected), "an answered call was asked again");
        assert_eq!(server.total().asked, expected.total().asked + WAITING as u64);
    }
}

#[test]
fn an_interruption_ends_pauses_and_nothing_more_is_asked() {
    let two = "--episodes 2 --concurrency 2";
    let limited = format!("{two} --set llm.actor.calls.requests_per_minute=1");
    for command in ["run", "eval"] {
        for (faults, further, asked, answered) in
            [(&["rate-limit:50000=1"][..], two, 2, 0), (&[][..], &*limited, 1, 1)]
        {
            let (backend, faults) = (Arc::new(Actor::new(0.0)), rules(faults));
            let server = start(Options { backend, faults, ..Options::default() });
            interrupt(&desk(), &play(command, &server, further), || server.total().asked == asked);
            assert_eq!(server.total(), Count { asked, answered });
        }
    }
}

// ---- keys ---------------------------------------------------------------------------------------------------------

/// A word that is next to the key wherever the server repeats it; finding it shows that a place was searched.
const NEXT_TO_IT: &str = "sesame-opens-it";

/// Repeats the key in every answer, and refuses one request in five with the key in its words.
struct Indiscreet(Actor);

#[async_trait]
impl LlmBackend for Indiscreet {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        self.0.capabilities().await
    }

    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let length: usize = request.messages.iter().map(|message| message.content.len()).sum();
        if length.is_multiple_of(5) {
            return Err(Error::input(format!("{NEXT_TO_IT}: {KEY} was sent")));
        }
        let mut completion = self.0.complete(request).await?;
        let choice = &mut completion.choices[0];
        choice.text = format!("{NEXT_TO_IT}: Bearer {KEY}\n{}", choice.text);
        Ok(completion)
    }
}

/// Everything that can be read in a file: its bytes, and what is packed in them.
fn contents(path: &Path) -> Vec<u8> {
    // The write-ahead log of a database is gone once that was opened; its content is then in the database.
    let mut contents = std::fs::read(path).unwrap_or_default();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("zst") => contents.extend(zstd::decode_all(&*contents.clone()).expect("zstd")),
        Some("sqlite") => {
            let database = rusqlite::Connection::open(path).expect("a database");
            let mut tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
            let tables = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
            for table in tables.map(|table| table.expect("a name")) {
                let mut rows = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
                let columns = rows.column_count();
                let mut rows = rows.query([]).unwrap();
                while let Some(row) = rows.next().unwrap() {
                    for cell in (0..columns).map(|column| row.get_ref(column).unwrap()) {
                        if let Some(bytes) = cell.as_bytes_or_null().ok().flatten() {
                            contents.extend(bytes);
                            contents.extend(zstd::decode_all(bytes).unwrap_or_default());
                        }
                    }
                }
            }
        }
        _ => {}
    }
    contents
}

/// The files under `folder` in which `word` can be read.
fn files_with(folder: &Path, word: &str) -> BTreeSet<String> {
    let mut folders = vec![folder.to_owned()];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if contents(&path).windows(word.len()).any(|bytes| bytes == word.as_bytes()) {
                let name = path.file_name().expect("a name").to_string_lossy();
                // Logs are called after their episodes.
                found.insert(if name.ends_with(".zst") { "events".into() } else { name.into_owned() });
            }
        }
    }
    found
}

#[test]
fn the_key_is_read_nowhere() {
    let faults = rules(&["unauthorized=0.1", "status:500=0.1", "malformed=0.1", "truncate=0.1"]);
    let backend = Arc::new(Indiscreet(Actor::new(0.0)));
    let server =
        start(Options { backend, faults, key: Some(KEY.into()), record: true, ..Options::default() });
    let desk = desk();
    let further =
        ["--episodes 12 -vv --set llm.actor.calls.cache=answers.sqlite --set llm.actor.streaming=true"];
    let line = eval(PROVIDERS[0], &server, "react,pnlc", &further);
    let mut said = Vec::new();
    for line in [&line, &line, "config show --origin", "doctor"] {
        let assert = run(&desk, line);
        said.extend([assert.get_output().stdout.clone(), assert.get_output().stderr.clone()]);
    }
    let said = said.iter().map(|bytes| text(bytes)).collect::<String>();
    assert!(server.received().iter().all(|received| received.headers["authorization"].ends_with(KEY)));

    assert!(!said.contains(KEY), "the key is in what the program says");
    assert_eq!(files_with(desk.path(), KEY), BTreeSet::new(), "the key is in these files");
    // It would have been found: the word next to it was found, in the output and in every kind of file.
    assert!(
        said.contains(&format!("{NEXT_TO_IT}: [redacted] was sent")) && said.contains("key was refused"),
        "{said}"
    );
    let looked_into = files_with(desk.path(), NEXT_TO_IT);
    for file in ["answers.sqlite", "journal.sqlite", "events", "episodes.jsonl"] {
        assert!(looked_into.contains(file), "{file} was not looked into: {looked_into:?}");
    }
    desk.write("planted.txt", KEY);
    assert_eq!(files_with(desk.path(), KEY), BTreeSet::from(["planted.txt".into()]));
}
