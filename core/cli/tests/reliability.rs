//! What docs/reliability.md promises, on a small scale: kills, crashing plugins, a full disk, moved and replaced files.
//! Calls are counted at a server on loopback. In full size with `FORETHOUGHT_SLOW_TESTS=1`.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
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
use forethought_tests::{Desk, SHOP, workspace};
use forethought_webshop::behaviour::Shopper;
use serde_json::{Value, json};
use tokio::{runtime::Runtime, sync::watch};

fn main() -> ExitCode {
    Suite::default()
        .test("eval_and_collect_killed_anywhere_ask_no_answered_call_twice", || {
            killed_anywhere("eval shop.toml --planner react,terse --episodes 3");
            killed_anywhere("collect shop.toml --episodes 3 --out data");
        })
        .test("training_killed_anywhere_keeps_the_checkpoint_and_gives_the_same", training_killed_anywhere)
        .test("a_plugin_that_dies_costs_one_episode", plugins_that_die)
        .unless(no_namespace(), "a_full_disk_costs_the_answer_that_found_no_room", full_disk)
        .test("a_moved_run_continues_and_another_catalogue_begins_another", moved_and_replaced)
        .test("max_calls_is_never_passed_whatever_fails", budget_under_faults)
        .run()
}

/// Far above what anything here takes: a program that is still running hangs.
const HANGS: Duration = Duration::from_secs(240);

// ---- the server ---------------------------------------------------------------------------------------------------

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// The simulated shopper behind a gate, which lets through as many requests as are allowed.
struct Gate {
    shopper: Simulated,
    queue: watch::Sender<Queue>,
}

/// Both numbers change together: a request that is allowed no longer waits.
struct Queue {
    allowed: u64,
    waiting: u64,
}

/// A request that waits at the gate, until its connection is closed.
struct Waiting<'a>(&'a Gate);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.queue.send_modify(|queue| queue.waiting -= 1);
    }
}

#[async_trait]
impl LlmBackend for Gate {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        self.shopper.capabilities().await
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let mut queue = self.queue.subscribe();
        self.queue.send_modify(|queue| queue.waiting += 1);
        let waiting = Waiting(self);
        while !self.lets_through() {
            queue.changed().await.expect("the gate is there");
        }
        std::mem::forget(waiting);
        self.shopper.complete(request).await
    }
}

impl Gate {
    fn allow(&self, requests: u64) {
        self.queue.send_modify(|queue| queue.allowed = requests);
    }

    fn lets_through(&self) -> bool {
        self.queue.send_if_modified(|queue| {
            let through = queue.allowed > 0;
            if through {
                *queue = Queue { allowed: queue.allowed - 1, waiting: queue.waiting - 1 };
            }
            through
        })
    }

    /// Waits until `requests` wait here, and no other is allowed.
    fn holds(&self, requests: u64) {
        let begun = Instant::now();
        let held = |queue: &Queue| queue.waiting == requests && queue.allowed == 0;
        while !held(&self.queue.borrow()) {
            assert!(begun.elapsed() < HANGS, "{requests} requests do not come to wait");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A server that gives `answers`, and then lets requests wait.
fn server(answers: u64, faults: &[&str]) -> (Server, Arc<Gate>) {
    let behaviours = vec![("webshop".into(), Arc::new(Shopper::default()) as Arc<_>)];
    let gate = Arc::new(Gate {
        shopper: Simulated::new(SimulatedConfig::default(), behaviours).expect("a model"),
        queue: watch::Sender::new(Queue { allowed: answers, waiting: 0 }),
    });
    let faults = faults.iter().map(|rule| rule.parse().expect("a rule")).collect();
    let options = Options { backend: gate.clone(), faults, ..Options::default() };
    (RUNTIME.block_on(forethought_mock_llm::start(options)).expect("a server"), gate)
}

/// More answers than are needed here.
const ALL: u64 = 1_000_000;

/// A desk with a shop whose planners and summariser ask `server`, one call at a time.
fn shop(server: &Server) -> Desk {
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    desk.write("shop.toml", &config(server));
    desk
}

fn config(server: &Server) -> String {
    format!(
        r#"
seed = 5
[environment]
kind = "webshop"
products = 60
[llm.actor]
kind = "remote"
provider = "openai-compatible"
model = "m"
base_url = "{}/v1"
[llm.actor.calls]
concurrency = 64
longest_pause_s = 0.05
[planner.react]
kind = "react"
llm = "actor"
[planner.terse]
kind = "react"
llm = "actor"
temperature = 0.5
[summariser]
llm = "actor"
[seats]
agent = "react"
[run]
concurrency = 1
"#,
        server.url()
    )
}

/// How often the server answered each request.
fn answered(server: &Server) -> BTreeMap<String, u64> {
    server.counts().into_iter().map(|(content, count)| (content, count.answered)).collect()
}

// ---- what is kept -------------------------------------------------------------------------------------------------

/// The files below `folder` and the hashes of their contents.
fn files(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), PathBuf::from(entry.file_name()));
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(below, hash)| (name.join(below), hash)));
        } else {
            let mut hasher = DefaultHasher::new();
            fs::read(path).expect("a file").hash(&mut hasher);
            found.insert(name, hasher.finish());
        }
    }
    found
}

/// What was played, and what was collected: logs of episodes and trajectories.
fn results(desk: &Desk) -> BTreeMap<PathBuf, u64> {
    let mut results = files(&desk.path().join("data"));
    for planner in fs::read_dir(desk.path().join("runs")).expect("runs").flatten() {
        let runs: Vec<_> = fs::read_dir(planner.path()).expect("a run").flatten().collect();
        assert_eq!(runs.len(), 1, "a run was begun twice");
        let events = files(&runs[0].path().join("events"));
        results
            .extend(events.into_iter().map(|(log, hash)| (Path::new(&planner.file_name()).join(log), hash)));
    }
    results
}

fn succeeds(desk: &Desk, line: &str) -> Value {
    let assert = desk.forethought(line).arg("--json").timeout(HANGS).assert().success();
    serde_json::from_slice(&assert.get_output().stdout).expect("JSON")
}

// ---- kills --------------------------------------------------------------------------------------------------------

/// Kills the command after random numbers of answers. With one call at a time, all earlier answers have been used when
/// the next request waits, so that exactly the killed requests are made again.
fn killed_anywhere(line: &str) {
    let (server, gate) = server(ALL, &[]);
    let calm = shop(&server);
    let shown = succeeds(&calm, line);
    let (once, all) = (answered(&server), server.total().asked);
    let twice: BTreeMap<_, _> = once.into_iter().map(|(content, count)| (content, 2 * count)).collect();
    gate.allow(0);

    let desk = shop(&server);
    let mut points: Vec<_> =
        (0..slow(4, 30)).map(|kill| seed::derive(7, &format!("{line}/{kill}")) % all).collect();
    points.extend([0, all - 1]);
    points.sort_unstable();
    let mut given = 0;
    for &point in &points {
        gate.allow(point - given);
        given = point;
        let mut child = quiet(desk.spawn(line));
        gate.holds(1);
        child.kill().expect("SIGKILL");
        child.wait().expect("an end");
        // Until the server has seen that nobody is there any more, or it would answer the dead.
        gate.holds(0);
    }
    gate.allow(ALL);
    assert_eq!(scores(succeeds(&desk, line)), scores(shown));
    assert_eq!(results(&desk), results(&calm));
    assert_eq!(answered(&server), twice, "{line}: an answered call was asked again");
    assert_eq!(server.total().asked, 2 * all + points.len() as u64);
    // And once more, now that all is done.
    succeeds(&desk, line);
    assert_eq!(answered(&server), twice, "{line}: a finished run asked again");
}

/// What a command says of the planners, without what a clock measured and what kills leave counted as spent.
fn scores(mut shown: Value) -> Value {
    for planner in shown["planners"].as_array_mut().into_iter().flatten() {
        planner
            .as_object_mut()
            .expect("a planner")
            // Which calls wait for each other is measured, and not where an answer was recorded before.
            .retain(|key, _| !key.contains("ms_") && !key.contains("critical") && !key.contains("usd"));
    }
    shown["planners"].take()
}

fn quiet(mut command: Command) -> std::process::Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
}

fn training_killed_anywhere() {
    const LINE: &str = "train --data data --out critic --set trainer.small.steps=1500";
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    desk.write("forethought.toml", SHOP);
    succeeds(&desk, "collect --episodes 40 --out data");
    let (critic, first) = (desk.path().join("critic"), "--set seed=1 --set trainer.small.steps=20");
    let entries = || {
        let names = fs::read_dir(desk.path()).expect("a folder").flatten().map(|entry| entry.file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let begun = Instant::now();
    succeeds(&desk, LINE);
    let whole = begun.elapsed();
    let (expected, calm) = (files(&critic), entries());
    fs::remove_dir_all(&critic).expect("a checkpoint");
    succeeds(&desk, &format!("train --data data --out critic {first}"));
    let older = files(&critic);
    assert_ne!(older, expected);

    let kills = slow(5, 40);
    for kill in 1..=kills {
        let mut child = quiet(desk.spawn(LINE));
        std::thread::sleep(whole * kill / kills);
        child.kill().expect("SIGKILL");
        child.wait().expect("an end");
        let now = files(&critic);
        assert!(now == older || now == expected, "a checkpoint that is neither the older nor the new one");
    }
    succeeds(&desk, LINE);
    assert_eq!(files(&critic), expected);
    assert_eq!(entries(), calm, "something was left next to the checkpoint");
}

// ---- plugins ------------------------------------------------------------------------------------------------------

/// The tide pools of the examples, with a storm in task 2 while the file `storm` says which.
const STORMY: &str = r#"
import asyncio, os, sys, time
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import tide_pools as tide

class Stormy(tide.TidePools):
    def spawn(self):
        return Stormy(self.pools, self.hours)
    def reset(self, reset):
        self.task = reset["task"]
        return super().reset(reset)
    def step(self, action):
        storm = open(sys.argv[2]).read() if self.task == 2 else ""
        if storm == "exit":
            os._exit(7)
        if storm == "print":
            os.write(tide.pipe.output.fileno(), b"a wave!")
        if storm == "raise":
            raise RuntimeError("a wave")
        if storm == "hang":
            time.sleep(1000)
        return super().step(action)

class Module(tide.Module):
    def create(self, create, host):
        return Stormy(**(create["config"] or {}))

tide.pipe = tide.Pipe(Module())
asyncio.run(tide.pipe.serve())
"#;

fn plugins_that_die() {
    let all = ["exit", "print", "raise", "hang"].into_iter().flat_map(|storm| [1, 4, 64].map(|n| (storm, n)));
    let all: Vec<_> = all.collect();
    // At the same time, because most of it is waiting for Python.
    std::thread::scope(|scope| {
        for &(storm, in_flight) in slow(&[("exit", 1), ("print", 4), ("exit", 64)][..], &all) {
            scope.spawn(move || one_storm(storm, in_flight));
        }
    });
}

/// One episode fails, the others are done; the same command plays that one, and no other.
fn one_storm(storm: &str, in_flight: usize) {
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    let (world, sky) = (desk.write("stormy.py", STORMY), desk.write("sky", storm));
    let examples = workspace().join("examples");
    let command = json!(["python3", world, examples, sky]);
    desk.write(
        "storm.toml",
        &format!(
            "[plugins]\nload = [{{ command = {command}, deadline_s = 10 }}]\n[environment]\nkind = \"tide-pools\"\n\
             [planner.random]\nkind = \"random\"\n[run]\nepisodes = 8\nconcurrency = {in_flight}\n"
        ),
    );
    let played = || -> Vec<(u64, String)> {
        let run = fs::read_dir(desk.path().join("runs/tide-pools--random")).expect("runs");
        let [run] = &run.map(|run| run.unwrap().path()).collect::<Vec<_>>()[..] else { panic!("one run") };
        let lines = fs::read_to_string(run.join("episodes.jsonl")).expect("episodes");
        let line = |line: &str| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            (line["task"].as_u64().expect("a task"), line["status"].as_str().expect("a status").to_owned())
        };
        let mut lines: Vec<_> = lines.lines().map(line).collect();
        lines.sort();
        lines
    };
    desk.forethought("run storm.toml").timeout(HANGS).assert().code(1);
    let expected: Vec<_> =
        (0..8).map(|task| (task, if task == 2 { "failed" } else { "done" }.to_owned())).collect();
    assert_eq!(played(), expected, "{storm} with {in_flight} in flight");
    desk.write("sky", "");
    succeeds(&desk, "run storm.toml");
    let mut after = expected;
    after.insert(2, (2, "done".into()));
    assert_eq!(played(), after, "{storm} with {in_flight} in flight, continued");
}

// ---- disks, places, contents --------------------------------------------------------------------------------------

/// Fills a small disk with a run, then makes room and repeats the command.
const FILL: &str = r#"
mount -t tmpfs -o size=$SIZE tmpfs disk && cd disk || exit 9
"$PROGRAM" run ../shop.toml --episodes 12 --set run.out=runs 2> ../said && exit 8
mount -o remount,size=64m "$PWD" || exit 9
"$PROGRAM" run ../shop.toml --episodes 12 --set run.out=runs --json && cp -r runs ..
"#;

/// Why no disk can be mounted here, if so.
fn no_namespace() -> Option<String> {
    let try_it = "d=$(mktemp -d) && mount -t tmpfs -o size=64k tmpfs $d && umount $d; rmdir $d";
    let tried = Command::new("unshare").args(["-rm", "sh", "-c", try_it]).stderr(Stdio::null()).status();
    let able = tried.is_ok_and(|status| status.success());
    (!able).then(|| "a disk of its own needs Linux and `unshare -rm`, which is not possible here".into())
}

fn full_disk() {
    for size in slow(&["200k"][..], &["80k", "120k", "200k", "300k"]) {
        let (server, _) = server(ALL, &[]);
        let calm = shop(&server);
        succeeds(&calm, "run shop.toml --episodes 12");
        let all = server.total().asked;

        let desk = shop(&server);
        fs::create_dir(desk.path().join("disk")).expect("a folder");
        let mut fill = desk.of("unshare".into(), "-rm sh -c");
        fill.arg(FILL).env("SIZE", size).env("PROGRAM", env!("CARGO_BIN_EXE_forethought"));
        fill.timeout(HANGS).assert().success();
        let said = fs::read_to_string(desk.path().join("said")).expect("a text");
        assert!(said.contains("disk/runs") && !said.contains("panic"), "{said}");
        assert_eq!(results(&desk), results(&calm));
        let again = server.total().asked - 2 * all;
        assert!(again <= 1, "{again} calls were asked again, with one in flight: {said}");
    }
}

/// Files of a shop with eight products of this name, in `folder`.
fn catalogue(folder: &Path, name: &str) {
    fs::create_dir_all(folder).expect("a folder");
    let ids: Vec<_> = (0..8).map(|number| format!("SKU{number:07}")).collect();
    let product = |id: &String| {
        json!({ "asin": id, "name": format!("{name} {id}"), "full_description": name, "small_description": [],
            "pricing": "$10.00", "category": "garden", "query": name, "product_category": "Home",
            "images": [], "customization_options": {} })
    };
    let wish = |id: &String| {
        let wish = json!({ "attributes": ["bright"], "instruction": format!("Find me a {name}"),
            "instruction_attributes": ["bright"] });
        (id.clone(), wish)
    };
    let products: Vec<_> = ids.iter().map(product).collect();
    let wishes: BTreeMap<_, _> = ids.iter().map(wish).collect();
    fs::write(folder.join("items_shuffle.json"), json!(products).to_string()).expect("a file");
    fs::write(folder.join("items_ins_v2.json"), json!(wishes).to_string()).expect("a file");
}

fn moved_and_replaced() {
    let (expected, _) = server(ALL, &[]);
    let (server, _) = server(ALL, &[]);
    let desk = shop(&server);
    let [here, there] = ["here", "there"].map(|folder| desk.path().join(folder));
    let run = |folder: &Path, limit: u32| {
        let line = format!(
            "run shop.toml --episodes 6 --set environment.catalogue=goods --set run.max_calls={limit}"
        );
        let mut run = desk.forethought(&line);
        run.current_dir(folder).timeout(HANGS);
        run.assert()
    };
    let runs = |folder: &Path| fs::read_dir(folder.join("runs/webshop--react")).expect("runs").count();

    catalogue(&here.join("goods"), "lamp");
    fs::write(here.join("shop.toml"), config(&expected)).expect("a file");
    run(&here, 4000).success();
    fs::remove_dir_all(here.join("runs")).expect("runs");

    fs::write(here.join("shop.toml"), config(&server)).expect("a file");
    run(&here, 5).code(3);
    assert_eq!(server.total().asked, 5);
    fs::rename(&here, &there).expect("a folder");
    run(&there, 4000).success();
    assert_eq!((runs(&there), answered(&server)), (1, answered(&expected)), "a moved run was not continued");

    catalogue(&there.join("goods"), "kettle");
    run(&there, 4000).success();
    assert_eq!(runs(&there), 2, "lamps were used for kettles");
    let asked = server.total().asked;
    catalogue(&there.join("goods"), "lamp");
    run(&there, 4000).success();
    assert_eq!((runs(&there), server.total().asked), (2, asked), "the lamps were not found again");
}

fn budget_under_faults() {
    const LINE: &str =
        "eval shop.toml --planner react,terse --episodes 12 --concurrency 64 --set run.max_calls=";
    let (expected, _) = server(ALL, &[]);
    let calm = succeeds(&shop(&expected), &format!("{LINE}100000"));

    let (server, _) = server(ALL, &["status:500=0.2", "rate-limit:10=0.1", "truncate=0.1"]);
    let desk = shop(&server);
    let limited = format!("{LINE}60");
    for kill in [10, 25, 40] {
        let mut child = quiet(desk.spawn(&limited));
        let begun = Instant::now();
        while server.total().asked < kill && child.try_wait().expect("a status").is_none() {
            assert!(begun.elapsed() < HANGS, "{kill} calls are not made");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().expect("SIGKILL");
        child.wait().expect("an end");
    }
    desk.forethought(&limited).timeout(HANGS).assert().code(3);
    assert!(server.total().asked <= 60, "{} calls of 60", server.total().asked);
    assert_eq!(scores(succeeds(&desk, &format!("{LINE}100000"))), scores(calm));
}
