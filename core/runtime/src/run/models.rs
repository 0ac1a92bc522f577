//! The models of a planner: each call is an effect at this step's position.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use forethought_api::{
    Error, Result,
    critic::{Critic, CriticQuery, Estimate, StyleCard},
    environment::{Environment, Imagine},
    error::Code,
    llm::{ChatRequest, Completion, LlmBackend, LlmCapabilities, Purpose, TokenStream, Usage},
    planner::{Allowance, DecisionContext, Models, Summary},
};
use futures::{future::join_all, lock::Mutex as AsyncMutex};
use serde_json::Value;

use crate::budget::decision::{DecisionBudget, refusal};
use crate::budget::{Budget, PerDecision, Reservation, Spent, tokens};
use crate::busy;
use crate::journal::effects::{
    Complete, CompleteInput, Durable, Effect, EstimateInput, EstimateValues, Left, Position, Refuse,
    complete_answer,
};
use crate::journal::key::EffectKey;
use crate::run::copies::{Path, repeatable};
use crate::run::critical::Span;
use crate::run::summary::{CallCount, add_faults};

/// What one step asked of its models.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) calls: BTreeMap<Purpose, CallCount>,
    pub(crate) value_queries: u64,
    /// What critics and summarisers could not read; see [`Models::note`].
    pub(crate) recoveries: Vec<String>,
    pub(crate) faults: BTreeMap<String, u32>,
    /// The limits of the decision's budget for which calls were refused.
    pub(crate) refused: BTreeSet<String>,
    /// When its calls were made.
    pub(crate) spans: Vec<Span>,
}

/// The models of one step of one seat.
pub(crate) struct StepModels<D>(Arc<Step<D>>);

struct Step<D> {
    durable: Arc<D>,
    position: Position,
    budget: Arc<Budget>,
    /// How the episode came here.
    path: Arc<Mutex<Path>>,
    per_decision: Arc<PerDecision>,
    /// What is left for the decision; `None` without limits, and once it is made.
    decision: Mutex<Option<Arc<DecisionBudget>>>,
    tally: Mutex<Tally>,
    stop: Mutex<Option<Error>>,
    /// The decision's seed, which its summaries are drawn from as a collector's are.
    seed: OnceLock<u64>,
    /// What was summarised on request.
    summaries: AsyncMutex<Vec<(DecisionContext, Summary)>>,
}

impl<D: Durable> StepModels<D> {
    /// Models without a budget per decision.
    pub(crate) fn new(
        durable: Arc<D>,
        position: Position,
        budget: Arc<Budget>,
        path: Arc<Mutex<Path>>,
    ) -> Self {
        Self::of(durable, position, budget, path, Arc::default(), None)
    }
    fn of(
        durable: Arc<D>,
        position: Position,
        budget: Arc<Budget>,
        path: Arc<Mutex<Path>>,
        per_decision: Arc<PerDecision>,
        decision: Option<Arc<DecisionBudget>>,
    ) -> Self {
        let (decision, (tally, stop)) = (Mutex::new(decision), Default::default());
        let (seed, summaries) = Default::default();
        Self(Arc::new(Step {
            durable,
            position,
            budget,
            path,
            per_decision,
            decision,
            tally,
            stop,
            seed,
            summaries,
        }))
    }
    /// Models that have a budget until the [decision is made](Self::decided).
    pub(crate) fn within(
        durable: Arc<D>,
        position: Position,
        budget: Arc<Budget>,
        path: Arc<Mutex<Path>>,
        per_decision: Arc<PerDecision>,
    ) -> Self {
        let decision = (!per_decision.limits.none()).then(|| {
            let request = ChatRequest::default();
            let used = durable
                .recorded_calls(&position)
                .into_iter()
                .map(|(llm, usage)| per_decision.used(&llm, &request, usage).unwrap_or(Spent::call(usage)));
            let used = used.fold(Spent::default(), |sum, one| sum + one);
            Arc::new(DecisionBudget::new(per_decision.limits, used))
        });
        Self::of(durable, position, budget, path, per_decision, decision)
    }
    /// The seed of the decision that is made.
    pub(crate) fn seed(&self, seed: u64) {
        let _ = self.0.seed.set(seed);
    }
    /// The summary of this, if the planner asked for it.
    pub(crate) async fn summarised(&self, context: &DecisionContext) -> Option<Summary> {
        let summaries = self.0.summaries.lock().await;
        summaries.iter().find(|(of, _)| of == context).map(|(_, summary)| summary.clone())
    }
    /// The decision is made: calls count for it no longer.
    pub(crate) fn decided(&self) {
        self.0.decision.lock().unwrap_or_else(PoisonError::into_inner).take();
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
    /// A call, with its time in the tally.
    async fn timed(&self, key: EffectKey, input: CompleteInput) -> Result<Completion> {
        let requested = Instant::now();
        let (answer, busy) = busy::measured(self.effect::<Complete>(key, input)).await;
        self.tally().spans.push(Span { requested, answered: Instant::now(), busy });
        answer
    }
    fn decision(&self) -> Option<Arc<DecisionBudget>> {
        self.decision.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Reserves what these calls need of the decision's budget: all of them, or none. What is recorded needs nothing.
    async fn admit(&self, calls: &[(EffectKey, CompleteInput)]) -> Result<Option<Admitted>> {
        let (Some(budget), Some((first, _))) = (self.decision(), calls.first()) else { return Ok(None) };
        let fresh: Vec<_> = calls.iter().map(|(key, _)| !self.durable.is_recorded(key)).collect();
        let expected = |(_, (_, input)): (&bool, &(EffectKey, CompleteInput))| {
            self.per_decision.expected(&input.llm, &input.request)
        };
        let wanted = fresh.iter().zip(calls).filter(|(fresh, _)| **fresh).map(expected);
        let wanted = wanted.collect::<Result<Vec<_>>>()?;
        if wanted.is_empty() {
            return Ok(None);
        }
        let refused = Refuse::key(first);
        let mut limit = String::new();
        if !self.durable.is_recorded(&refused) {
            // Others of the same request were answered before an interruption.
            let held = match wanted.len() < calls.len() {
                true => Ok(budget.hold(&wanted)),
                false => budget.reserve(&wanted).await,
            };
            match held {
                Ok(held) => return Ok(Some(Admitted { held, fresh, budget, since: Instant::now() })),
                Err(reached) => limit = reached,
            }
        }
        let limit = self.note(self.durable.effect::<Refuse>(refused, limit).await)?;
        self.tally().refused.insert(limit.clone());
        Err(refusal(&limit))
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

/// Calls that fit into the decision's budget.
struct Admitted {
    held: Reservation,
    /// Which of them are not recorded.
    fresh: Vec<bool>,
    budget: Arc<DecisionBudget>,
    since: Instant,
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
            None => {
                let spec = environment.spec().await?;
                if spec.seats.len() != 1 {
                    return Ok(None);
                }
                match environment.fork().await? {
                    None if repeatable(&spec) => {
                        let path = self.0.path.lock().unwrap_or_else(PoisonError::into_inner).clone();
                        path.copy(environment).await.map(Some)
                    }
                    copy => Ok(copy),
                }
            }
            copy => Ok(copy),
        }
    }
    async fn note(&self, recoveries: Vec<String>, faults: BTreeMap<String, u32>) -> Result<()> {
        let mut tally = self.0.tally();
        tally.recoveries.extend(recoveries);
        add_faults(&mut tally.faults, faults);
        Ok(())
    }
    /// The one that asks second waits for the first, and gets the same.
    async fn summarise(&self, context: DecisionContext) -> Result<Summary> {
        let Some(summariser) = self.0.durable.deps().summariser.clone() else {
            return Err(Error::not_found(
                "no summariser is offered to this planner: it must say in its requirements that it needs one",
            ));
        };
        let seed = self.0.seed.get().copied().unwrap_or(context.seed);
        let context = DecisionContext { seed, ..context };
        let mut summaries = self.0.summaries.lock().await;
        if let Some((_, summary)) = summaries.iter().find(|(of, _)| *of == context) {
            return Ok(summary.clone());
        }
        let summary = summariser.summarise(context.clone(), self.handle()).await?;
        summaries.push((context, summary.clone()));
        Ok(summary)
    }
    async fn allowance(&self) -> Result<Allowance> {
        let Some(budget) = self.0.decision() else { return Ok(Allowance::default()) };
        let key = self.0.position.key::<Left>("", &Allowance::default())?;
        self.0.note(self.0.durable.effect::<Left>(key, budget.left()).await)
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
            calls.push((step.position.key::<Complete>(&self.name, &input)?, input));
        }
        let admitted = step.admit(&calls).await?;
        let (keys, inputs): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
        let asked = admitted.is_some().then(|| inputs.clone());
        // Waits for all of them, even if one fails.
        let asked_for = keys.into_iter().zip(inputs).map(|(key, input)| step.timed(key, input));
        let answers = join_all(asked_for).await;
        if let (Some(Admitted { held, fresh, budget, since }), Some(asked)) = (admitted, asked) {
            let mut used = Spent::default();
            for ((fresh, CompleteInput { llm, request }), answer) in
                fresh.into_iter().zip(asked).zip(&answers)
            {
                let usage = answer.as_ref().map(|answer| answer.usage);
                used = used
                    + match usage {
                        _ if !fresh => Spent::default(),
                        Ok(usage) => step.per_decision.used(&llm, &request, usage)?,
                        // It was made, and nobody knows what it used.
                        Err(_) => Spent::call(Usage::default()),
                    };
            }
            held.settle(used);
            budget.answered(since.elapsed());
        }
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
