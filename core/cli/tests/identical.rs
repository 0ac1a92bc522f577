//! Linked in, loaded, or in processes of their own: the same components make the same critic and play the same
//! episodes, byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use forethought_tests::{Desk, SHOP};

/// Everything that takes part in an episode of PNLC: either all of these cross the plugin boundary, or none.
const LIBRARIES: [&str; 5] = ["webshop", "encoder_hash", "critic_goal_q", "planners", "llm_simulated"];

/// Planners over planners, which ask each other, and each other's models, across the boundary.
const COMMITTEE: &str = r#"
[planner.committee]
kind = "vote"
of = [
    "react",
    { kind = "best-of-n", n = 2, inner = "pnlc", critic = "critic" },
    { kind = "budgeted", calls = 1, inner = "pnlc", otherwise = { kind = "cached", inner = "pnlc" } },
]
"#;

/// How the components are reached.
enum Way {
    Linked,
    Loaded,
    Processes,
}

impl Way {
    fn name(&self) -> &'static str {
        match self {
            Self::Linked => "linked",
            Self::Loaded => "loaded",
            Self::Processes => "processes",
        }
    }

    /// A command line of the program that reaches them so. The bare program has no linked components.
    fn run(&self, line: &str) -> Vec<String> {
        let set = match self {
            Self::Linked => return line.split_whitespace().map(Into::into).collect(),
            Self::Loaded => "plugins.load=['plugins']",
            Self::Processes => "plugins.load=[{path='plugins',isolation='process'}]",
        };
        line.split_whitespace().chain(["--set", set]).map(Into::into).collect()
    }

    fn desk(&self, desk: &Desk) -> assert_cmd::Command {
        match self {
            Self::Linked => desk.forethought(""),
            _ => desk.of(bare(), ""),
        }
    }
}

/// The program with nothing linked in, `core/cli/examples/bare.rs`.
fn bare() -> PathBuf {
    let bare = Path::new(env!("CARGO_BIN_EXE_forethought")).with_file_name("examples").join("bare");
    assert!(
        bare.is_file(),
        "examples are built by `cargo test -p forethought`, and not when tests are named"
    );
    bare
}

/// A library of this workspace, as Cargo built it for these tests.
fn library(name: &str) -> PathBuf {
    let file = format!("{}forethought_{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let place = Path::new(env!("CARGO_BIN_EXE_forethought")).with_file_name("deps").join(file);
    assert!(place.is_file(), "{} was not built", place.display());
    place
}

/// Every file below a folder, by its path in it. The name of a run's folder differs and is left out.
fn files(folder: &Path, like: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().contains(like) {
                found.insert(path.file_name().unwrap().into(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn the_same_bytes_come_out_whichever_way_components_are_reached() {
    let desk = Desk::new(env!("CARGO_BIN_EXE_forethought"));
    desk.write("forethought.toml", &format!("{SHOP}{COMMITTEE}"));
    fs::create_dir(desk.path().join("plugins")).unwrap();
    for name in LIBRARIES {
        let library = library(name);
        fs::copy(&library, desk.path().join("plugins").join(library.file_name().unwrap())).unwrap();
    }
    let mut results = Vec::new();
    for way in [Way::Linked, Way::Loaded, Way::Processes] {
        let name = way.name();
        let run = |line: &str| way.desk(&desk).args(way.run(line)).assert().success();
        let data = format!("data-{name}");
        run(&format!(
            "collect --planner react --first-task 20 --episodes 12 --out {data} --set run.out='runs-{data}'"
        ));
        run(&format!("train --data {data} --out critic-{name}"));
        if matches!(way, Way::Linked) {
            // All three play with one critic in one place: its path is part of an episode's identity.
            run(&format!("train --data {data} --out critic"));
        }
        run(&format!("run --planner pnlc --set run.out='runs-{name}'"));
        run(&format!("run --planner committee --episodes 1 --set run.out='runs-{name}'"));
        let weights = files(&desk.path().join(format!("critic-{name}")), "model.safetensors");
        let collected = files(&desk.path().join(format!("runs-{data}")), "events");
        let episodes = files(&desk.path().join(format!("runs-{name}")), "events");
        assert_eq!((weights.len(), collected.len(), episodes.len()), (1, 12, 5), "{name}");
        results.push((name, weights, collected, episodes));
    }
    let (_, weights, collected, episodes) = &results[0];
    for (name, others_weights, others_collected, others_episodes) in &results[1..] {
        assert!(weights == others_weights, "{name}: another critic");
        assert!(collected == others_collected, "{name}: other episodes were collected");
        assert!(episodes == others_episodes, "{name}: other episodes were played");
    }
}
