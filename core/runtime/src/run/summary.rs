//! What identifies an episode, and its results in one line.

use std::collections::BTreeMap;

use forethought_api::{Result, environment::Reset, llm::Purpose};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::Limits;

/// Everything that makes two episodes the same episode.
#[derive(Debug, Clone, Serialize)]
pub struct EpisodeIdentity<'a> {
    /// Environment's kind name.
    pub environment: &'a str,
    /// Environment's version.
    pub version: &'a str,
    /// Environment's configuration.
    pub environment_config: &'a Value,
    /// Task and seed.
    pub reset: Reset,
    /// Configurations of the planners, seat by seat.
    pub planners: Vec<&'a Value>,
    /// Configurations of the models that they use, by name, with the models' capabilities.
    pub models: &'a BTreeMap<String, Value>,
    /// Configuration of the summariser, if the episode is collected.
    pub summariser: Option<&'a Value>,
    /// The most that each decision may use, if that is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_decision: Option<Limits>,
}

/// The word for `word`, a section or key of a configuration, in identities.
///
/// Release 0.1.0 wrote critics as `[value.<name>]` and `value = "<name>"`. Ids of its episodes, and the hash by which a
/// run is found again, are hashes of these words; so they stay in identities, and runs of that release continue.
pub(crate) fn identity_word(word: &str) -> &str {
    if word == "critic" { "value" } else { word }
}

/// The id of an episode: 32 hexadecimal digits.
pub fn episode_id(identity: &EpisodeIdentity<'_>) -> Result<String> {
    let digest = blake3::hash(&serde_json::to_vec(identity)?);
    Ok(digest.to_hex()[..32].to_owned())
}

/// Adds counts of faults.
pub(crate) fn add_faults(sums: &mut BTreeMap<String, u32>, more: BTreeMap<String, u32>) {
    for (key, count) in more {
        let sum = sums.entry(key).or_default();
        *sum = sum.saturating_add(count);
    }
}

/// How an episode ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpisodeStatus {
    /// The environment ended it, or its step limit.
    Done,
    /// Something in it failed; the error says what.
    Failed,
    /// A budget was reached.
    Budget,
    /// The run was interrupted; the episode will be continued.
    Interrupted,
}

/// An episode in one line: what `episodes.jsonl` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpisodeSummary {
    /// The episode's id.
    pub episode: String,
    /// Task id.
    pub task: u64,
    /// Seed.
    pub seed: u64,
    /// How it ended.
    pub status: EpisodeStatus,
    /// Why, unless it ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Sum of the subject's rewards.
    pub score: f64,
    /// Sum of rewards of each seat.
    pub scores: Vec<f64>,
    /// Names of the planners, seat by seat.
    #[serde(default)]
    pub seats: Vec<String>,
    /// Whether the task was solved, where the environment knows.
    pub success: Option<bool>,
    /// What else the environment measured: the table `metrics` of the last transition's `info`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// Decisions of all seats.
    pub steps: u32,
    /// Decisions of the subject.
    pub decisions: u32,
    /// Calls of language models in the subject's decisions.
    pub llm_calls: u64,
    /// Their tokens, in and out.
    pub tokens: u64,
    /// The same by purpose.
    pub calls: BTreeMap<Purpose, CallCount>,
    /// Calls for the other seats and for collecting.
    pub other_calls: CallCount,
    /// Answers that could not be read in the subject's decisions, and the result: sums of
    /// [`Trace::faults`](forethought_api::planner::Trace::faults). `over_budget`: decisions in which a call was refused
    /// because the budget of the decision was reached.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<String, u32>,
    /// The same for the other seats.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub other_faults: BTreeMap<String, u32>,
    /// Questions to critics in the subject's decisions.
    pub value_queries: u64,
    /// Mean time of the subject's decisions in milliseconds, without those with recorded answers.
    pub ms_per_decision: Option<f64>,
    /// Mean length of the critical paths of these decisions in milliseconds: of their longest chains of calls of which
    /// each was requested after the one before it was answered. Time in which no model worked does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_ms_per_decision: Option<f64>,
    /// The same in calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_calls_per_decision: Option<f64>,
}

/// Calls of language models and what they used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallCount {
    /// Calls.
    pub calls: u64,
    /// Tokens of the requests.
    pub input_tokens: u64,
    /// Tokens of the answers.
    pub output_tokens: u64,
}

impl CallCount {
    /// Tokens in and out.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

impl std::ops::AddAssign for CallCount {
    fn add_assign(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
    }
}
