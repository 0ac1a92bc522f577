//! A recorded episode played again from its journal alone: no model is asked, and the log must be the same.

use std::path::Path;
use std::sync::Arc;

use forethought_api::{
    Error, Result,
    environment::{Recovery, Reset},
};
use serde::Serialize;

use crate::budget::Limits;
use crate::journal::durable::{re_execute, recorded_answer};
use crate::journal::effects::{Deps, Durable, Effect, ReplayMode};
use crate::journal::key::EffectKey;
use crate::journal::store::{Recorded, Store};
use crate::run::episode::run_episode;
use crate::run::plan::{Plan, RunSpec};
use crate::run::summary::EpisodeSummary;
use crate::{run::events, run::folder};

/// The result of replaying an episode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// The episode's id.
    pub episode: String,
    /// Lines of its log.
    pub events: usize,
    /// Recorded answers.
    pub answers: usize,
    /// The first difference between the logs, if there is one.
    pub difference: Option<Difference>,
}

/// The first line in which two logs differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its number, from 1.
    pub line: usize,
    /// What was recorded; nothing if the record is shorter.
    pub recorded: Option<String>,
    /// What the replay gave; nothing if that is shorter.
    pub replayed: Option<String>,
}

/// Plays `episode` of the run in folder `run` again. `spec` is that run's, with the planners of that episode in its
/// seats, and a summariser if the run had one.
///
/// # Errors
/// An episode that is not done, or has no log. What differs is no error.
pub async fn replay(spec: RunSpec, run: &Path, episode: &EpisodeSummary) -> Result<Replay> {
    let log = events::read_lines(&folder::events_path(run, &episode.episode))?;
    folder::no_links(run)?;
    let journal = folder::journal_path(run);
    if !journal.is_file() {
        return Err(Error::not_found(format!(
            "{} is missing: nothing is left to replay from",
            journal.display()
        )));
    }
    let (recorded, collected) =
        Store::open(&journal)?.recorded(episode.episode.clone()).await?.ok_or_else(|| {
            Error::input(format!(
                "episode {} is not done; the command that ran it continues it; then it can be replayed",
                episode.episode
            ))
        })?;
    let reset = Reset { task: episode.task, seed: episode.seed };
    let mut plan = Plan::new(&RunSpec { episodes: vec![reset], ..spec.clone() }).await?;
    let mut again = plan.episodes.remove(0);
    again.id = episode.episode.clone();
    again.limits = Limits::default(); // It reached none.
    if !collected {
        again.summariser = None;
    }
    let answers = recorded.effects.len();
    let deps = Deps {
        environment: spec.environment.component.spawn().await?,
        llms: Arc::new(plan.llms),
        critics: Arc::new(plan.critics),
        summariser: plan.summariser,
    };
    let re_executes = plan.environment.recovery == Recovery::Replay;
    let played = run_episode(Arc::new(FromJournal { deps, recorded, re_executes }), again).await?;
    let played = String::from_utf8_lossy(&played.events);
    Ok(Replay {
        episode: episode.episode.clone(),
        events: log.lines().count(),
        answers,
        difference: difference(&log, &played),
    })
}

/// Effects that are answered from the journal, or not at all.
struct FromJournal {
    deps: Deps,
    recorded: Recorded,
    /// Whether the world repeats its steps; one that may answer differently does not.
    re_executes: bool,
}

impl Durable for FromJournal {
    async fn effect<E: Effect>(&self, key: EffectKey, input: E::In) -> Result<E::Out> {
        let Some(outcome) = self.recorded.effects.get(&key) else {
            return Err(Error::other(format!(
                "step {}: {} gets a request that was not recorded; a component, its configuration or one of its \
                 files has changed since",
                key.step,
                E::NAME
            )));
        };
        match E::REPLAY {
            ReplayMode::ReExecute if self.re_executes => {
                re_execute::<E>(&self.deps, &key, input, outcome).await
            }
            ReplayMode::ReExecute | ReplayMode::UseRecorded => recorded_answer(outcome)?,
        }
    }
    fn deps(&self) -> &Deps {
        &self.deps
    }
    fn is_recorded(&self, key: &EffectKey) -> bool {
        self.recorded.effects.contains_key(key)
    }
    fn replayed(&self) -> u64 {
        self.recorded.effects.len() as u64
    }
}

/// The first line that is not the same, to the byte.
fn difference(recorded: &str, replayed: &str) -> Option<Difference> {
    let (mut then, mut now) = (recorded.split_inclusive('\n'), replayed.split_inclusive('\n'));
    (1..).find_map(|line| match (then.next(), now.next()) {
        (None, None) => Some(None),
        (a, b) if a == b => None,
        (a, b) => Some(Some(Difference { line, recorded: a.map(Into::into), replayed: b.map(Into::into) })),
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_found_to_the_byte() {
        let difference = |a, b| difference(a, b).map(|one| (one.line, one.recorded, one.replayed));
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(difference("a\nb\n", "a\nc\n"), Some((2, Some("b\n".into()), Some("c\n".into()))));
        assert_eq!(difference("a\nb", "a\nb\n"), Some((2, Some("b".into()), Some("b\n".into()))));
        assert_eq!(difference("a\n", ""), Some((1, Some("a\n".into()), None)));
    }
}
