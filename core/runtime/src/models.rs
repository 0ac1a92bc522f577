//! What a planner gets to think with: models whose every call is an effect at this step's position.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    environment::{Environment, Imagine},
    error::Code,
    llm::{ChatRequest, Completion, LlmBackend, LlmCapabilities, Purpose, TokenStream},
    planner::Models,
    value::{Estimate, ValueEstimator, ValueQuery},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::Budget;
use crate::effects::{
    Complete, CompleteInput, Durable, Effect, EstimateInput, EstimateValues, Position, complete_answer,
};

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
        self.input_tokens + self.output_tokens
    }
}

impl std::ops::AddAssign for CallCount {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
    }
}

/// What one step asked of its models.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) calls: BTreeMap<Purpose, CallCount>,
    pub(crate) value_queries: u64,
}

/// The models of one step of one seat.
pub(crate) struct StepModels<D>(Arc<Step<D>>);

struct Step<D> {
    durable: Arc<D>,
    position: Position,
    budget: Arc<Budget>,
    tally: Mutex<Tally>,
    stop: Mutex<Option<Error>>,
}

impl<D: Durable> StepModels<D> {
    pub(crate) fn new(durable: Arc<D>, position: Position, budget: Arc<Budget>) -> Self {
        let (tally, stop) = Default::default();
        Self(Arc::new(Step { durable, position, budget, tally, stop }))
    }
    /// The handle for a planner or summariser.
    pub(crate) fn handle(&self) -> Arc<dyn Models> {
        Arc::new(Self(self.0.clone()))
    }
    /// What was asked since the last time this was called.
    pub(crate) fn take_tally(&self) -> Tally {
        std::mem::take(&mut self.0.tally())
    }
    /// The budget or cancellation that ends the episode, even if the planner made something of the error.
    pub(crate) fn stopped(&self) -> Result<()> {
        match &*self.0.stop.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

impl<D: Durable> Step<D> {
    async fn effect<E: Effect>(&self, target: &str, input: E::In) -> Result<E::Out> {
        let key = self.position.key::<E>(target, &input)?;
        let reservation = match E::estimate(&input) {
            Some(estimate) => Some(self.note(self.budget.reserve(estimate).await)?),
            None => None,
        };
        let output = self.note(self.durable.effect::<E>(key, input).await)?;
        if let Some(reservation) = reservation {
            reservation.settle(E::usage(&output));
        }
        Ok(output)
    }
    fn note<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && matches!(error.code, Code::Budget | Code::Cancelled)
        {
            self.stop.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        }
        result
    }
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<D: Durable> Models for StepModels<D> {
    async fn llm(&self, name: String) -> Result<Arc<dyn LlmBackend>> {
        let capabilities = self.0.durable.deps().llm(&name)?.capabilities.clone();
        Ok(Arc::new(RecordedLlm { step: self.0.clone(), name, capabilities }))
    }
    async fn value(&self, name: String) -> Result<Arc<dyn ValueEstimator>> {
        self.0.durable.deps().value(&name)?;
        Ok(Arc::new(RecordedValue { step: self.0.clone(), name }))
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        self.imagine(Value::Null, 0).await
    }
    /// What is imagined follows from the state and the arguments alone, so it needs no record.
    async fn imagine(&self, hidden: Value, seed: u64) -> Result<Option<Arc<dyn Environment>>> {
        let environment = &self.0.durable.deps().environment;
        let copy = environment.imagine(Imagine { seat: self.0.position.seat(), seed, hidden }).await?;
        match copy {
            // A world of several seats hides something from each of them: a plain copy would give it away.
            None if environment.spec().await?.seats.len() == 1 => environment.fork().await,
            copy => Ok(copy),
        }
    }
}

struct RecordedLlm<D> {
    step: Arc<Step<D>>,
    name: String,
    capabilities: LlmCapabilities,
}

#[async_trait]
impl<D: Durable> LlmBackend for RecordedLlm<D> {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(self.capabilities.clone())
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let purpose = request.purpose;
        let input = CompleteInput { llm: self.name.clone(), request };
        let completion = self.step.effect::<Complete>(&self.name, input).await?;
        let usage = completion.usage;
        *self.step.tally().calls.entry(purpose).or_default() +=
            CallCount { calls: 1, input_tokens: usage.input_tokens, output_tokens: usage.output_tokens };
        Ok(completion)
    }
    /// The recorded answer in one piece: a stream cannot be journaled before it is used.
    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        let completion = self.complete(request).await?;
        Ok(Arc::new(OnePiece { text: Mutex::new(Some(completion.text().to_owned())), completion }))
    }
}

struct OnePiece {
    text: Mutex<Option<String>>,
    completion: Completion,
}

#[async_trait]
impl TokenStream for OnePiece {
    async fn next(&self, _: u32) -> Result<Vec<String>> {
        Ok(self.text.lock().unwrap_or_else(PoisonError::into_inner).take().into_iter().collect())
    }
    async fn finish(&self) -> Result<Completion> {
        Ok(self.completion.clone())
    }
}

struct RecordedValue<D> {
    step: Arc<Step<D>>,
    name: String,
}

#[async_trait]
impl<D: Durable> ValueEstimator for RecordedValue<D> {
    async fn estimate(&self, queries: Vec<ValueQuery>) -> Result<Vec<Estimate>> {
        let critic = self.step.durable.deps().value(&self.name)?;
        let estimates = if critic.asks_models {
            let (wanted, models) = (queries.len(), StepModels(self.step.clone()).handle());
            let estimates = critic.estimator.estimate_with(queries, models).await?;
            complete_answer(&self.name, wanted, &estimates)?;
            estimates
        } else {
            let input = EstimateInput { value: self.name.clone(), queries };
            self.step.effect::<EstimateValues>(&self.name, input).await?
        };
        self.step.tally().value_queries += estimates.len() as u64;
        Ok(estimates)
    }
}
