//! A third party's planner in a dynamic library: planners that ship run over it, and it runs over them, by configuration.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use forethought_tests::{Desk, err, out};
use serde_json::Value;

/// Best-of-N over a wrapper from a library over ReAct, and that wrapper over Best-of-N, within each other.
const COMPOSITION: &str = r#"
seed = 5
[environment]
kind = "webshop"
products = 60
max_steps = 4
[llm.actor]
kind = "simulated"
[critic.judge]
kind = "judge"
llm = "actor"
[planner.react]
kind = "react"
llm = "actor"
[planner.best]
kind = "best-of-n"
n = 2
critic = "judge"
llm = "actor"
inner = { kind = "no-loops", inner = { kind = "vote", of = ["react"], votes = 2 } }
[planner.around]
kind = "no-loops"
inner = "best"
[seats]
agent = "around"
[run]
episodes = 2
"#;

/// Puts the example's library, as Cargo built it for these tests, on the desk.
fn library(desk: &Desk) {
    let name = format!(
        "{}forethought_example_wrapper{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    let built = Path::new(env!("CARGO_BIN_EXE_forethought")).with_file_name("deps").join(&name);
    fs::create_dir(desk.path().join("plugins")).unwrap();
    fs::copy(&built, desk.path().join("plugins").join(&name)).unwrap();
}

#[test]
fn planners_compose_with_one_from_a_library() {
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    desk.write("forethought.toml", COMPOSITION);
    // Without the library the place is named.
    let refused = desk.forethought("config check").assert().code(2);
    assert!(err(&refused).contains("no-loops"), "{}", err(&refused));

    library(&desk);
    let play = |load: &str, concurrency: u32| {
        let set = format!("--set plugins.load=[{load}] --set run.concurrency={concurrency}");
        let line = format!("run --json {set} --set run.out=at-{concurrency}");
        let run: Value = serde_json::from_str(&out(&desk.forethought(&line).assert().success())).unwrap();
        let folder = run["run"].as_str().unwrap().to_owned();
        let episode = run["episodes"][0]["episode"].as_str().unwrap().to_owned();
        let logs = fs::read_dir(desk.path().join(&folder).join("events")).unwrap().map(|log| {
            let log = log.unwrap();
            (log.file_name(), fs::read(log.path()).unwrap())
        });
        (folder, episode, logs.collect::<BTreeMap<_, _>>())
    };
    let (folder, episode, loaded) = play("'plugins'", 1);
    // In a process of its own it decides alike, and the order of calls does not matter.
    assert!(loaded.len() == 2 && loaded == play("{path='plugins',isolation='process'}", 64).2);
    let replayed = out(&desk.forethought(&format!("replay {folder} {episode}")).assert().success());
    assert!(replayed.starts_with("identical"), "{replayed}");
    // Who asked whom is shown as a tree.
    let seen = out(&desk.forethought(&format!("view {folder} {episode}")).assert().success());
    for name in ["best", "best.inner", "best.inner.inner", "react"] {
        assert!(seen.contains(&format!(" {name}")), "{name}: {seen}");
    }
}
