//! The golden games of AvalonBench's own code, all of them.

mod common;

use std::sync::Arc;

use common::block_on;
use forethought_avalon::verify::AvalonVerifier;
use forethought_sdk::api::critic::NoProgress;
use forethought_sdk::prelude::*;

#[test]
fn every_golden_game_is_met() {
    let Some(data) = common::data() else { return };
    let checks = block_on(AvalonVerifier.verify(data, Arc::new(NoProgress))).expect("complete golden files");
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

#[test]
fn every_check_can_fail() {
    let Some(data) = common::data() else { return };
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
