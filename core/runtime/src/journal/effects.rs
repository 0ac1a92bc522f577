//! The seam between episode code and the world.
//!
//! [`run_episode`](crate::run::episode::run_episode) touches the world only through [`Durable::effect`]. Every effect
//! has a key that is fixed by its position in the episode, a serialisable input and a serialisable output, so anyone
//! who implements [`Durable`] may run it here, answer it from a journal, or hand it to an engine on another machine.
//! This module knows effects, not journals.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use forethought_api::{
    Error, Result,
    critic::{Critic, CriticQuery, Estimate, StyleCard},
    environment::{Action, Environment, Reset, Transition, Turn},
    error::Code,
    llm::{ChatRequest, Completion, LlmBackend, LlmCapabilities, Message, Usage},
    planner::{Allowance, Summariser},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::budget::tokens;
use crate::journal::key::{Blob, EffectKey};

/// Something that an episode asks of the world.
pub trait Effect: Send + Sync + 'static {
    /// Name, part of the key.
    const NAME: &'static str;
    /// How a recorded answer is used when the episode is continued.
    const REPLAY: ReplayMode = ReplayMode::UseRecorded;
    /// What is asked.
    type In: Serialize + DeserializeOwned + Send + Sync;
    /// What is answered.
    type Out: Serialize + DeserializeOwned + Send + Sync;
    /// Asks.
    fn run(deps: &Deps, input: Self::In) -> impl Future<Output = Result<Self::Out>> + Send;
    /// The input as it is recorded: its JSON, and parts of it that recur from call to call. Each of these is stored
    /// once; its hash takes its place.
    fn record(input: &Self::In) -> Result<(Blob, Vec<Blob>)> {
        Ok((Blob::new(serde_json::to_vec(input)?), Vec::new()))
    }
    /// What an effect that runs again must answer as before: all of it, unless an effect says otherwise.
    fn repeatable(answer: &Self::Out) -> Result<Vec<u8>> {
        Ok(serde_json::to_vec(answer)?)
    }
    /// The most that it is expected to use; `None` if it costs nothing.
    fn estimate(input: &Self::In) -> Option<Usage> {
        let _ = input;
        None
    }
    /// What was used.
    fn usage(output: &Self::Out) -> Usage {
        let _ = output;
        Usage::default()
    }
}

/// How a recorded answer is used when the episode is continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayMode {
    /// It is the answer: the effect does not run again.
    UseRecorded,
    /// The effect runs again, because it changes the world, and must answer the same.
    ReExecute,
}

/// Runs effects, once each.
pub trait Durable: Send + Sync + 'static {
    /// The answer to `input` at `key`: recorded, or requested now and recorded before it is returned.
    fn effect<E: Effect>(&self, key: EffectKey, input: E::In) -> impl Future<Output = Result<E::Out>> + Send;
    /// What the effects run against. The episode itself uses it only for what is local, deterministic and unrecorded:
    /// capabilities and forks.
    fn deps(&self) -> &Deps;
    /// The error that ended the episode from outside, if one did: of the journal, or of a component that died.
    fn unbroken(&self) -> Result<()> {
        Ok(())
    }
    /// Whether the answer at `key` is recorded.
    fn is_recorded(&self, key: &EffectKey) -> bool {
        let _ = key;
        false
    }
    /// The recorded calls of language models at `position`: the name of each, and what it used.
    fn recorded_calls(&self, position: &Position) -> Vec<(String, Usage)> {
        let _ = position;
        Vec::new()
    }
    /// The number of recorded answers used so far. Only for measuring.
    fn replayed(&self) -> u64 {
        0
    }
    /// Whether the user interrupted the episode. Only then is [`Code::Cancelled`] an interruption, and otherwise a
    /// component's own invention.
    fn interrupted(&self) -> bool {
        false
    }
}

/// Capacity that is kept for the next input.
const LONG: usize = 1 << 20;

thread_local! {
    /// Where inputs are written to be hashed: prompts are long, and memory for each would cost more than writing it.
    static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// An effect's name, its target, and the hash of its input.
type Question = (&'static str, String, [u8; 32]);

/// Issues the keys of one seat's step.
#[derive(Debug)]
pub struct Position {
    step: u32,
    seat: u32,
    seen: Mutex<HashMap<Question, u32>>,
}

impl Position {
    /// The position of `seat` after `step` decisions.
    pub fn new(step: u32, seat: usize) -> Self {
        Self { step, seat: u32::try_from(seat).unwrap_or(u32::MAX), seen: Mutex::default() }
    }
    /// The seat that decides.
    pub fn seat(&self) -> usize {
        self.seat as usize
    }
    /// Whether the effect at `key` is one of this step and seat.
    pub(crate) fn has(&self, key: &EffectKey) -> bool {
        (self.step, self.seat) == (key.step, key.seat)
    }
    /// The key of the next effect `E` on `target`.
    pub fn key<E: Effect>(&self, target: &str, input: &E::In) -> Result<EffectKey> {
        let input = WRITTEN.with_borrow_mut(|json| -> Result<_> {
            json.clear();
            json.shrink_to(LONG);
            serde_json::to_writer(&mut *json, input)?;
            Ok(*blake3::hash(json).as_bytes())
        })?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let count = seen.entry((E::NAME, target.to_owned(), input)).or_default();
        let occurrence = *count;
        *count += 1;
        Ok(EffectKey {
            step: self.step,
            seat: self.seat,
            effect: E::NAME.into(),
            target: target.into(),
            input,
            occurrence,
        })
    }
}

/// What the effects of one episode run against.
#[derive(Clone)]
pub struct Deps {
    /// The episode's own world.
    pub environment: Arc<dyn Environment>,
    /// Language models by role or configured name.
    pub llms: Arc<BTreeMap<String, Llm>>,
    /// Critics by configured name.
    pub critics: Arc<BTreeMap<String, CriticHandle>>,
    /// The summariser that planners may ask.
    pub summariser: Option<Arc<dyn Summariser>>,
}

/// A language model, with its capabilities at the start of the run.
#[derive(Clone)]
pub struct Llm {
    /// The model.
    pub backend: Arc<dyn LlmBackend>,
    /// Requested once per run, so that a planner that reads them decides the same when it is replayed.
    pub capabilities: LlmCapabilities,
}

/// A critic, and whether it asks language models.
#[derive(Clone)]
pub struct CriticHandle {
    /// The critic.
    pub estimator: Arc<dyn Critic>,
    /// If so, the critic itself is not an effect; its calls are.
    pub asks_models: bool,
    /// How its data speak, requested once per run as capabilities are.
    pub style: StyleCard,
}

impl Deps {
    /// The language model called `name`.
    pub fn llm(&self, name: &str) -> Result<&Llm> {
        self.llms.get(name).ok_or_else(|| unknown("language model", "llm", name, self.llms.keys()))
    }
    /// The critic called `name`.
    pub fn critic(&self, name: &str) -> Result<&CriticHandle> {
        self.critics.get(name).ok_or_else(|| unknown("critic", "critic", name, self.critics.keys()))
    }
}

fn unknown<'a>(what: &str, table: &str, name: &str, known: impl Iterator<Item = &'a String>) -> Error {
    let known: Vec<_> = known.map(String::as_str).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Error::not_found(format!(
        "no {what} called `{name}` in this run (there is: {known}); add [{table}.{name}] and name it in the \
         planner's requirements"
    ))
}

/// Starts the episode in the episode's world.
#[derive(Debug)]
pub struct ResetEnvironment;

impl Effect for ResetEnvironment {
    const NAME: &'static str = "environment.reset";
    const REPLAY: ReplayMode = ReplayMode::ReExecute;
    type In = Reset;
    type Out = Turn;
    async fn run(deps: &Deps, input: Reset) -> Result<Turn> {
        deps.environment.reset(input).await
    }
}

/// Acts in the episode's world.
#[derive(Debug)]
pub struct StepEnvironment;

impl Effect for StepEnvironment {
    const NAME: &'static str = "environment.step";
    const REPLAY: ReplayMode = ReplayMode::ReExecute;
    type In = Action;
    type Out = Transition;
    async fn run(deps: &Deps, input: Action) -> Result<Transition> {
        deps.environment.step(input).await
    }
    /// Without what release 0.1.0 did not record.
    fn repeatable(answer: &Transition) -> Result<Vec<u8>> {
        Ok(serde_json::to_vec(&Transition { illegal: false, ..answer.clone() })?)
    }
}

/// Asks a language model.
#[derive(Debug)]
pub struct Complete;

/// A request and the model that it goes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompleteInput {
    /// The name by which the planner asked: a role, or a model's configured name.
    pub llm: String,
    /// The request.
    pub request: ChatRequest,
}

impl Effect for Complete {
    const NAME: &'static str = "llm.complete";
    type In = CompleteInput;
    type Out = Completion;
    async fn run(deps: &Deps, input: CompleteInput) -> Result<Completion> {
        deps.llm(&input.llm)?.backend.complete(input.request).await
    }
    fn record(input: &CompleteInput) -> Result<(Blob, Vec<Blob>)> {
        let CompleteInput { llm, request: ChatRequest { messages, .. } } = input;
        let blob = |message: &Message| {
            // With room for what JSON escapes.
            let mut json = Vec::with_capacity(message.content.len() + message.content.len() / 8 + 64);
            serde_json::to_writer(&mut json, message)?;
            Ok(Blob::new(json))
        };
        let messages = messages.iter().map(blob).collect::<Result<Vec<_>>>()?;
        let hashes = messages.iter().map(|message| message.hex().into()).collect();
        // Without its messages, which make up nearly all of it, a request is cheap to copy.
        let mut request = serde_json::to_value(ChatRequest {
            messages: Vec::new(),
            stop: input.request.stop.clone(),
            tools: input.request.tools.clone(),
            json_schema: input.request.json_schema.clone(),
            ..input.request
        })?;
        request["messages"] = Value::Array(hashes);
        Ok((Blob::new(serde_json::to_vec(&json!({ "llm": llm, "request": request }))?), messages))
    }
    fn estimate(input: &CompleteInput) -> Option<Usage> {
        Some(tokens::estimate(&input.request))
    }
    fn usage(output: &Completion) -> Usage {
        output.usage
    }
}

/// Asks a critic.
#[derive(Debug)]
pub struct EstimateValues;

/// Questions and the critic that they go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EstimateInput {
    /// The critic's configured name.
    pub value: String,
    /// The questions.
    pub queries: Vec<CriticQuery>,
}

impl Effect for EstimateValues {
    const NAME: &'static str = "value.estimate";
    type In = EstimateInput;
    type Out = Vec<Estimate>;
    async fn run(deps: &Deps, input: EstimateInput) -> Result<Vec<Estimate>> {
        let (critic, wanted) = (deps.critic(&input.value)?, input.queries.len());
        let estimates = critic.estimator.estimate(input.queries).await?;
        complete_answer(&input.value, wanted, &estimates)?;
        Ok(estimates)
    }
}

/// Refuses a call: the budget of the decision is reached. Recorded at the call's key, because it may depend on the time.
pub(crate) struct Refuse;

impl Refuse {
    /// The key of the refusal of the call at `key`.
    pub(crate) fn key(key: &EffectKey) -> EffectKey {
        EffectKey { effect: Self::NAME.into(), ..key.clone() }
    }
}

impl Effect for Refuse {
    const NAME: &'static str = "budget.refuse";
    /// The limit that is reached.
    type In = String;
    type Out = String;
    async fn run(_: &Deps, limit: String) -> Result<String> {
        Ok(limit)
    }
}

/// Says what is left of the decision's budget. Recorded, because it depends on the time, and on what is in flight.
pub(crate) struct Left;

impl Effect for Left {
    const NAME: &'static str = "budget.left";
    type In = Allowance;
    type Out = Allowance;
    async fn run(_: &Deps, left: Allowance) -> Result<Allowance> {
        Ok(left)
    }
}

/// An error unless there is an estimate for each query.
pub(crate) fn complete_answer(critic: &str, wanted: usize, estimates: &[Estimate]) -> Result<()> {
    if estimates.len() != wanted {
        return Err(Error::new(
            Code::Plugin,
            format!("critic `{critic}` gave {} estimates for {wanted} queries", estimates.len()),
        ));
    }
    Ok(())
}

/// Runs every effect and records nothing: for trying a planner out, and for tests.
pub struct Unrecorded(pub Deps);

impl Durable for Unrecorded {
    async fn effect<E: Effect>(&self, _: EffectKey, input: E::In) -> Result<E::Out> {
        E::run(&self.0, input).await
    }
    fn deps(&self) -> &Deps {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use forethought_api::llm::{Purpose, Tool};

    use super::*;

    #[test]
    fn messages_are_replaced_by_their_hashes_in_what_is_recorded() {
        let mut request = ChatRequest::new(Purpose::Action, vec![Message::user("hello")]);
        request.tools = vec![Tool { name: "look".into(), ..Tool::default() }];
        request.seed = Some(7);
        let input = CompleteInput { llm: "a".into(), request };
        let (recorded, shared) = Complete::record(&input).unwrap();
        let message = serde_json::to_vec(&input.request.messages[0]).unwrap();
        let mut expected = serde_json::to_value(&input).unwrap();
        expected["request"]["messages"] = json!([blake3::hash(&message).to_hex().to_string()]);
        assert_eq!(shared, [Blob::new(message)]);
        assert_eq!(recorded, Blob::new(expected.to_string().into()));
    }
}
