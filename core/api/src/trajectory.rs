//! Trajectories: recorded episodes, from which critics learn.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::llm::Tool;

/// One seat's steps through one episode.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Trajectory {
    /// Identifies the episode; training and validation data are split by it.
    pub episode: String,
    /// Environment's kind name.
    pub environment: String,
    /// Task id.
    pub task: u64,
    /// Seed of the episode.
    pub seed: u64,
    /// The seat that acted.
    pub seat: usize,
    /// Where it comes from: a planner's name, or the data set it was imported from.
    pub source: String,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// What the agent was told before it began, where that is known: the system prompt.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instructions: String,
    /// The tools whose calls are its actions, where they are known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// What else is known of the episode: scores, models, times, anything that its source recorded.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub info: Map<String, Value>,
}

/// A decision and its result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Step {
    /// What the seat saw.
    pub observation: String,
    /// Summary of the history up to here: the critic's state.
    pub state: String,
    /// The private strategy.
    pub thought: String,
    /// The action taken.
    pub action: String,
    /// Summary of the history after the action: the critic's next state.
    pub next_state: String,
    /// One-sentence descriptions of the state reached, in the style of imagined outcomes: additional goals.
    pub outcomes: Vec<String>,
    /// Reward of this step.
    pub reward: f64,
    /// The episode ended here by its own rules.
    pub terminated: bool,
    /// The episode was cut off here.
    pub truncated: bool,
    /// What else is known of it: ids of calls, tokens, times.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub info: Map<String, Value>,
}

impl Step {
    /// The outcome sentences that say something. One that repeats `next_state` does not: the summariser's answer could
    /// not be read, and what is there instead was seen, and not concluded.
    pub fn said(&self) -> impl Iterator<Item = &str> {
        let says = |said: &&String| !said.trim().is_empty() && **said != self.next_state;
        self.outcomes.iter().filter(says).map(String::as_str)
    }
}

impl Trajectory {
    /// Sum of rewards.
    pub fn score(&self) -> f64 {
        self.steps.iter().map(|step| step.reward).sum()
    }
}
