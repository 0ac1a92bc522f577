//! Plugins in their own processes, end to end: one that behaves, and one that misbehaves in every way. These tests need
//! only `python3`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use forethought_conformance::{Options, Outcome, Subject};
use forethought_plugin_host::process::Process;
use forethought_sdk::{
    api::{
        module::{Create, Described, Module},
        registry::{Component, Pluggable as _},
        wire::{Codec, Message, Object, connect},
    },
    prelude::{Action, Code, Environment, Error, Host, Reset, Result},
    serde_json::{Value, json},
};
use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout};

/// Far above what anything here takes: a wait that is longer hangs.
const HANGS: Duration = Duration::from_secs(120);

fn python(name: &str, script: &str, arguments: &[&str]) -> Process {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let command = ["python3", script.to_str().unwrap()].into_iter().chain(arguments.iter().copied());
    Process::new(name, command.map(String::from).collect())
}

fn misbehaving(mode: &str) -> Process {
    python("misbehaving", "tests/python/misbehaving.py", &[mode])
}

fn tide_pools() -> Process {
    python("tide-pools", "../../examples/tide_pools.py", &[])
}

/// Calls `describe` and gives the name of the package: the ids of the plugin's processes.
async fn describe(module: &Arc<dyn Object>) -> Result<String> {
    connect::<dyn Module>(module.clone())?.describe().await.map(|description| description.package)
}

fn exists(process: &str) -> bool {
    PathBuf::from("/proc").join(process).exists()
}

async fn vanishes(process: &str) {
    let start = Instant::now();
    while exists(process) {
        assert!(start.elapsed() < HANGS, "process {process} is still there");
        sleep(Duration::from_millis(5)).await;
    }
}

/// An empty host.
struct Nothing;

#[async_trait]
impl Host for Nothing {}

async fn create(module: &Arc<dyn Object>, config: Value) -> Result<Component> {
    let create = Create { interface: "forethought.environment/1".into(), kind: "tide-pools".into(), config };
    connect::<dyn Module>(module.clone())?.create(create, Arc::new(Nothing)).await
}

async fn beach(module: &Arc<dyn Object>, config: Value) -> Arc<dyn Environment> {
    <dyn Environment>::unwrap(create(module, config).await.unwrap()).unwrap()
}

#[tokio::test]
async fn an_environment_in_python_is_an_environment() {
    let module = tide_pools().start().await.unwrap();
    let described = connect::<dyn Module>(module.clone()).unwrap().describe().await.unwrap();
    assert_eq!((&*described.package, &*described.components[0].kind), ("tide-pools", "tide-pools"));
    assert_eq!(described.components[0].schema["properties"]["pools"]["default"], 4);

    let shared = beach(&module, json!({"pools": 3})).await;
    drop(module); // Its component keeps the process alive.
    assert!(shared.spec().await.unwrap().fork);
    let world = shared.spawn().await.unwrap();
    let start = async |seed| world.reset(Reset { task: 1, seed }).await.unwrap();
    let first = start(7).await;
    assert_eq!(first.legal_actions.len(), 6);
    assert_ne!(start(8).await, first, "another seed is another episode");
    assert_eq!(start(7).await, first, "the same seed is the same episode");

    let step = async |world: &Arc<dyn Environment>, text: &str| world.step(Action::new(text)).await.unwrap();
    step(&world, "look 1").await;
    let fork = world.fork().await.unwrap().unwrap();
    for action in ["dance", "look 2", "look 3", "take 2"] {
        assert_eq!(step(&world, action).await, step(&fork, action).await, "a fork behaves the same");
    }
    let end = step(&world, "look 1").await;
    assert!(end.terminated && end.turn.legal_actions.is_empty());

    let error = world.step(Action::new("look 1"));
    drop(error); // Never polled, never sent.
    let unknown = <dyn Environment as forethought_sdk::api::wire::Interface>::serve(world.clone());
    let request = || Message::encode(Codec::Json, &json!({})).unwrap();
    assert_eq!(unknown.invoke("fly", request()).await.unwrap_err().code, Code::Unimplemented);
    let error = unknown.invoke("step", request()).await.unwrap_err();
    assert_eq!(error.code, Code::Panic);
    assert!(error.message.contains("missing 1 required positional argument: 'action'"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_in_python_passes_conformance() {
    let module = connect::<dyn Module>(tide_pools().start().await.unwrap()).unwrap();
    let Described { interface, kind, schema, .. } = module.describe().await.unwrap().components.remove(0);
    let create = {
        let (interface, kind) = (interface.clone(), kind.clone());
        move |config, host| {
            let (module, interface, kind) = (module.clone(), interface.clone(), kind.clone());
            Box::pin(async move { module.create(Create { interface, kind, config }, host).await }) as _
        }
    };
    let subject = Subject { interface, kind, package: "tide-pools".into(), schema, create: Arc::new(create) };
    // Memory that a Python process keeps says nothing about this program.
    let report = forethought_conformance::check(&subject, &Options { steps: 0, ..Options::default() }).await;
    assert!(report.passed(), "{report}");
    assert!(report.checked.iter().filter(|rule| rule.outcome == Outcome::Passed).count() >= 8, "{report}");
}

#[tokio::test]
async fn a_configuration_is_refused_by_its_plugin() {
    let module = tide_pools().start().await.unwrap();
    let error = create(&module, json!({"pols": 3})).await.err().unwrap();
    assert_eq!(error, Error::config("unknown key 'pols'"));
}

#[tokio::test]
async fn two_hundred_calls_of_a_python_plugin_overlap_and_can_be_withdrawn() {
    let module = tide_pools().start().await.unwrap();
    let world = beach(&module, json!({})).await;
    let calls = (0..200u64).map(|index| {
        let world = world.clone();
        async move {
            let patience = Duration::from_micros(index * 104_729 % 20_000);
            timeout(patience, world.spawn()).await.is_ok()
        }
    });
    let answered = join_all(calls).await.into_iter().filter(|answered| *answered).count();
    assert!(answered < 200, "{answered} calls were answered");
    assert!(world.spec().await.is_ok());
}

#[tokio::test]
async fn a_process_ends_with_its_last_object() {
    let each = ["behave", "linger"].map(async |mode| {
        let module = misbehaving(mode).start().await.unwrap();
        let process = describe(&module).await.unwrap();
        assert!(exists(&process));
        drop(module);
        vanishes(&process).await;
    });
    join_all(each).await;
}

#[tokio::test]
async fn child_processes_of_a_plugin_end_with_it() {
    let module = misbehaving("leave a child").start().await.unwrap();
    let processes = describe(&module).await.unwrap();
    let (plugin, child) = processes.split_once(' ').unwrap();
    assert!(exists(child));
    // It is killed while its child holds standard error open, which must not delay anything.
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(plugin.parse().unwrap()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    vanishes(plugin).await;
    let error = describe(&module).await.unwrap_err();
    assert!(error.message.contains("signal: 9 (SIGKILL)"), "{error}");
    vanishes(child).await;
}

#[tokio::test]
async fn a_start_that_fails_says_why() {
    let started = |process: Process| async move {
        let error = process.start().await.err().expect("not a plugin");
        assert_eq!(error.code, Code::Plugin, "{error}");
        error.to_string()
    };
    let modes = [
        ("exit at once", "it ended before it said anything; its process ended: exit status: 1"),
        ("exit at once", "its last words on standard error:\n  no module named tide"),
        ("print at once", "text where a frame should be, starting \"Hello! L\""),
        ("other version", "it speaks forethought 2.0, and this side forethought 1.0"),
        ("no hello", "its first frame is not a hello"),
    ];
    let each = modes.map(async |(mode, words)| {
        let error = started(misbehaving(mode)).await;
        assert!(error.starts_with("plugin misbehaving (`python3 "), "{error}");
        assert!(error.contains(words), "{error}\n  does not say\n{words}");
    });
    join_all(each).await;
    // A short timeout only here: a busy machine may be slow to start Python.
    let mut silent = misbehaving("say nothing");
    silent.hello_timeout = Duration::from_secs(1);
    assert!(started(silent).await.contains("it said nothing within 1s"));
    let error = started(Process::new("nowhere", vec!["/no/such/program".into()])).await;
    assert_eq!(
        error,
        "plugin nowhere (`/no/such/program`) cannot be started: No such file or directory (os error 2)"
    );
    assert!(started(Process::new("nothing", Vec::new())).await.contains("the command is empty"));
}

#[tokio::test]
async fn an_error_comes_with_what_the_plugin_said_during_the_call() {
    let module = misbehaving("raise").start().await.unwrap();
    let mut calls = Vec::new();
    for _ in 0..2 {
        let error = describe(&module).await.unwrap_err();
        let [said] = &error.chain[..] else { panic!("{error}") };
        let (when, call) = said.split_once("\n  Traceback: the tide of call ").expect("a traceback");
        assert_eq!((&*error.message, when), ("TideError()", "on its standard error, at that time:"));
        calls.push(call.to_owned());
    }
    assert_ne!(calls[0], calls[1], "each error has its own");
}

#[tokio::test]
async fn a_misbehaving_plugin_is_named_and_does_not_affect_others() {
    let neighbour = misbehaving("behave").start().await.unwrap();
    let modes = [
        ("exit", "the process of plugin misbehaving ended: exit status: 3, during module.describe"),
        ("exit", "its last words on standard error:\n  Traceback: the tide is in"),
        ("kill", "ended: signal: 9 (SIGKILL), during module.describe"),
        ("die in a frame", "ended: signal: 9 (SIGKILL), during module.describe"),
        (
            "print",
            "broke the protocol, and its process was killed: text where a frame should be, starting \"Training\"",
        ),
        (
            "rubbish",
            "its process was killed: a frame of 2206368128 + 2273740164 bytes; the limit is 536870912",
        ),
        ("huge length", "closed its pipe, and its process was killed, during module.describe"),
        ("length beyond limits", "its process was killed: a frame of 2147483648 + 2147483648 bytes"),
        ("answer nobody", "its process was killed: an answer to call 1001, which is not in flight"),
    ];
    let each = modes.map(async |(mode, words)| {
        let module = misbehaving(mode).start().await.unwrap();
        let error = timeout(HANGS, describe(&module)).await.expect(mode).unwrap_err();
        assert!(error.code == Code::Shutdown && !error.refused, "{error}");
        assert!(error.to_string().contains(words), "{error}\n  does not say\n{words}");
        let later = describe(&module).await.unwrap_err();
        assert!(later.refused && later.message.ends_with(", before module.describe"), "{later}");
    });
    join_all(each).await;
    assert!(describe(&neighbour).await.is_ok());
}

#[tokio::test]
async fn a_failure_after_an_answer_is_reported_by_the_next_call() {
    let modes = [
        ("answer twice", "broke the protocol, and its process was killed: an answer to call 1"),
        ("stop reading", "closed its pipe, and its process was killed"),
    ];
    let each = modes.map(async |(mode, words)| {
        let module = misbehaving(mode).start().await.unwrap();
        let process = describe(&module).await.unwrap();
        let error = timeout(HANGS, describe(&module)).await.expect(mode).unwrap_err();
        assert!(error.to_string().contains(words), "{error}\n  does not say\n{words}");
        vanishes(&process).await;
    });
    join_all(each).await;
}

#[tokio::test]
async fn a_hanging_plugin_is_abandoned_and_killed() {
    let module = misbehaving("hang").start().await.unwrap();
    assert!(timeout(Duration::from_millis(100), describe(&module)).await.is_err());
    let children = || std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    drop(module);
    let start = Instant::now();
    while !children().trim().is_empty() {
        assert!(start.elapsed() < HANGS, "still there: {}", children());
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn memory_is_limited() {
    let process = Process { memory_mb: Some(300), ..misbehaving("eat memory") };
    let module = process.start().await.unwrap();
    let error = timeout(HANGS, describe(&module)).await.unwrap().unwrap_err();
    assert_eq!(error.code, Code::Shutdown);
    assert!(error.to_string().contains("MemoryError"), "{error}");
    // It can be started again, several times.
    let again = Process { memory_mb: Some(300), ..misbehaving("behave") };
    for _ in 0..2 {
        assert!(describe(&again.start().await.unwrap()).await.is_ok());
    }
}

#[tokio::test]
async fn any_amount_of_standard_error_is_read() {
    let module = misbehaving("flood standard error").start().await.unwrap();
    assert!(timeout(HANGS, describe(&module)).await.unwrap().is_ok());
}

/// Everything that all tests log from here on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn logs_and_output_of_a_plugin_are_logged_under_its_name() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(move || writer.clone()).init();

    let module = Process { name: "logs".into(), ..tide_pools() }.start().await.unwrap();
    beach(&module, json!({"hours": 9})).await;
    let module = Process { name: "prints".into(), ..misbehaving("warn") }.start().await.unwrap();
    describe(&module).await.unwrap();
    for line in [
        "INFO forethought_plugin_host::pipe: made of {'hours': 9} plugin=\"logs\" target=\"tide_pools\"\n",
        "WARN forethought_plugin_host::process: WARNING:root:high tide plugin=\"prints\"\n",
    ] {
        let logged = || String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let start = Instant::now();
        while !logged().contains(line) {
            assert!(start.elapsed() < HANGS, "{line} is not in\n{}", logged());
            sleep(Duration::from_millis(5)).await;
        }
    }
}
