//! Planners: whoever takes a seat.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Result,
    critic::Critic,
    environment::{Action, Environment, EnvironmentSpec, Turn},
    interface,
    llm::LlmBackend,
};

/// Decides what a seat does. A planner keeps no state between decisions: all that it may use is in its arguments.
#[interface("forethought.planner/1")]
pub trait Planner: Send + Sync {
    /// What this planner needs; checked when the configuration is read, not at step 7.
    async fn requires(&self) -> Result<Requirements>;
    /// One decision. What the models answer arrives only through `models`, so that it can be recorded and replayed.
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision>;
}

/// Writes a history down in short, for critics: the same words when data are collected and when they are used.
#[interface("forethought.summariser/1")]
pub trait Summariser: Send + Sync {
    /// What this summariser needs.
    async fn requires(&self) -> Result<Requirements>;
    /// The history that ends with `context.turn` in short. After the end of an episode, `context.ended` is set.
    async fn summarise(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Summary>;
}

/// A history in short.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Summary {
    /// A compact, decision-relevant description.
    pub state: String,
    /// One sentence on where things stand, in the style of an imagined outcome.
    pub outcome: String,
}

/// What a planner needs, by the names it was configured with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Requirements {
    /// Names under `[llm]`.
    pub llms: Vec<String>,
    /// Names under `[critic]`.
    #[serde(rename = "values")]
    pub critics: Vec<String>,
    /// Copies of the environment, for tree search.
    pub fork: bool,
    /// Log-probabilities from its models.
    pub logprobs: bool,
    /// Tool calls by its models.
    pub tools: bool,
    /// Answers of its models held to a JSON schema.
    pub json_schema: bool,
}

impl Requirements {
    /// Both needs together, each name once.
    pub fn and(mut self, other: Self) -> Self {
        for (mine, theirs) in [(&mut self.llms, other.llms), (&mut self.critics, other.critics)] {
            mine.extend(theirs);
            mine.sort();
            mine.dedup();
        }
        self.fork |= other.fork;
        self.logprobs |= other.logprobs;
        self.tools |= other.tools;
        self.json_schema |= other.json_schema;
        self
    }
}

/// The world's and the models' handles for one decision. The runtime stands behind it and records what passes.
#[interface("forethought.models/1")]
pub trait Models: Send + Sync {
    /// The language model configured as `[llm.<name>]`.
    async fn llm(&self, name: String) -> Result<Arc<dyn LlmBackend>>;
    /// The critic configured as `[critic.<name>]`.
    #[wire("value")]
    async fn critic(&self, name: String) -> Result<Arc<dyn Critic>>;
    /// A copy of the environment in its present state, if it can be copied. Never the environment itself. In a world of
    /// several seats it is an imagined one, the same at each call: see [`Models::imagine`].
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>>;
    /// A copy in which all that this seat may not know is drawn anew, from `seed`, or is as `hidden` says:
    /// [`Environment::imagine`] for the seat that decides.
    ///
    /// # Errors
    /// `hidden` that is malformed, or contradicts what the seat knows.
    async fn imagine(&self, hidden: Value, seed: u64) -> Result<Option<Arc<dyn Environment>>> {
        let _ = (hidden, seed);
        Ok(None)
    }
}

/// What a planner knows when it decides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DecisionContext {
    /// The environment's description, its instructions among it.
    pub environment: EnvironmentSpec,
    /// The seat that acts.
    pub seat: usize,
    /// Decisions made in this episode before this one, by any seat.
    pub step: u32,
    /// What this seat saw, thought and did so far, oldest first.
    pub history: Vec<Exchange>,
    /// What it sees now.
    pub turn: Turn,
    /// Whether the episode is over (for summarisers).
    pub ended: bool,
    /// Seed of this decision: every draw of the planner derives from it.
    pub seed: u64,
}

/// One earlier decision of the same seat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Exchange {
    /// What it saw.
    pub observation: String,
    /// What it thought.
    pub thought: String,
    /// What it did.
    pub action: String,
}

/// What a planner decided.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Decision {
    /// The private strategy that was acted on.
    pub thought: String,
    /// The action.
    pub action: Action,
    /// The summary it worked from, if it made one; spares a collector the same call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// How it came to this: see [`Trace`].
    pub trace: Trace,
}

/// How a decision was reached, round by round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Trace {
    /// Evaluated thoughts in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<Round>,
    /// Answers that could not be read, and what was done about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recoveries: Vec<String>,
    /// Whatever else a planner wants to show (a search tree, beliefs).
    #[serde(skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

/// One round of refinement.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Round {
    /// The thought under judgement.
    pub thought: String,
    /// Its imagined outcomes and their values.
    pub outcomes: Vec<ValuedOutcome>,
    /// Whether the thought was kept.
    pub kept: bool,
}

/// An imagined outcome and what the critic says of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ValuedOutcome {
    /// The outcome in words.
    pub text: String,
    /// Whether the model called it desirable.
    pub good: bool,
    /// Calibrated probability.
    pub probability: f64,
    /// Raw value.
    pub raw: f64,
    /// The critic's own doubt.
    pub uncertainty: f64,
}
