//! The durable of this program: effects run here, and their answers lie in the run's journal before they are used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use forethought_api::{Error, Result, error::Code, error::Context};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::budget::Budget;
use crate::cancel::Cancel;
use crate::effects::{Deps, Durable, Effect, EffectKey, Recall};
use crate::store::{Entry, Outcome, Recorded, Store};

/// One episode's effects, journaled. The layers, outermost first: recorded answer, cancellation, budget, the call,
/// the journal.
pub struct Journaled {
    deps: Deps,
    store: Store,
    recorded: Recorded,
    budget: Arc<Budget>,
    cancel: Cancel,
    recalled: AtomicU64,
}

impl Journaled {
    /// An episode over what [`Store::begin`] returned. `budget` is the run's.
    pub fn new(deps: Deps, store: Store, recorded: Recorded, budget: Arc<Budget>, cancel: Cancel) -> Self {
        Self { deps, store, recorded, budget, cancel, recalled: AtomicU64::new(0) }
    }

    async fn ask<E: Effect>(&self, key: EffectKey, input: E::In) -> Result<E::Out> {
        self.cancel.check()?;
        self.budget.check_time()?;
        let reservation = match E::estimate(&input) {
            Some(estimate) => Some(self.budget.reserve(estimate).await?),
            None => None,
        };
        // The reservation may have been waited for.
        self.cancel.check()?;
        let (request, shared) = split(serde_json::to_value(&input)?, E::SHARED)?;
        let result = E::run(&self.deps, input).await;
        let usage = reservation.as_ref().map(|_| result.as_ref().map(E::usage).unwrap_or_default());
        let outcome = match &result {
            Ok(output) => Outcome::Answer(serde_json::to_vec(output)?),
            // Not an answer: the call was refused or withdrawn, and is to be made another time.
            Err(error) if matches!(error.code, Code::Budget | Code::Cancelled) => return result,
            Err(error) => Outcome::Error(serde_json::to_vec(error)?),
        };
        let entry = Entry { key, request, shared, outcome, usage };
        let appended = self.store.append(self.recorded.number, self.recorded.attempt, entry).await;
        if let (Some(reservation), Some(usage)) = (reservation, usage) {
            reservation.settle(usage);
        }
        appended?;
        result
    }

    async fn repeat<E: Effect>(&self, key: EffectKey, input: E::In, outcome: &Outcome) -> Result<E::Out> {
        let result = E::run(&self.deps, input).await;
        let recorded = recall::<E::Out>(outcome)?;
        let same = match (&result, &recorded) {
            // By their JSON, which is what was recorded; and parsed first, for this program may know more fields.
            (Ok(now), Ok(then)) => serde_json::to_vec(now)? == serde_json::to_vec(then)?,
            (Err(now), Err(then)) => now == then,
            _ => false,
        };
        if same {
            return result;
        }
        Err(Error::other(format!(
            "step {}: {} does not answer as it did when it was recorded; the environment is not deterministic, or has \
             changed since (then it needs a new version). Start a fresh run",
            key.step,
            E::NAME
        )))
    }

    /// An action at a step that has another action on record: the planner did not decide the same again.
    fn check_same_path<E: Effect>(&self, key: &EffectKey) -> Result<()> {
        let elsewhere = self.recorded.effects.keys().any(|other| {
            other.step == key.step
                && other.effect == key.effect
                && (other.seat, other.input) != (key.seat, key.input)
        });
        if elsewhere {
            return Err(Error::other(format!(
                "step {}: the recorded {} was asked something else; the planner does not decide the same from the \
                 same answers, or has changed since. Start a fresh run",
                key.step,
                E::NAME
            )));
        }
        Ok(())
    }
}

impl Durable for Journaled {
    async fn effect<E: Effect>(&self, key: EffectKey, input: E::In) -> Result<E::Out> {
        if let Some(outcome) = self.recorded.effects.get(&key) {
            self.recalled.fetch_add(1, Ordering::Relaxed);
            return match E::RECALL {
                Recall::Answer => recall(outcome)?,
                Recall::Repeat => {
                    self.cancel.check()?;
                    self.repeat::<E>(key, input, outcome).await
                }
            };
        }
        if E::RECALL == Recall::Repeat {
            self.check_same_path::<E>(&key)?;
        }
        self.ask::<E>(key, input).await
    }
    fn deps(&self) -> &Deps {
        &self.deps
    }
    fn recalled(&self) -> u64 {
        self.recalled.load(Ordering::Relaxed)
    }
}

/// The recorded answer; the outer error is a damaged record.
fn recall<T: DeserializeOwned>(outcome: &Outcome) -> Result<Result<T>> {
    let unreadable = "a recorded answer cannot be read; start a fresh run";
    match outcome {
        Outcome::Answer(data) => serde_json::from_slice(data).context(unreadable).map(Ok),
        Outcome::Error(data) => serde_json::from_slice(data).context(unreadable).map(Err),
    }
}

/// Takes the elements of the list at `pointer` out of `input` and leaves their hashes.
fn split(mut input: Value, pointer: Option<&str>) -> Result<(Vec<u8>, Vec<Vec<u8>>)> {
    let mut shared = Vec::new();
    if let Some(Value::Array(elements)) = pointer.and_then(|pointer| input.pointer_mut(pointer)) {
        for element in elements {
            let data = serde_json::to_vec(element)?;
            *element = Value::String(blake3::hash(&data).to_hex().to_string());
            shared.push(data);
        }
    }
    Ok((serde_json::to_vec(&input)?, shared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_parts_are_replaced_by_their_hashes() {
        let input = serde_json::json!({"llm": "a", "request": {"messages": [{"content": "hello"}]}});
        let (request, shared) = split(input.clone(), Some("/request/messages")).expect("JSON");
        assert_eq!(shared, [br#"{"content":"hello"}"#.to_vec()]);
        let hash = blake3::hash(&shared[0]).to_hex();
        assert_eq!(
            String::from_utf8_lossy(&request),
            format!(r#"{{"llm":"a","request":{{"messages":["{hash}"]}}}}"#)
        );
        assert_eq!(split(input.clone(), None).expect("JSON").0, serde_json::to_vec(&input).expect("JSON"));
    }
}
