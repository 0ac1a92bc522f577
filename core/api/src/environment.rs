//! Environments: worlds of one or more seats, entered by text.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Result, interface};

/// A world in which episodes are played.
///
/// One value is one world in one state: `reset` starts an episode in it, `step` advances it. Whatever episodes share
/// (a catalogue, an index) is built once by [`Environment::spawn`]'s receiver and shared behind an `Arc`.
#[interface("forethought.environment/1")]
pub trait Environment: Send + Sync {
    /// Seats, tasks, rules and abilities. Does not change during the component's life.
    async fn spec(&self) -> Result<EnvironmentSpec>;
    /// A fresh world over the same shared data, for one episode. Must be cheap.
    async fn spawn(&self) -> Result<Arc<dyn Environment>>;
    /// Starts the episode `(task, seed)`; the same pair gives the same episode for the same actions.
    async fn reset(&self, reset: Reset) -> Result<Turn>;
    /// Applies the action of the seat whose turn it is. An illegal action is answered, never an error.
    async fn step(&self, action: Action) -> Result<Transition>;
    /// An independent copy of this very state, for tree search; `None` where the world cannot be copied.
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(None)
    }
    /// A copy for the mind of one seat: in this very state as far as the seat knows it, and with all that the seat may
    /// not know (roles, cards, votes not yet revealed) drawn anew. A planner of a world with several seats gets no
    /// other copies, so what the copy shows may be looked at from every seat. `None` where the world offers none;
    /// then only a world of one seat is copied for planners, by [`Environment::fork`].
    ///
    /// # Errors
    /// [`Imagine::hidden`] that is malformed, or contradicts what the seat knows.
    async fn imagine(&self, imagine: Imagine) -> Result<Option<Arc<dyn Environment>>> {
        let _ = imagine;
        Ok(None)
    }
}

/// Which of the worlds that a seat thinks possible is wanted: see [`Environment::imagine`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Imagine {
    /// Whose mind it is: index into [`EnvironmentSpec::seats`].
    pub seat: usize,
    /// Seed of all that is drawn anew, and of whatever the copy draws later.
    pub seed: u64,
    /// What is hidden from the seat, as a planner believes it to be, in the environment's own terms (Avalon:
    /// `{"roles": ["merlin", ...]}`); null leaves it to the seed.
    pub hidden: Value,
}

/// What an environment says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EnvironmentSpec {
    /// Kind name, such as `webshop`.
    pub name: String,
    /// Version of the rules: a change means that old episodes are not comparable.
    pub version: String,
    /// The seats, in order.
    pub seats: Vec<SeatSpec>,
    /// Number of tasks; task ids run from 0. `None` for an endless supply.
    pub tasks: Option<u64>,
    /// The rules and the action grammar, as told to whoever takes a seat.
    pub instructions: String,
    /// Whether [`Environment::fork`] gives copies.
    pub fork: bool,
    /// How an interrupted episode is brought back.
    pub recovery: Recovery,
    /// Decisions after which the episode is truncated; `None` for no limit.
    pub max_steps: Option<u32>,
}

/// A place at the table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SeatSpec {
    /// Name, such as `agent`, `player 3`, `donor`. Config maps seat names to planners.
    pub name: String,
    /// What this seat is told beyond the common instructions.
    pub instructions: String,
}

/// How an interrupted episode is brought back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// Reset, then repeat the recorded actions: for deterministic worlds.
    #[default]
    Replay,
    /// Start the episode anew.
    Restart,
    /// Anything newer than this program: treated as [`Recovery::Restart`].
    #[serde(other)]
    Unknown,
}

/// Which episode to start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Reset {
    /// Task id, below [`EnvironmentSpec::tasks`].
    pub task: u64,
    /// Seed of everything random in this episode.
    pub seed: u64,
}

/// One seat is asked to act.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Turn {
    /// Index into [`EnvironmentSpec::seats`].
    pub seat: usize,
    /// What this seat sees now, and nothing that it may not know.
    pub observation: Observation,
    /// Every legal action, where they can be listed; empty otherwise.
    pub legal_actions: Vec<String>,
}

/// What a seat sees.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Observation {
    /// For people and language models.
    pub text: String,
    /// The same in structured form, if the environment offers one; never more than the text says.
    pub data: Value,
}

impl Observation {
    /// An observation of text alone.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), data: Value::Null }
    }
}

/// What a seat does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Action {
    /// In the environment's grammar, such as `click[buy now]`.
    pub text: String,
}

impl Action {
    /// An action from its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

/// What an action led to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Transition {
    /// The next turn; after the end, what the acting seat sees last.
    pub turn: Turn,
    /// Reward of each seat for this step, in seat order.
    pub rewards: Vec<f64>,
    /// The episode ended by the world's own rules: no future beyond this state.
    pub terminated: bool,
    /// The episode was cut off (a step limit): the future exists but is not played. Never both.
    pub truncated: bool,
    /// Whether the task was solved, where the environment knows; set at the end.
    pub success: Option<bool>,
    /// Diagnostics for logs and reports (reward parts). Never shown to a planner.
    pub info: Value,
}
