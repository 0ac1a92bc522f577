//! Scripted behaviours: what the simulated LLM knows about a task.
//!
//! An environment's crate may register one. A behaviour reads the text of a request and nothing else: its signature
//! takes neither an environment nor an observation, so it cannot know more than a language model would.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Result, interface};

/// The mediocre knowledge that a simulated LLM has of one kind of task.
///
/// ```
/// use forethought_api::{Result, behaviour::*};
///
/// /// Flips a switch back and forth.
/// struct Switch;
///
/// #[async_trait::async_trait]
/// impl ScriptedBehaviour for Switch {
///     async fn recognises(&self, text: String) -> Result<bool> {
///         Ok(text.contains("Flip the switch"))
///     }
///     async fn thought(&self, prompt: BehaviourPrompt) -> Result<String> {
///         Ok(["Switch it on.", "Switch it off."][prompt.seed as usize % 2].into())
///     }
///     async fn action(&self, prompt: BehaviourPrompt) -> Result<String> {
///         Ok(if prompt.thought.contains("off") { "off" } else { "on" }.into())
///     }
///     async fn outcomes(&self, prompt: BehaviourPrompt) -> Result<Vec<String>> {
///         let outcome = |n| if n < prompt.count / 2 { "The light changes." } else { "Nothing happens." };
///         Ok((0..prompt.count).map(|n| outcome(n).into()).collect())
///     }
///     async fn summary(&self, _: BehaviourPrompt) -> Result<(String, String)> {
///         Ok(("There is a switch.".into(), "Nothing happens.".into()))
///     }
/// }
///
/// # futures::executor::block_on(async {
/// let thought = Switch.thought(BehaviourPrompt { seed: 7, ..Default::default() }).await?;
/// assert_eq!(Switch.action(BehaviourPrompt { thought, ..Default::default() }).await?, "off");
/// # Result::<()>::Ok(()) }).unwrap();
/// ```
#[interface("forethought.skill/1")]
pub trait ScriptedBehaviour: Send + Sync {
    /// Whether the text is about this behaviour's task, judged by the text alone.
    async fn recognises(&self, text: String) -> Result<bool>;
    /// A strategy in words, drawn from the prior given what the text shows.
    async fn thought(&self, prompt: BehaviourPrompt) -> Result<String>;
    /// The action that carries out `prompt.thought`, in the environment's grammar.
    async fn action(&self, prompt: BehaviourPrompt) -> Result<String>;
    /// `prompt.count` imagined outcomes of following `prompt.thought`, good ones first, as many good as bad.
    async fn outcomes(&self, prompt: BehaviourPrompt) -> Result<Vec<String>>;
    /// A summary of the text's history, and one sentence in the style of an outcome.
    async fn summary(&self, prompt: BehaviourPrompt) -> Result<(String, String)>;
    /// What its regular sentences mean, and other sentences that mean the same; by default nothing is known of either.
    async fn bank(&self) -> Result<Bank> {
        Ok(Bank::default())
    }
}

/// A behaviour's own sentences, and free ones with the same meanings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Bank {
    /// What the behaviour says. Its `state` is empty: a line of state is its own meaning.
    pub regular: Wordings,
    /// Free sentences.
    pub free: Wordings,
}

/// Sentences by what they mean, in pairs of a meaning and its sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Wordings {
    /// By the name of an outcome.
    pub outcomes: Vec<(String, Vec<String>)>,
    /// By the name of a strategy.
    pub thoughts: Vec<(String, Vec<String>)>,
    /// By a regular line of state with slots in braces, named or not. A sentence has the slots of its line.
    pub state: Vec<(String, Vec<String>)>,
}

/// What a behaviour is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BehaviourPrompt {
    /// The request's messages as one text.
    pub text: String,
    /// The thought under discussion, as written in the text, or empty.
    pub thought: String,
    /// Number of outcomes requested.
    pub count: usize,
    /// Seed of every draw, derived from the text and the backend's seed.
    pub seed: u64,
}
