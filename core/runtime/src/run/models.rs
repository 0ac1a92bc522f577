//! The models of a planner: each call is an effect at this step's position.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    critic::{Critic, CriticQuery, Estimate, StyleCard},
    environment::{Environment, Imagine},
    error::Code,
    llm::{ChatRequest, Completion, LlmBackend, LlmCapabilities, Purpose, TokenStream, Usage},
    planner::Models,
};
use futures::future::join_all;
use serde_json::Value;

use crate::budget::{Budget, Spent, tokens};
use crate::journal::effects::{
    Complete, CompleteInput, Durable, Effect, EstimateInput, EstimateValues, Position, complete_answer,
};
use crate::journal::key::EffectKey;
use crate::run::summary::{CallCount, add_faults};

/// What one step asked of its models.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) calls: BTreeMap<Purpose, CallCount>,
    pub(crate) value_queries: u64,
    /// What critics and summarisers could not read; see [`Models::note`].
    pub(crate) recoveries: Vec<String>,
    pub(crate) faults: BTreeMap<String, u32>,
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
    /// The budget, cancellation or dead plugin that ends the episode, even if the planner handled the error.
    pub(crate) fn stopped(&self) -> Result<()> {
        match &*self.0.stop.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error.clone()),
            None => self.0.durable.unbroken(),
        }
    }
}

impl<D: Durable> Step<D> {
    async fn effect<E: Effect>(&self, key: EffectKey, input: E::In) -> Result<E::Out> {
        let reservation = match E::estimate(&input) {
            Some(estimate) => Some((estimate, self.note(self.budget.reserve(Spent::call(estimate)).await)?)),
            None => None,
        };
        let output = self.note(self.durable.effect::<E>(key, input).await)?;
        if let Some((estimate, reservation)) = reservation {
            reservation.settle(Spent::call(tokens::counted(E::usage(&output), estimate)));
        }
        Ok(output)
    }
    fn note<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && matches!(error.code, Code::Budget | Code::Cancelled | Code::Shutdown)
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
    async fn critic(&self, name: String) -> Result<Arc<dyn Critic>> {
        self.0.durable.deps().critic(&name)?;
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
    async fn note(&self, recoveries: Vec<String>, faults: BTreeMap<String, u32>) -> Result<()> {
        let mut tally = self.0.tally();
        tally.recoveries.extend(recoveries);
        add_faults(&mut tally.faults, faults);
        Ok(())
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
    /// Samples that are requested one by one are separate effects: one that was answered stays answered when another
    /// fails, or the program is killed.
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let (purpose, step) = (request.purpose, &self.step);
        let mut calls = Vec::new();
        for request in split(request, self.capabilities.samples) {
            let input = CompleteInput { llm: self.name.clone(), request };
            // Keys are issued before the first call, so each sample keeps its own.
            let key = step.position.key::<Complete>(&self.name, &input)?;
            calls.push(step.effect::<Complete>(key, input));
        }
        // Waits for all of them, even if one fails.
        let answers = join_all(calls).await;
        for Usage { input_tokens, output_tokens } in answers.iter().flatten().map(|answer| answer.usage) {
            *step.tally().calls.entry(purpose).or_default() +=
                CallCount { calls: 1, input_tokens, output_tokens };
        }
        Ok(join(answers.into_iter().collect::<Result<_>>()?))
    }
    /// The recorded answer in one piece: a stream cannot be journaled before it is used.
    async fn stream(&self, request: ChatRequest) -> Result<Arc<dyn TokenStream>> {
        let completion = self.complete(request).await?;
        Ok(Arc::new(OnePiece { text: Mutex::new(Some(completion.text().to_owned())), completion }))
    }
}

/// The calls that a request is split into, where one gives `most` answers (0: any number). The seed of each is the
/// request's plus the number of answers before it, so that equal calls do not give equal answers.
fn split(request: ChatRequest, most: u32) -> Vec<ChatRequest> {
    let samples = request.samples.max(1);
    if most == 0 || samples <= most {
        return vec![request];
    }
    let part = |first: u32| ChatRequest {
        samples: most.min(samples - first),
        seed: request.seed.map(|seed| seed.wrapping_add(first.into())),
        ..request.clone()
    };
    (0..samples).step_by(most as usize).map(part).collect()
}

/// The answers of the calls that a request was split into, in order.
fn join(mut answers: Vec<Completion>) -> Completion {
    if answers.len() == 1 {
        return answers.remove(0);
    }
    let mut all = Completion::default();
    let mut bodies = Vec::new();
    for answer in answers {
        all.choices.extend(answer.choices);
        all.usage += answer.usage;
        bodies.push(answer.raw);
    }
    if bodies.iter().any(|body| !body.is_null()) {
        all.raw = bodies.into();
    }
    all
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
impl<D: Durable> Critic for RecordedValue<D> {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        let critic = self.step.durable.deps().critic(&self.name)?;
        let estimates = if critic.asks_models {
            let (wanted, models) = (queries.len(), StepModels(self.step.clone()).handle());
            let estimates = critic.estimator.estimate_with(queries, models).await?;
            complete_answer(&self.name, wanted, &estimates)?;
            estimates
        } else {
            let input = EstimateInput { value: self.name.clone(), queries };
            let key = self.step.position.key::<EstimateValues>(&self.name, &input)?;
            self.step.effect::<EstimateValues>(key, input).await?
        };
        self.step.tally().value_queries += estimates.len() as u64;
        Ok(estimates)
    }
    async fn style_card(&self) -> Result<StyleCard> {
        Ok(self.step.durable.deps().critic(&self.name)?.style.clone())
    }
}
