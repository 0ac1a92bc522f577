//! Planners decide for a seat; summarisers summarise its history for critics.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error, Result,
    critic::Critic,
    environment::{Action, Environment, EnvironmentSpec, Turn},
    interface,
    llm::{LlmBackend, LlmCapabilities},
};

/// Decides what a seat does. A planner keeps no state between decisions: it may use only its arguments.
///
/// ```
/// use forethought_api::{Result, environment::{Action, Turn}, planner::*};
/// # use std::sync::Arc;
///
/// /// Takes the first legal action.
/// struct First;
///
/// #[async_trait::async_trait]
/// impl Planner for First {
///     async fn requires(&self) -> Result<Requirements> {
///         Ok(Requirements::default())
///     }
///     async fn decide(&self, context: DecisionContext, _: Arc<dyn Models>) -> Result<Decision> {
///         let action = Action::new(context.turn.legal_actions.first().map_or("wait", String::as_str));
///         Ok(Decision { thought: "Take what comes first.".into(), action, ..Default::default() })
///     }
/// }
///
/// # struct NoModels;
/// # impl Models for NoModels {}
/// # futures::executor::block_on(async {
/// let turn = Turn { legal_actions: vec!["north".into(), "south".into()], ..Default::default() };
/// let context = DecisionContext { turn, ..Default::default() };
/// assert_eq!(First.decide(context, Arc::new(NoModels)).await?.action.text, "north");
/// # Result::<()>::Ok(()) }).unwrap();
/// ```
#[interface("forethought.planner/1")]
pub trait Planner: Send + Sync {
    /// What this planner needs; checked before the first episode, not at step 7.
    async fn requires(&self) -> Result<Requirements>;
    /// One decision. Answers of models come only through `models`, so that they can be recorded and replayed.
    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision>;
}

/// Summarises a history for critics, in the same words when data are collected and when a critic is used.
///
/// ```
/// use forethought_api::{Result, environment::{Observation, Turn}, planner::*};
/// # use std::sync::Arc;
///
/// /// Repeats the last observation.
/// struct Last;
///
/// #[async_trait::async_trait]
/// impl Summariser for Last {
///     async fn requires(&self) -> Result<Requirements> {
///         Ok(Requirements::default())
///     }
///     async fn summarise(&self, context: DecisionContext, _: Arc<dyn Models>) -> Result<Summary> {
///         let state = context.turn.observation.text;
///         let outcome = if context.ended { "The episode is over." } else { "The episode goes on." };
///         Ok(Summary { state, outcome: outcome.into() })
///     }
/// }
///
/// # struct NoModels;
/// # impl Models for NoModels {}
/// # futures::executor::block_on(async {
/// let turn = Turn { observation: Observation::text("The door is open."), ..Default::default() };
/// let context = DecisionContext { turn, ..Default::default() };
/// assert_eq!(Last.summarise(context, Arc::new(NoModels)).await?.state, "The door is open.");
/// # Result::<()>::Ok(()) }).unwrap();
/// ```
#[interface("forethought.summariser/1")]
pub trait Summariser: Send + Sync {
    /// What this summariser needs.
    async fn requires(&self) -> Result<Requirements>;
    /// Summarises the history up to and including `context.turn`; at the end of an episode, `context.ended` is set.
    async fn summarise(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Summary>;
}

/// A summary of a history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Summary {
    /// A compact, decision-relevant description.
    pub state: String,
    /// One sentence on the current situation, in the style of an imagined outcome.
    pub outcome: String,
}

/// What a planner needs, by configured names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Requirements {
    /// Names under `[llm]`.
    pub llms: Vec<String>,
    /// Names under `[critic]`.
    #[serde(rename = "values")]
    pub critics: Vec<String>,
    /// Copies of the environment, for tree search: see [`Models::fork`].
    pub fork: bool,
    /// Log-probabilities from its models.
    pub logprobs: bool,
    /// Tool calls by its models.
    pub tools: bool,
    /// Answers of its models that follow a JSON schema.
    pub json_schema: bool,
    /// The configured summariser: see [`Models::summarise`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub summariser: bool,
    /// What the planners need that this one asks, by their names under `[planner]`. Each is checked by itself: an
    /// ability that one of them needs is not needed from the models of the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub planners: Vec<(String, Requirements)>,
}

impl Requirements {
    /// Those of a planner that asks the planners of these names, which need this.
    pub fn over(inner: impl IntoIterator<Item = (String, Self)>) -> Self {
        let planners = BTreeMap::from_iter(inner);
        // Their models and critics once more, for programs of release 0.1.0: those do not know the key `planners`.
        let named = |all: Self, one: &Self| {
            all.and(Self { llms: one.llms.clone(), critics: one.critics.clone(), ..Self::default() })
        };
        let all = planners.values().fold(Self::default(), named);
        Self { planners: planners.into_iter().collect(), ..all }
    }

    /// Both requirements together, each name once.
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
        self.summariser |= other.summariser;
        self.planners.extend(other.planners);
        self
    }

    /// The first of the abilities needed from every model that `model` does not have, in words for an error.
    pub fn unmet(&self, model: &LlmCapabilities) -> Option<&'static str> {
        let unmet = |needed: bool, has: bool, what| (needed && !has).then_some(what);
        unmet(self.logprobs, model.logprobs, "log-probabilities")
            .or(unmet(self.tools, model.tools, "tool calls"))
            .or(unmet(self.json_schema, model.json_schema, "answers held to a JSON schema"))
    }
}

/// The models and the world, for one decision. Implemented by the runtime, which records every call. Each method has a
/// default body for the case that it is not offered.
#[interface("forethought.models/1")]
pub trait Models: Send + Sync {
    /// The language model configured as `[llm.<name>]`.
    async fn llm(&self, name: String) -> Result<Arc<dyn LlmBackend>> {
        Err(Error::not_found(format!("there is no language model `{name}` here")))
    }
    /// The critic configured as `[critic.<name>]`.
    #[wire("value")]
    async fn critic(&self, name: String) -> Result<Arc<dyn Critic>> {
        Err(Error::not_found(format!("there is no critic `{name}` here")))
    }
    /// A copy of the environment in its current state, if it can be copied; never the environment itself. In a world
    /// with several seats it is an imagined one, the same at each call: see [`Models::imagine`]. Where a deterministic
    /// world of one seat cannot be copied, another one repeats the episode's actions, which costs n steps after n
    /// steps, and so do copies of it.
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(None)
    }
    /// A copy in which everything hidden from this seat is drawn again from `seed`, or is as `hidden` says:
    /// [`Environment::imagine`] for the deciding seat.
    ///
    /// # Errors
    /// If `hidden` is malformed, or contradicts what the seat knows.
    async fn imagine(&self, hidden: Value, seed: u64) -> Result<Option<Arc<dyn Environment>>> {
        let _ = (hidden, seed);
        Ok(None)
    }
    /// Adds to the decision's [`Trace`] what could not be read on its behalf: a critic that asks language models has no
    /// trace of its own. Ignored where no decision is recorded.
    async fn note(&self, recoveries: Vec<String>, faults: BTreeMap<String, u32>) -> Result<()> {
        let _ = (recoveries, faults);
        Ok(())
    }
    /// The summary that the configured `[summariser]` makes of this history: the state in the words that critics were
    /// trained on. A planner that asks for it sets [`Requirements::summariser`]. Of the decision's own context it is
    /// the summary that a collector records, made once.
    ///
    /// # Errors
    /// If no summariser is offered here, or it fails.
    async fn summarise(&self, context: DecisionContext) -> Result<Summary> {
        let _ = context;
        Err(Error::not_found(
            "there is no summariser here; a planner that asks for one says so in its requirements",
        ))
    }
    /// What this decision may still use. A planner asks before each part that it can do without, and acts while it can
    /// still pay for that: a call beyond the budget is refused with [`Code::Budget`](crate::error::Code::Budget).
    async fn allowance(&self) -> Result<Allowance> {
        Ok(Allowance::default())
    }
}

/// What a decision may still use; `None` has no limit. Calls in flight count with the most that they can use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Allowance {
    /// Calls of language models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Tokens in and out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
    /// Seconds of wall-clock time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// What the largest of this decision's calls needed so far: a hint at what the next one needs.
    #[serde(skip_serializing_if = "LargestCall::none")]
    pub largest: LargestCall,
}

/// The most that a single call of a decision needed: what had to be left for it, and how long it took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LargestCall {
    /// Tokens in and out.
    pub tokens: u64,
    /// US dollars.
    pub usd: f64,
    /// Seconds of wall-clock time.
    pub seconds: f64,
}

impl LargestCall {
    fn none(&self) -> bool {
        *self == Self::default()
    }

    /// The larger of both, each by itself.
    pub fn or(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.max(other.tokens),
            usd: self.usd.max(other.usd),
            seconds: self.seconds.max(other.seconds),
        }
    }
}

impl Allowance {
    /// Whether nothing is limited.
    pub fn unlimited(&self) -> bool {
        matches!(self, Self { calls: None, tokens: None, usd: None, seconds: None, .. })
    }

    /// What both allow.
    pub fn and(self, other: Self) -> Self {
        fn less<T: PartialOrd>(a: Option<T>, b: Option<T>) -> Option<T> {
            match (a, b) {
                (Some(a), Some(b)) => Some(if b < a { b } else { a }),
                (a, b) => a.or(b),
            }
        }
        Self {
            calls: less(self.calls, other.calls),
            tokens: less(self.tokens, other.tokens),
            usd: less(self.usd, other.usd),
            seconds: less(self.seconds, other.seconds),
            largest: self.largest.or(other.largest),
        }
    }
}

/// What a planner knows when it decides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DecisionContext {
    /// The environment's description, including its instructions.
    pub environment: EnvironmentSpec,
    /// The seat that acts.
    pub seat: usize,
    /// Number of earlier decisions in this episode, by any seat.
    pub step: u32,
    /// What this seat has seen, thought and done so far, oldest first.
    pub history: Vec<Exchange>,
    /// What it sees now.
    pub turn: Turn,
    /// Whether the episode is over (for summarisers).
    pub ended: bool,
    /// Seed of this decision, from which every draw of the planner derives.
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
    /// The summary that the planner used, if it made one; saves a collector the same call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// How the decision was reached: see [`Trace`].
    pub trace: Trace,
}

/// How a decision was reached, round by round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Trace {
    /// Evaluated thoughts, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<Round>,
    /// Answers that could not be parsed, and how the planner recovered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recoveries: Vec<String>,
    /// Counts of answers that were `unreadable`, `cut`, `several` (different actions), `refused` or `empty`; of second
    /// requests (`repeated`); `unread`: 1 if the decision went on without something that it asked for twice;
    /// `unevaluated`: 1 if it follows a thought that no critic weighed, though one should have; `abstained`: 1 if the
    /// critic had no data on any outcome of the last round.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<String, u32>,
    /// Anything else that a planner wants to show (a search tree, beliefs).
    #[serde(skip_serializing_if = "Value::is_null")]
    pub details: Value,
    /// What the planners decided that this one asked, in the order in which it asked them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<InnerDecision>,
}

impl Trace {
    /// Notes what another planner decided. Its faults are counted here, because only those of the outermost trace are
    /// read; what they say of the action itself counts only if that was taken.
    pub fn add(&mut self, planner: impl Into<String>, mut decision: Decision, taken: bool) {
        let of_the_action = ["unread", "unevaluated", "abstained"];
        for (fault, count) in std::mem::take(&mut decision.trace.faults) {
            if taken || !of_the_action.contains(&fault.as_str()) {
                *self.faults.entry(fault).or_default() += count;
            }
        }
        let Decision { thought, action, trace, .. } = decision;
        let action = action.text;
        self.decisions.push(InnerDecision {
            planner: planner.into(),
            thought,
            action,
            taken,
            trace,
            ..Default::default()
        });
    }

    /// Notes that another planner failed.
    pub fn add_failure(&mut self, planner: impl Into<String>, error: &Error) {
        let error = Some(error.to_string());
        self.decisions.push(InnerDecision { planner: planner.into(), error, ..Default::default() });
    }
}

/// What a planner decided that another planner asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InnerDecision {
    /// The planner's name under `[planner]`.
    pub planner: String,
    /// The thought that it would act on.
    pub thought: String,
    /// The action that it would take.
    pub action: String,
    /// Whether the planner that asked took this decision.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub taken: bool,
    /// Why it made no decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How it was reached, without faults.
    pub trace: Trace,
}

/// One round of refinement.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Round {
    /// The thought being judged.
    pub thought: String,
    /// Its imagined outcomes with their values.
    pub outcomes: Vec<ValuedOutcome>,
    /// Whether the thought was kept.
    pub kept: bool,
}

/// An imagined outcome and the critic's estimate of it.
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
    /// The critic's own uncertainty.
    pub uncertainty: f64,
    /// The sentence that the critic knows this outcome by, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_as: Option<String>,
    /// The usual probability of this outcome in the critic's data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usual: Option<f64>,
    /// Mean score of the recorded episodes that reached this outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_return: Option<f64>,
    /// Whether it is outside the critic's data, so that its probability means nothing and is not shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub outside: bool,
    /// Whether it is outside the critic's data, and is shown nevertheless, with a remark.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strange: bool,
    /// How far the question was from the critic's data: see [`Estimate::distance`](crate::critic::Estimate::distance).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planner_over_others_needs_their_models_but_not_their_abilities_from_all() {
        let reader = Requirements { llms: vec!["big".into()], json_schema: true, ..Default::default() };
        let writer = Requirements { llms: vec!["big".into(), "small".into()], ..Default::default() };
        let both = Requirements::over([("a".into(), reader.clone()), ("b".into(), writer)]);
        assert_eq!((&*both.llms, both.json_schema), (&["big".to_string(), "small".into()][..], false));
        assert_eq!(both.planners[0], ("a".into(), reader));
    }

    #[test]
    fn two_allowances_allow_what_both_allow() {
        let largest = LargestCall { tokens: 300, ..LargestCall::default() };
        let run = Allowance { calls: Some(6), seconds: Some(2.5), largest, ..Allowance::default() };
        let own = Allowance { calls: Some(9), tokens: Some(500), ..Allowance::default() };
        let both = Allowance { calls: Some(6), tokens: Some(500), seconds: Some(2.5), usd: None, largest };
        assert_eq!((run.and(own), own.and(run)), (both, both));
        assert!(Allowance { largest, ..Allowance::default() }.unlimited() && !both.unlimited());
    }

    #[test]
    fn an_unmet_requirement_is_named() {
        let able = LlmCapabilities { tools: true, ..LlmCapabilities::default() };
        assert_eq!(Requirements { tools: true, fork: true, ..Default::default() }.unmet(&able), None);
        let needs = Requirements { logprobs: true, tools: true, json_schema: true, ..Default::default() };
        assert_eq!(needs.unmet(&able), Some("log-probabilities"));
        let able = LlmCapabilities { logprobs: true, ..able };
        assert_eq!(needs.unmet(&able), Some("answers held to a JSON schema"));
        assert_eq!(needs.unmet(&LlmCapabilities { json_schema: true, ..able }), None);
    }
}
