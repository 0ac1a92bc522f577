//! What the tests share: a table to play at through the interface, and what is true of every imported game.

#![allow(dead_code, reason = "every test file uses a part of it")]

use std::path::PathBuf;
use std::sync::Mutex;

use forethought_avalon::environment::{Avalon, AvalonConfig};
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::Value;
pub(crate) use forethought_testkit::block_on;

/// The configuration of a table, from its keys.
pub(crate) fn config(config: Value) -> AvalonConfig {
    forethought_sdk::serde_json::from_value(config).expect("a valid configuration")
}

/// A table of the given configuration.
pub(crate) fn avalon(keys: Value) -> Avalon {
    Avalon::new(config(keys)).expect("a table")
}

pub(crate) fn reset(world: &dyn Environment, task: u64, seed: u64) -> Turn {
    block_on(world.reset(Reset { task, seed })).expect("a first turn")
}

pub(crate) fn act(world: &dyn Environment, action: &str) -> Transition {
    block_on(world.step(Action::new(action))).expect("an answer")
}

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

/// The trajectories of a file or folder, and the importer's last note.
pub(crate) fn import(importer: &dyn Importer, path: impl Into<PathBuf>) -> Result<(Vec<Trajectory>, String)> {
    let notes = Arc::new(Notes::default());
    let trajectories = block_on(importer.import(path.into(), notes.clone()))?;
    let note = notes.0.lock().expect("notes").clone();
    Ok((trajectories, note))
}

/// Checks what is true of every imported trajectory.
pub(crate) fn check(trajectories: &[Trajectory]) {
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
