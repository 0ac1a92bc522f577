//! Behaviours: what the simulated LLM knows of a task.
//!
//! An environment's crate may register one. A behaviour reads the text of a request and nothing else: the signature
//! admits neither an environment nor an observation, so it cannot know more than a language model would.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Result, interface};

/// The mediocre know-how of a simulated LLM about one kind of task.
#[interface("forethought.skill/1")]
pub trait ScriptedBehaviour: Send + Sync {
    /// Whether the text is about this behaviour's task. Judged by the text alone.
    async fn recognises(&self, text: String) -> Result<bool>;
    /// A draw from the prior over strategies, in words, given what the text shows.
    async fn thought(&self, prompt: BehaviourPrompt) -> Result<String>;
    /// The action that carries out `prompt.thought`, in the environment's grammar.
    async fn action(&self, prompt: BehaviourPrompt) -> Result<String>;
    /// `prompt.count` imagined outcomes of following `prompt.thought`, good ones first, as many good as bad.
    async fn outcomes(&self, prompt: BehaviourPrompt) -> Result<Vec<String>>;
    /// The text's history in short, and one sentence in the style of an outcome.
    async fn summary(&self, prompt: BehaviourPrompt) -> Result<(String, String)>;
}

/// What a behaviour is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BehaviourPrompt {
    /// The request's messages as one text.
    pub text: String,
    /// The thought under discussion, as it stands in the text; empty where there is none.
    pub thought: String,
    /// How many outcomes are wanted.
    pub count: usize,
    /// Seed of every draw; derived from the text and the backend's seed.
    pub seed: u64,
}
