//! Recorded games: what the three data sets give, and what is said of malformed files.

mod common;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use forethought_avalon::behaviour::words::Outcome;
use forethought_avalon::import::{multi_round::MultiRound, nlu::Nlu, pro::Pro};
use forethought_sdk::prelude::*;

use common::{block_on, data};

/// Keeps the last note.
#[derive(Default)]
struct Notes(Mutex<String>);

#[async_trait]
impl Progress for Notes {
    async fn report(&self, _: String, _: u64, _: u64, note: String) -> Result<()> {
        *self.0.lock().expect("notes") = note;
        Ok(())
    }
}

fn import(importer: &dyn Importer, path: impl Into<PathBuf>) -> Result<(Vec<Trajectory>, String)> {
    let notes = Arc::new(Notes::default());
    let trajectories = block_on(importer.import(path.into(), notes.clone()))?;
    let note = notes.0.lock().expect("notes").clone();
    Ok((trajectories, note))
}

/// Games, trajectories, steps, steps with a thought of the player's own, and who won how often.
fn count(trajectories: &[Trajectory]) -> (usize, usize, usize, usize, usize) {
    let games: BTreeSet<&str> = trajectories.iter().map(|one| one.episode.as_str()).collect();
    let steps = || trajectories.iter().flat_map(|one| &one.steps);
    let own = steps().filter(|step| !step.thought.starts_with("Derived: ")).count();
    let won = trajectories.iter().filter(|one| one.score() == 1.0).count();
    (games.len(), trajectories.len(), steps().count(), own, won)
}

/// What holds of every trajectory, wherever it comes from.
fn check(trajectories: &[Trajectory]) {
    for one in trajectories {
        let last = one.steps.last().expect("a step");
        assert!(last.terminated && one.environment == "avalon", "{} {}", one.episode, one.seat);
        for step in &one.steps {
            assert!(
                step.observation.starts_with(&format!("[You] Player {}, ", one.seat)),
                "{}",
                step.observation
            );
            assert!(!step.thought.is_empty() && !step.outcomes.is_empty() && !step.next_state.is_empty());
        }
        let role = last.observation.split(", ").nth(1).expect("a role");
        let good = ["Merlin", "Percival", "Servant"].contains(&role);
        let ending = if (last.reward == 1.0) == good { "Good has won." } else { "Evil has won." };
        assert!(last.next_state.ends_with(ending), "{}: {}", one.episode, last.next_state);
        let quests: Vec<&str> = one
            .steps
            .iter()
            .flat_map(|step| &step.outcomes)
            .filter_map(|outcome| {
                outcome
                    .strip_prefix("Quest ")
                    .and_then(|quest| quest.split_once(' '))
                    .map(|(_, result)| result)
            })
            .collect();
        let count = |result| quests.iter().filter(|one| **one == result).count();
        let number = |count: usize| ["none", "one", "two", "three"][count];
        let results =
            format!("Quests: {} succeeded, {} failed.", number(count("succeeds.")), number(count("fails.")));
        assert!(last.next_state.contains(&results), "{}: {quests:?}: {}", one.episode, last.next_state);
    }
}

#[test]
fn games_of_an_llm() {
    let Some(data) = data() else { return };
    let (games, note) = import(&MultiRound, data.join("avalon_multi_round")).unwrap();
    check(&games);
    assert_eq!((count(&games), note.as_str()), ((81, 494, 4190, 3246, 219), "48 games left out"));
}

#[test]
fn games_of_people() {
    let Some(data) = data() else { return };
    let (games, note) = import(&Nlu, data.join("avalon_nlu")).unwrap();
    check(&games);
    assert_eq!((count(&games), note.as_str()), ((13, 78, 710, 0, 34), "1 games left out"));
}

#[test]
fn records_without_talk() {
    let Some(data) = data() else { return };
    let (games, note) = import(&Pro, data.join("proavalon_records")).unwrap();
    check(&games);
    assert_eq!((count(&games), note.as_str()), ((59, 405, 3995, 0, 186), "22 games left out"));
}

// ---- made-up files -------------------------------------------------------------------------------------------------

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
