//! Environments: worlds with one or more seats, played through text.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Result, interface,
    llm::{Tool, ToolCall},
    tools,
};

/// A world in which episodes are played.
///
/// One value is one world in one state: `reset` starts an episode in it, `step` advances it. What episodes share (a
/// catalogue, an index) is built once, and [spawned](Environment::spawn) worlds share it behind an `Arc`.
///
/// ```
/// use forethought_api::{Result, environment::*};
/// # use std::sync::{Arc, atomic::{AtomicU64, Ordering::Relaxed}};
///
/// /// Say whether a number is odd or even.
/// #[derive(Default)]
/// struct Parity(AtomicU64);
///
/// #[async_trait::async_trait]
/// impl Environment for Parity {
///     async fn spec(&self) -> Result<EnvironmentSpec> {
///         let seats = vec![SeatSpec { name: "agent".into(), ..Default::default() }];
///         Ok(EnvironmentSpec { name: "parity".into(), seats, ..Default::default() })
///     }
///     async fn spawn(&self) -> Result<Arc<dyn Environment>> {
///         Ok(Arc::new(Self::default()))
///     }
///     async fn reset(&self, reset: Reset) -> Result<Turn> {
///         self.0.store(reset.seed, Relaxed);
///         let observation = Observation::text(format!("Is {} odd or even?", reset.seed));
///         Ok(Turn { observation, ..Default::default() })
///     }
///     async fn step(&self, action: Action) -> Result<Transition> {
///         let right = ["even", "odd"][self.0.load(Relaxed) as usize % 2];
///         let rewards = vec![if action.text == right { 1.0 } else { 0.0 }];
///         Ok(Transition { rewards, terminated: true, ..Default::default() })
///     }
/// }
///
/// # futures::executor::block_on(async {
/// let world = Parity::default();
/// world.reset(Reset { task: 0, seed: 7 }).await?;
/// assert_eq!(world.step(Action::new("odd")).await?.rewards, [1.0]);
/// # Result::<()>::Ok(()) }).unwrap();
/// ```
#[interface("forethought.environment/1")]
pub trait Environment: Send + Sync {
    /// Seats, tasks, rules and capabilities. Never changes.
    async fn spec(&self) -> Result<EnvironmentSpec>;
    /// A new world over the same shared data, for one episode. Must be cheap.
    async fn spawn(&self) -> Result<Arc<dyn Environment>>;
    /// Starts the episode `(task, seed)`; the same pair gives the same episode for the same actions.
    async fn reset(&self, reset: Reset) -> Result<Turn>;
    /// Applies the action of the seat whose turn it is. An illegal action gets an answer, not an error.
    async fn step(&self, action: Action) -> Result<Transition>;
    /// An independent copy of the current state, for tree search; `None` if the world cannot be copied. The copies of
    /// a deterministic world with one seat ([`Recovery::Replay`]) can then be made by repeating the episode's actions:
    /// n steps for a copy after n steps.
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(None)
    }
    /// A determinisation for one seat (as in ISMCTS): a copy of the current state as far as the seat knows it, with
    /// everything hidden from the seat (roles, cards, votes not yet revealed) drawn again. Planners of a world with
    /// several seats get no other copies, so they may look at the copy from every seat. `None` if the world offers
    /// none; then only worlds with one seat are copied for planners, by [`Environment::fork`].
    ///
    /// # Errors
    /// If [`Imagine::hidden`] is malformed, or contradicts what the seat knows.
    async fn imagine(&self, imagine: Imagine) -> Result<Option<Arc<dyn Environment>>> {
        let _ = imagine;
        Ok(None)
    }
}

/// Which of the worlds that a seat considers possible to return: see [`Environment::imagine`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Imagine {
    /// The seat: index into [`EnvironmentSpec::seats`].
    pub seat: usize,
    /// Seed of everything that is drawn again, and of everything that the copy draws later.
    pub seed: u64,
    /// A planner's belief about what is hidden from the seat, in the environment's own format (Avalon:
    /// `{"roles": ["merlin", ...]}`); null leaves it to the seed.
    pub hidden: Value,
}

/// Describes an environment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EnvironmentSpec {
    /// Kind name, such as `webshop`.
    pub name: String,
    /// Version of the rules: episodes of different versions are not comparable.
    pub version: String,
    /// The seats, in order.
    pub seats: Vec<SeatSpec>,
    /// Number of tasks; task ids start at 0. `None` if unlimited.
    pub tasks: Option<u64>,
    /// The rules and the action grammar, as given to every seat.
    pub instructions: String,
    /// Whether [`Environment::fork`] returns copies.
    pub fork: bool,
    /// How an interrupted episode is resumed.
    pub recovery: Recovery,
    /// Number of decisions after which the episode is truncated; `None` for no limit.
    pub max_steps: Option<u32>,
    /// Keys of its configuration that have no effect because another overrides them, and why. No run begins with them;
    /// what began before they were listed here continues.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub overridden: BTreeMap<String, String>,
}

/// A place for one player.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SeatSpec {
    /// Name, such as `agent`, `player 3`, `donor`. Config maps seat names to planners.
    pub name: String,
    /// Instructions for this seat, in addition to the common ones.
    pub instructions: String,
}

/// How an interrupted episode is resumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// Reset, then repeat the recorded actions; for deterministic worlds.
    #[default]
    Replay,
    /// Start the episode again.
    Restart,
    /// A value newer than this program; treated as [`Recovery::Restart`].
    #[serde(other)]
    Unknown,
}

/// Which episode to start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Reset {
    /// Task id, below [`EnvironmentSpec::tasks`].
    pub task: u64,
    /// Seed of all randomness in this episode.
    pub seed: u64,
}

/// One seat is asked to act.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Turn {
    /// Index into [`EnvironmentSpec::seats`].
    pub seat: usize,
    /// What this seat sees now, and nothing that is hidden from it.
    pub observation: Observation,
    /// Every legal action, if they can be listed; empty otherwise.
    pub legal_actions: Vec<String>,
    /// The tools whose calls are actions here; empty in a world whose actions are text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// How they may be called.
    #[serde(skip_serializing_if = "CallRule::is_default")]
    pub call_rule: CallRule,
}

/// How the tools of a turn may be called. Without a rule, an action is any number of calls, or words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CallRule {
    /// Words without a call are no action.
    pub required: bool,
    /// An action is one call at the most.
    pub single: bool,
}

impl CallRule {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a seat sees.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Observation {
    /// For people and language models.
    pub text: String,
    /// The same in structured form, if the environment has one; never more than the text says.
    pub data: Value,
}

impl Observation {
    /// An observation with text only.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), data: Value::Null }
    }
}

/// What a seat does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Action {
    /// In the environment's grammar, such as `click[buy now]`; of calls their canonical text: see [`tools`].
    pub text: String,
    /// The calls, where they were made as such. A world with tools reads those that are only written from the text:
    /// see [`Action::calls`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
}

impl Action {
    /// An action from its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), calls: Vec::new() }
    }

    /// The action of making these calls.
    pub fn of_calls(calls: Vec<ToolCall>) -> Self {
        Self { text: tools::write(&calls), calls }
    }

    /// The calls of a turn's tools, made or written; empty for words.
    ///
    /// # Errors
    /// What does not fit the tools or their rule, in words for the one who acts.
    pub fn calls(&self, turn: &Turn) -> Result<Vec<ToolCall>, String> {
        let calls =
            if self.calls.is_empty() { tools::read(&self.text, &turn.tools)? } else { self.calls.clone() };
        tools::check(&calls, &turn.tools)?;
        match calls.len() {
            0 if turn.call_rule.required => {
                Err("an action is a call of a tool here, and this is not a call".into())
            }
            2.. if turn.call_rule.single => Err("only one call is possible at a time".into()),
            _ => Ok(calls),
        }
    }
}

/// The result of an action.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Transition {
    /// The next turn; after the end, the last view of the acting seat.
    pub turn: Turn,
    /// Reward of each seat for this step, in the order of the seats.
    pub rewards: Vec<f64>,
    /// The episode ended by the world's own rules: there is no future after this state.
    pub terminated: bool,
    /// The episode was cut off (by a step limit): a future exists but is not played. Never both.
    pub truncated: bool,
    /// Whether the task was solved, if the environment knows; set at the end.
    pub success: Option<bool>,
    /// The action was not possible: it was refused, had no effect, or was replaced. Counted, and never shown to a planner.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub illegal: bool,
    /// Diagnostics for logs and reports (parts of the reward). Never shown to a planner.
    pub info: Value,
}
