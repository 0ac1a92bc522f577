//! Avalon against published data: the golden games of AvalonBench's own code, and recorded games.

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use common::{avalon, block_on, check, import, reset};
use forethought_avalon::import::{multi_round::MultiRound, nlu::Nlu, pro::Pro};
use forethought_avalon::verify::AvalonVerifier;
use forethought_sdk::api::critic::NoProgress;
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::json;
use forethought_testkit::Suite;

fn main() -> ExitCode {
    let bench = ["avalonbench_gold", "avalonbench_presets"];
    Suite::default()
        .golden("every_golden_game_is_met", &bench, every_golden_game_is_met)
        .golden("every_check_can_fail", &bench, every_check_can_fail)
        .golden("presets_are_dealt_task_by_task", &bench[1..], presets_are_dealt_task_by_task)
        .golden("games_of_an_llm", &["avalon_multi_round"], games_of_an_llm)
        .golden("games_of_people", &["avalon_nlu"], games_of_people)
        .golden("records_without_talk", &["proavalon_records"], records_without_talk)
        .run()
}

fn every_golden_game_is_met(data: &Path) {
    let checks =
        block_on(AvalonVerifier.verify(data.into(), Arc::new(NoProgress))).expect("complete golden files");
    for check in &checks {
        println!("{}: {} of {}", check.name, check.passed, check.total);
        assert_eq!(check.passed, check.total, "{}: {:#?}", check.name, check.failures);
    }
    let total = |name: &str| -> u64 {
        let named = checks.iter().filter(|check| check.name.ends_with(name));
        named.map(|check| check.total).sum()
    };
    assert!(checks.iter().all(|check| check.total > 0), "{checks:#?}");
    assert_eq!((checks.len(), total("ends"), total("presets")), (56, 700, 20));
}

fn every_check_can_fail(data: &Path) {
    let game = std::fs::read_to_string(data.join("avalonbench_gold/games_5p.jsonl")).expect("golden games");
    let game = game.lines().next().expect("a game");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for part in ["avalonbench_gold", "avalonbench_presets"] {
        std::fs::create_dir(folder.path().join(part)).expect("a folder");
    }
    let presets = "avalonbench_presets/dev.json";
    std::fs::copy(data.join(presets), folder.path().join(presets)).expect("a copy");
    for (recorded, changed, name) in [
        ("[1, 0, 1, 1, 0], true", "[1, 1, 1, 1, 0], true", "5 players: votes of bots"),
        ("[1, 0, 1, 1, 0], true", "[1, 0, 1, 1, 0], false", "5 players: approvals"),
        ("{\"0\": 1, \"2\": 0}", "{\"0\": 0, \"2\": 1}", "5 players: cards of bots"),
        ("1, false]", "2, false]", "5 players: quests"),
        ("[\"team\", 1, [0, 1, 4]]", "[\"team\", 2, [0, 1, 4]]", "5 players: leaders"),
        ("[\"team\", 1, [0, 1, 4]]", "[\"team\", 1, [0, 4]]", "5 players: phases"),
        ("[\"team\", 1, [0, 1, 4]]", "[\"team\", 1, [0, 2, 4]]", "5 players: proposals of bots"),
        ("\"kill\", 3, 1", "\"kill\", 3, 2", "targets of bots"),
        ("\"kill\", 3, 1", "\"kill\", 3, 0", "5 players: ends"),
        ("0.6666666666666666, 0.0", "0.6666666666666667, 0.0", "5 players: beliefs of bots"),
    ] {
        let text = game.replacen(recorded, changed, 1);
        assert_ne!(text, game, "{recorded} is in the game");
        std::fs::write(folder.path().join("avalonbench_gold/games_5p.jsonl"), text).expect("a file");
        let checks =
            block_on(AvalonVerifier.verify(folder.path().into(), Arc::new(NoProgress))).expect("a file");
        let check = checks.iter().find(|check| check.name == name).expect(name);
        assert!(check.passed < check.total && !check.failures.is_empty(), "{name}: {check:?}");
    }
}

fn presets_are_dealt_task_by_task(data: &Path) {
    let world = avalon(json!({ "presets": data.join("avalonbench_presets/dev.json") }));
    assert_eq!(block_on(world.spec()).expect("a spec").tasks, Some(20));
    let table = world.deal(Reset { task: 10, seed: 5 }).expect("a deal");
    assert_eq!(table.game().leader(), 1);
    assert_eq!(reset(&world, 30, 5).seat, 1, "tasks begin again");
}

/// Games, trajectories, steps, steps with a thought of the player's own, and who won how often.
fn count(trajectories: &[Trajectory]) -> (usize, usize, usize, usize, usize) {
    let games: BTreeSet<&str> = trajectories.iter().map(|one| one.episode.as_str()).collect();
    let steps = || trajectories.iter().flat_map(|one| &one.steps);
    let own = steps().filter(|step| !step.thought.starts_with("Derived: ")).count();
    let won = trajectories.iter().filter(|one| one.score() == 1.0).count();
    (games.len(), trajectories.len(), steps().count(), own, won)
}

fn games_of_an_llm(data: &Path) {
    let (games, note) = import(&MultiRound, data.join("avalon_multi_round")).unwrap();
    check(&games);
    assert_eq!((count(&games), note.as_str()), ((81, 494, 4190, 3246, 219), "48 games left out"));
}

fn games_of_people(data: &Path) {
    let (games, note) = import(&Nlu, data.join("avalon_nlu")).unwrap();
    check(&games);
    assert_eq!((count(&games), note.as_str()), ((13, 78, 710, 0, 34), "1 games left out"));
}

fn records_without_talk(data: &Path) {
    let (games, note) = import(&Pro, data.join("proavalon_records")).unwrap();
    check(&games);
    assert_eq!((count(&games), note.as_str()), ((59, 405, 3995, 0, 186), "22 games left out"));
}
