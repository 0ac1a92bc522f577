//! Planners made of planners, by configuration alone: what `configs/compositions` ships is played, at any concurrency
//! alike, and replayed from its journal.

use std::collections::BTreeMap;
use std::fs;

use forethought_tests::{Desk, out, workspace};
use serde_json::Value;

const SMALL: &str = "--set environment.products=60 --set environment.max_steps=3";
const SMALL_AND_WITHOUT_OLLAMA: &str = "--set environment.products=60 --set environment.max_steps=3 --set \
                                        llm.preferred.base_url=http://127.0.0.1:9/api";

#[test]
fn compositions_are_played_alike_at_any_concurrency_and_replayed() {
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    let says = |line: &str| out(&desk.forethought(line).assert().success());
    // The event logs of two short episodes, by the names of their files.
    let play = |name: &str, file: &str, concurrency: u32| {
        let small = match name {
            "switch-avalon" => "",
            // A port at which nothing listens.
            "fallback-model" => SMALL_AND_WITHOUT_OLLAMA,
            _ => SMALL,
        };
        let set = format!("{small} --set run.concurrency={concurrency} --set run.out=at-{concurrency}");
        let run: Value =
            serde_json::from_str(&says(&format!("run {file} --episodes 2 --json {set}"))).unwrap();
        let logs = fs::read_dir(desk.path().join(run["run"].as_str().unwrap()).join("events")).unwrap();
        let logs = logs.map(|log| {
            let log = log.unwrap();
            (log.file_name(), fs::read(log.path()).unwrap())
        });
        (run, logs.collect::<BTreeMap<_, _>>())
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace().join("configs/compositions")).unwrap() {
        let file = entry.unwrap().path().canonicalize().unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let file = file.to_string_lossy();
        let ((run, one), (_, many)) = (play(&name, &file, 1), play(&name, &file, 64));
        assert!(one.len() == 2 && one == many, "{name}: the logs differ");
        let (folder, episode) =
            (run["run"].as_str().unwrap(), run["episodes"][0]["episode"].as_str().unwrap());
        let replayed = says(&format!("replay {folder} {episode}"));
        assert!(replayed.starts_with("identical"), "{name}: {replayed}");
        if name == "vote" {
            // What each planner said is shown as a tree.
            let seen = says(&format!("view {folder} {episode}"));
            let tree = ["asks     committee.of[1]", "\nasks        react"];
            assert!(tree.iter().all(|line| seen.contains(line)), "{seen}");
        }
        names.push(name);
    }
    names.sort();
    let expected = [
        "adaptive",
        "fallback-model",
        "lats-critic",
        "reflexion-pnlc",
        "switch-avalon",
        "vote",
        "within-a-budget",
    ];
    assert_eq!(names, expected);
}
