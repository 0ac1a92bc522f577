//! Trajectories: recorded episodes as critics learn from them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One seat's way through one episode.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Trajectory {
    /// Identifies the episode; train and validation are split by it.
    pub episode: String,
    /// Environment's kind name.
    pub environment: String,
    /// Task id.
    pub task: u64,
    /// Seed of the episode.
    pub seed: u64,
    /// Seat that acted.
    pub seat: usize,
    /// Who made it: a planner's name, or the data set it was imported from.
    pub source: String,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// One decision and what it led to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Step {
    /// What the seat saw.
    pub observation: String,
    /// The history up to here in short: the critic's state.
    pub state: String,
    /// The private strategy.
    pub thought: String,
    /// The action taken.
    pub action: String,
    /// The history after the action in short: the critic's next state.
    pub next_state: String,
    /// One-sentence descriptions of the state reached, in the style of imagined outcomes: further goals.
    pub outcomes: Vec<String>,
    /// Reward of this step.
    pub reward: f64,
    /// The episode ended here by its own rules.
    pub terminated: bool,
    /// The episode was cut off here.
    pub truncated: bool,
}

impl Trajectory {
    /// Sum of rewards.
    pub fn score(&self) -> f64 {
        self.steps.iter().map(|step| step.reward).sum()
    }
}
