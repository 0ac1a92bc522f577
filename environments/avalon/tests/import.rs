//! Recorded games, from small files made here; `golden.rs` reads the published data sets.

mod common;

use forethought_avalon::behaviour::words::Outcome;
use forethought_avalon::import::{multi_round::MultiRound, nlu::Nlu, pro::Pro};
use forethought_sdk::prelude::*;
use forethought_sdk::simulated::Worded;

use common::{check, import};

/// A folder with one file.
fn folder(name: &str, text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(name), text).expect("a file");
    folder
}

/// A record of ProAvalon's in which `a` to `e` lead in turn, three rejected teams each time, until the hammer falls.
fn record(vote_of_e: &str, winner: &str) -> String {
    let votes = |player: usize| {
        let words: Vec<String> = (0..5)
            .map(|turn| {
                let picked = if player < 2 { "VHpicked " } else { "" };
                let leader = if player == turn { "VHleader " } else { "" };
                let vote = if player == 4 { vote_of_e } else { "VHreject" };
                format!("\"{picked}{leader}{vote}\"")
            })
            .collect();
        format!("\"{}\": [[{}]]", ["a", "b", "c", "d", "e"][player], words.join(", "))
    };
    format!(
        r#"[{{"_id": "g", "winningTeam": "{winner}", "howTheGameWasWon": "Hammer rejected.", "missionHistory": ["failed"],
        "voteHistory": {{{}}}, "playerRoles": {{"a": {{"role": "Merlin"}}, "b": {{"role": "Resistance"}},
        "c": {{"role": "Resistance"}}, "d": {{"role": "Spy"}}, "e": {{"role": "Assassin"}}}}}}]"#,
        (0..5).map(votes).collect::<Vec<_>>().join(", ")
    )
}

#[test]
fn a_record_becomes_one_trajectory_a_seat() {
    let folder = folder("game_records.json", &record("VHapprove", "Spy"));
    let (games, note) = import(&Pro, folder.path()).unwrap();
    check(&games);
    assert_eq!((games.len(), note.as_str()), (5, "0 games left out"));
    let merlin = &games[0];
    assert_eq!((merlin.episode.as_str(), merlin.seat, merlin.steps.len()), ("avalon-pro/g", 0, 6));
    let first = &merlin.steps[0];
    assert_eq!(
        (first.thought.as_str(), first.action.as_str()),
        ("Derived: Propose the team 0, 1.", "propose [0, 1]")
    );
    assert_eq!(first.next_state, merlin.steps[1].state);
    assert_eq!(games[4].steps[0].action, "vote approve");
    assert_eq!((merlin.score(), games[4].score()), (0.0, 1.0));
    assert_eq!(merlin.steps[5].outcomes, Outcome::Deadlock.wordings());
}

#[test]
fn what_does_not_come_out_is_left_out_and_counted() {
    for (vote, winner) in
        [("VHapproveVHreject", "Spy"), ("VHapprove", "Resistance"), ("VHleader VHreject", "Spy")]
    {
        let folder = folder("game_records.json", &record(vote, winner));
        let (games, note) = import(&Pro, folder.path()).unwrap();
        assert_eq!((games.len(), note.as_str()), (0, "1 games left out"), "{vote} {winner}");
    }
}

#[test]
fn malformed_files_are_named_with_the_line() {
    let complaint = |importer: &dyn Importer, name: &str, text: &str| {
        let folder = folder(name, text);
        import(importer, folder.path()).unwrap_err().message
    };
    let error = complaint(&MultiRound, "games.jsonl", "\n{\"file\": \"x\"}\n");
    assert!(error.contains("games.jsonl:2: missing field `game`"), "{error}");
    let error = complaint(&Nlu, "a.json", "{\n\"users\": 3}");
    assert!(error.contains("a.json: invalid type") && error.contains("line 2"), "{error}");
    let error = complaint(&Pro, "game_records.json", "[\n\n{}]");
    assert!(error.contains("game_records.json: missing field `_id` at line 3"), "{error}");
    let error = import(&Pro, "/nowhere/at/all.json").unwrap_err().message;
    assert!(
        error.contains("cannot read /nowhere/at/all.json") && error.contains("give the data set's file"),
        "{error}"
    );
}
