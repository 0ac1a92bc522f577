//! `[run] engine = "restate"` with a real server and several worker processes: the same episodes as in one process, after
//! kills of workers and of the server, and within one budget. `bash .ci/restate` installs the server. In full size with
//! `FORETHOUGHT_SLOW_TESTS=1`.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use forethought_api::{
    Result,
    llm::{ChatRequest, Completion, LlmBackend, LlmCapabilities},
    seed,
};
use forethought_llm_simulated::{Simulated, SimulatedConfig};
use forethought_mock_llm::{Options, Server};
use forethought_testkit::{Suite, slow};
use forethought_tests::{Desk, err, workspace};
use forethought_webshop::behaviour::Shopper;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let unable = (!program().exists())
        .then(|| "the Restate server is missing; `bash .ci/restate` installs it".to_owned());
    Suite::default()
        .unless(unable.clone(), "the_same_episodes_on_sqlite_and_on_one_and_three_workers", same)
        .unless(unable.clone(), "kills_repeat_only_calls_in_flight_and_lose_nothing", killed)
        .unless(unable.clone(), "a_cap_in_dollars_holds_over_three_workers", capped)
        .unless(unable.clone(), "an_interrupted_run_continues_in_one_process", interrupted)
        .unless(unable.clone(), "a_killed_command_finds_its_episodes_again", taken_over)
        .unless(
            unable,
            "a_worker_with_another_configuration_refuses",
            a_worker_with_another_configuration_refuses,
        )
        .run()
}

/// Far above what anything here takes.
const HANGS: Duration = Duration::from_secs(1200);

fn program() -> PathBuf {
    workspace().join("target/restate/restate-server")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// A process that ends with the test.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("the program starts"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("SIGKILL");
        self.0.wait().expect("an end");
    }
}

// ---- the model ----------------------------------------------------------------------------------------------------

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// The simulated shopper, who takes a while.
struct Slow(Simulated, Duration);

#[async_trait]
impl LlmBackend for Slow {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        self.0.capabilities().await
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        tokio::time::sleep(self.1).await;
        self.0.complete(request).await
    }
}

fn model(ms: u64) -> Server {
    let behaviours = vec![("webshop".into(), Arc::new(Shopper::default()) as Arc<_>)];
    let shopper = Simulated::new(SimulatedConfig::default(), behaviours).expect("a model");
    let backend = Arc::new(Slow(shopper, Duration::from_millis(ms)));
    RUNTIME
        .block_on(forethought_mock_llm::start(Options { backend, ..Options::default() }))
        .expect("a server")
}

// ---- the engine ---------------------------------------------------------------------------------------------------

/// A Restate server with workers on one port.
struct Engine {
    folder: TempDir,
    ports: [u16; 3],
    listen: u16,
    server: Option<Running>,
    workers: Vec<Running>,
}

impl Engine {
    /// A server without workers.
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ports = [(); 3].map(|()| free_port());
        let mut engine = Self { folder, ports, listen: free_port(), server: None, workers: Vec::new() };
        engine.serve();
        engine
    }

    fn serve(&mut self) {
        let address = |port: u16| format!("127.0.0.1:{port}");
        let mut command = Command::new(program());
        command.arg("--base-dir").arg(self.folder.path()).args(["--node-name", "test", "--no-logo"]);
        command
            .args(["--listen-mode", "tcp"])
            .env("DO_NOT_TRACK", "1")
            .env("RESTATE_DEFAULT_NUM_PARTITIONS", "4");
        command.env("RESTATE_INGRESS__BIND_ADDRESS", address(self.ports[0]));
        command.env("RESTATE_ADMIN__BIND_ADDRESS", address(self.ports[1]));
        command.env("RESTATE_BIND_ADDRESS", address(self.ports[2]));
        self.server = Some(Running::start(command));
    }

    fn config(&self) -> String {
        let [ingress, admin, _] = self.ports;
        format!(
            "[run.restate]\ningress = \"http://127.0.0.1:{ingress}\"\nadmin = \"http://127.0.0.1:{admin}\"\n"
        )
    }

    fn add_worker(&mut self, desk: &Desk) {
        self.workers.push(Running::start(self.worker(desk)));
    }

    fn worker(&self, desk: &Desk) -> Command {
        desk.spawn(&format!("worker shop.toml --listen 127.0.0.1:{}", self.listen))
    }

    /// Kills a worker, or the server, and starts it again.
    fn kill(&mut self, desk: &Desk, victim: usize) {
        match victim < self.workers.len() {
            true => {
                drop(self.workers.swap_remove(victim));
                self.add_worker(desk);
            }
            false => {
                self.server = None;
                self.serve();
            }
        }
    }
}

/// A desk with a shop whose planners ask `model`.
fn shop(model: &Server, more: &str) -> Desk {
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    let text = format!(
        r#"
seed = 5
[environment]
kind = "webshop"
products = 400
[llm.actor]
kind = "remote"
provider = "openai-compatible"
model = "m"
base_url = "{}/v1"
[llm.actor.calls]
concurrency = 256
[planner.react]
kind = "react"
llm = "actor"
[planner.vote]
kind = "react-vote"
llm = "actor"
votes = 3
[summariser]
llm = "actor"
[seats]
agent = "react"
{more}
"#,
        model.url()
    );
    desk.write("shop.toml", &text);
    desk
}

/// The command that plays on the engine.
const AWAY: &str = "--set run.engine=restate";

fn succeeds(desk: &Desk, line: &str) -> Value {
    let assert = desk.forethought(line).arg("--json").timeout(HANGS).assert();
    let assert = assert.try_success().unwrap_or_else(|error| panic!("{line}: {error}"));
    serde_json::from_slice(&assert.get_output().stdout).expect("JSON")
}

/// The folders of a desk's runs.
fn runs(desk: &Desk) -> Vec<PathBuf> {
    let below = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
    };
    let mut runs: Vec<_> = below(&desk.path().join("runs")).iter().flat_map(|parent| below(parent)).collect();
    runs.sort();
    runs
}

/// What the runs of a desk left: the bytes of event logs, and results without what a clock measured.
fn results(desk: &Desk) -> BTreeMap<String, (Vec<u8>, Value)> {
    let mut results = BTreeMap::new();
    for run in runs(desk) {
        for line in fs::read_to_string(run.join("episodes.jsonl")).expect("results").lines() {
            let mut summary: Value = serde_json::from_str(line).expect("a summary");
            let id = summary["episode"].as_str().expect("an id").to_owned();
            let timed = |key: &String| key.contains("ms_per") || key.contains("critical");
            summary.as_object_mut().expect("a table").retain(|key, _| !timed(key));
            let log = fs::read(run.join("events").join(format!("{id}.jsonl.zst"))).expect("a log");
            assert!(results.insert(id, (log, summary)).is_none(), "an episode ended twice");
        }
    }
    results
}

/// How often the model was asked each request.
fn asked(model: &Server) -> BTreeMap<String, u64> {
    model.counts().into_iter().map(|(content, count)| (content, count.asked)).collect()
}

// ---- the promises -------------------------------------------------------------------------------------------------

fn same() {
    let model = model(0);
    let line = format!("eval shop.toml --planner react,vote --concurrency 16 --episodes {}", slow(8, 300));
    let collect = "collect shop.toml --episodes 4 --out data";
    let calm = shop(&model, "");
    succeeds(&calm, &line);
    succeeds(&calm, collect);
    let expected = results(&calm);
    let trajectories =
        |desk: &Desk| fs::read(desk.path().join("data/trajectories.jsonl")).expect("trajectories");
    let once = asked(&model);
    for workers in [1, 3] {
        let mut engine = Engine::start();
        let desk = shop(&model, &engine.config());
        (0..workers).for_each(|_| engine.add_worker(&desk));
        let begun = Instant::now();
        succeeds(&desk, &format!("{line} {AWAY}"));
        eprintln!("{workers} workers: {:.1} s", begun.elapsed().as_secs_f64());
        succeeds(&desk, &format!("{collect} {AWAY}"));
        assert!(results(&desk) == expected, "{workers} workers leave other results");
        assert_eq!(trajectories(&desk), trajectories(&calm));
        let times = if workers == 1 { 2 } else { 3 };
        let expected = once.iter().map(|(content, count)| (content.clone(), times * count)).collect();
        assert_eq!(asked(&model), expected, "{workers} workers ask otherwise");
        // What came back is a whole journal: an episode can be replayed from it without the engine.
        drop(engine);
        for run in runs(&desk) {
            let logs = fs::read_dir(run.join("events")).expect("logs").flatten();
            let log = logs.map(|log| log.file_name().to_string_lossy().into_owned()).next().expect("a log");
            let episode = log.trim_end_matches(".jsonl.zst");
            let shown = succeeds(&desk, &format!("replay {} {episode}", run.display()));
            assert!(shown["difference"].is_null() && shown["answers"].as_u64() > Some(1), "{shown}");
        }
    }
}

fn killed() {
    const INFLIGHT: u64 = 12;
    let model = model(slow(60, 200));
    let line = format!("run shop.toml --concurrency {INFLIGHT} --episodes {}", slow(36, 300));
    let calm = shop(&model, "");
    succeeds(&calm, &line);
    let (once, all) = (asked(&model), model.total().asked);

    let mut engine = Engine::start();
    let desk = shop(&model, &engine.config());
    (0..3).for_each(|_| engine.add_worker(&desk));
    let mut run = desk.spawn(&format!("{line} {AWAY}"));
    let mut run = Running(run.stdout(Stdio::null()).spawn().expect("the program starts"));
    let (workers, servers) = slow((4, 1), (50, 10));
    let kills = workers + servers;
    for kill in 0..kills {
        // At even distances, in calls; the server is killed in between.
        let point = all + all * (kill + 1) / (kills + 2);
        let begun = Instant::now();
        while model.total().asked < point {
            assert!(begun.elapsed() < HANGS, "{point} calls are not made");
            std::thread::sleep(Duration::from_millis(5));
        }
        let server = (kill + 1) % (kills / servers) == 0;
        let victim = if server { 3 } else { (seed::derive(3, &kill.to_string()) % 3) as usize };
        engine.kill(&desk, victim);
    }
    let status = run.0.wait().expect("an end");
    assert!(status.success(), "{status}");
    assert!(results(&desk) == results(&calm), "kills change results");
    let again = model.total().asked - 2 * all;
    eprintln!("{kills} kills: {again} of {all} calls repeated");
    assert!(again <= kills * INFLIGHT, "{again} calls were repeated");
    assert!(
        asked(&model).iter().all(|(content, count)| *count >= 2 * once[content]),
        "a call was never made"
    );
}

fn capped() {
    let model = model(20);
    let mut engine = Engine::start();
    // A call may cost two cents, and costs less than half a cent.
    let prices = "[prices.m]\ninput = 5.0\noutput = 50.0\nmax_output_tokens = 200\n";
    let desk = shop(&model, &format!("{prices}{}", engine.config()));
    (0..3).for_each(|_| engine.add_worker(&desk));
    let line = format!("run shop.toml --concurrency 192 --episodes 400 {AWAY} --set run.max_usd=");
    let assert = desk.forethought(&format!("{line}0.5")).arg("--json").timeout(HANGS).assert().code(3);
    let shown: Value = serde_json::from_slice(&assert.get_output().stdout).expect("JSON");
    let usd = shown["usd"].as_f64().expect("a cost");
    eprintln!("0.5 USD: {usd} spent in {} calls", model.total().asked);
    // The last call that does not fit leaves up to what it might have cost.
    assert!(usd > 0.45 && usd <= 0.5, "{usd} USD were spent");
    // And with a higher cap, it continues where it was.
    let assert = desk.forethought(&format!("{line}0.6")).arg("--json").timeout(HANGS).assert().code(3);
    let shown: Value = serde_json::from_slice(&assert.get_output().stdout).expect("JSON");
    let usd = shown["usd"].as_f64().expect("a cost");
    assert!(usd > 0.5 && usd <= 0.6, "{usd} USD were spent");
}

/// Everything was asked twice, by both engines, and of what was in flight when the command ended, some again.
fn repeated_in_flight_alone(model: &Server, once: &BTreeMap<String, u64>) {
    let now = asked(model);
    assert!(once.keys().eq(now.keys()), "other calls than with SQLite");
    let repeated: u64 = once.iter().map(|(content, count)| now[content] - 2 * count).sum();
    assert!(repeated <= 8, "{repeated} calls were made again, and 8 at most were in flight");
}

/// Ends a run on the engine in its middle. The same command continues it, on the engine if there is one left, and the
/// results are those of a run on SQLite.
fn ended_early(ends: impl FnOnce(Running, Engine) -> Option<Engine>) {
    let model = model(100);
    let line = "run shop.toml --concurrency 8 --episodes 12";
    let calm = shop(&model, "");
    succeeds(&calm, line);
    let (once, all) = (asked(&model), model.total().asked);
    let mut engine = Engine::start();
    let desk = shop(&model, &engine.config());
    engine.add_worker(&desk);
    let run = Running::start(desk.spawn(&format!("{line} {AWAY}")));
    while model.total().asked < all + all / 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let engine = ends(run, engine);
    let away = if engine.is_some() { AWAY } else { "" };
    succeeds(&desk, &format!("{line} {away}"));
    assert!(results(&desk) == results(&calm), "the end changes results");
    repeated_in_flight_alone(&model, &once);
}

fn interrupted() {
    ended_early(|mut run, _| {
        let interrupt = Command::new("kill").args(["-INT", &run.0.id().to_string()]).status().expect("kill");
        assert!(interrupt.success());
        assert_eq!(run.0.wait().expect("an end").code(), Some(130));
        None
    });
}

fn taken_over() {
    ended_early(|run, engine| {
        drop(run);
        Some(engine)
    });
}

fn a_worker_with_another_configuration_refuses() {
    let model = model(0);
    let mut engine = Engine::start();
    let desk = shop(&model, &engine.config());
    engine.add_worker(&desk);
    let line = format!("run shop.toml --episodes 2 --set planner.react.temperature=0.25 {AWAY}");
    let assert = desk.forethought(&line).timeout(HANGS).assert().code(2);
    assert!(err(&assert).contains("another episode by the worker's configuration"), "{}", err(&assert));
    assert_eq!(model.total().asked, 0);
}
