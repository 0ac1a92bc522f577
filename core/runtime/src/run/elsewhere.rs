//! Episodes that are played elsewhere (`[run] engine`): what goes out, and what comes back.
//!
//! What comes back is everything that the episode would have left here, so it is written into the same folder, and
//! nothing that reads runs sees a difference. How the two sides reach each other is not known here. The other side is
//! [`host::worker`](crate::host::worker).

use std::collections::BTreeMap;

use async_trait::async_trait;
use forethought_api::{Error, Result, environment::Reset, trajectory::Trajectory};
use serde::{Deserialize, Serialize};

use crate::budget::{Limits, Spent};
use crate::cancel::Cancel;
use crate::journal::JournalEntry;
use crate::journal::key::{Blob, EffectKey};
use crate::journal::store::{Recorded, RecordedOutcome};
use crate::run::summary::EpisodeSummary;

/// Plays episodes elsewhere.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Hands an episode over, and waits for its end. The same assignment, handed over again by another process, is the
    /// same episode. Once `cancel` is raised, the episode ends where it is.
    ///
    /// # Errors
    /// What concerns all episodes: nobody plays them, or what plays them has another configuration.
    async fn play(&self, assignment: Assignment, cancel: &Cancel) -> Result<Returned>;
}

/// An episode to be played elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Assignment {
    /// Names the start of the run: its budgets have accounts under this name.
    pub start: String,
    /// The episode's id. Who plays it must come to the same by its own configuration.
    pub episode: String,
    /// Task and seed.
    pub reset: Reset,
    /// The planner of the first seat.
    pub planner: String,
    /// Whether trajectories are collected.
    pub collect: bool,
    /// The most that the run may use, that each role may use, and that this episode may use.
    pub limits: Limits,
    /// By role.
    pub role_limits: BTreeMap<String, Limits>,
    /// Of this episode.
    pub episode_limits: Limits,
    /// What was used before this start, by role.
    pub before: BTreeMap<String, Spent>,
    /// Money that this episode cost before, in billionths of a US dollar.
    pub nano_usd: u64,
    /// Its answers that are recorded already.
    pub answers: Vec<RecordedAnswer>,
}

/// An answer that was recorded before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordedAnswer {
    key: EffectKey,
    ok: bool,
    answer: Blob,
}

impl RecordedAnswer {
    pub(crate) fn all(recorded: &Recorded) -> Vec<Self> {
        let one = |(key, outcome): (&EffectKey, &RecordedOutcome)| {
            let (ok, data) = match outcome {
                RecordedOutcome::Answer(data) => (true, data),
                RecordedOutcome::Error(data) => (false, data),
            };
            Self { key: key.clone(), ok, answer: Blob::new(data.clone()) }
        };
        recorded.effects.iter().map(one).collect()
    }

    /// The answer by its key, as an episode's journal has it.
    pub(crate) fn into_outcome(self) -> (EffectKey, RecordedOutcome) {
        let Self { key, ok, answer: Blob { data, .. } } = self;
        (key, if ok { RecordedOutcome::Answer(data) } else { RecordedOutcome::Error(data) })
    }
}

impl From<&JournalEntry> for RecordedAnswer {
    fn from(entry: &JournalEntry) -> Self {
        Self { key: entry.key.clone(), ok: entry.ok, answer: entry.answer.clone() }
    }
}

/// The end of an episode that was played elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Returned {
    /// In one line.
    pub summary: EpisodeSummary,
    /// See [`EpisodeResult::trajectories`](crate::run::episode::EpisodeResult::trajectories).
    pub trajectories: Vec<Trajectory>,
    /// The event log.
    pub events: String,
    /// Why it is not done.
    pub error: Option<Error>,
    /// Whether a budget that all episodes share was reached.
    pub reached: bool,
    /// What was recorded, in order.
    pub entries: Vec<JournalEntry>,
    /// What its attempts used, by role.
    pub charges: Vec<(String, Spent)>,
}
