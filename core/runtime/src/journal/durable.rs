//! This program's [`Durable`]: effects run here, and each answer is in the run's journal before it is used.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use forethought_api::{
    Error, Result,
    error::{Code, Context},
    llm::{Completion, Usage},
};
use serde::de::DeserializeOwned;

use crate::budget::{Budget, Limits, Reservation, Spent, tokens};
use crate::cancel::Cancel;
use crate::journal::effects::{Complete, Deps, Durable, Effect, Position, ReplayMode};
use crate::journal::key::{Blob, EffectKey};
use crate::journal::meter::{Accounts, Meter};
use crate::journal::store::{Recorded, RecordedOutcome};
use crate::journal::{Journal, JournalEntry};

/// One episode's effects, journaled. The layers, outermost first: recorded answer, cancellation, budget, the call,
/// the journal.
pub struct JournaledEffects {
    deps: Deps,
    journal: Arc<dyn Journal>,
    recorded: Recorded,
    accounts: Arc<Accounts>,
    /// The episode's money. Its calls and tokens are counted by the episode itself, including recorded answers.
    money: Arc<Budget>,
    cancel: Cancel,
    replayed: AtomicU64,
    /// The first failure of this machine's; nothing is asked after it.
    failed: Mutex<Option<Error>>,
}

impl JournaledEffects {
    /// An episode of which this is recorded, and its journal.
    pub fn new(
        deps: Deps,
        journal: Arc<dyn Journal>,
        recorded: Recorded,
        accounts: Arc<Accounts>,
        cancel: Cancel,
    ) -> Self {
        let limits = Limits { max_usd: accounts.episode_usd, ..Limits::default() };
        let money = Arc::new(Budget::new("episode", limits, Spent::money(recorded.nano_usd)));
        Self {
            deps,
            journal,
            recorded,
            accounts,
            money,
            cancel,
            replayed: AtomicU64::new(0),
            failed: Mutex::default(),
        }
    }

    async fn ask<E: Effect>(&self, key: EffectKey, input: E::In) -> Result<E::Out> {
        self.cancel.check()?;
        self.accounts.run.check_time()?;
        let estimate = E::estimate(&input);
        let mut reservations = Vec::new();
        if let Some(estimate) = estimate {
            for budget in self.accounts.of(&key.target) {
                reservations.push(budget.reserve(Spent::call(estimate)).await?);
            }
        }
        // The reservations may have taken a while.
        self.cancel.check()?;
        let (request, shared) = E::record(&input)?;
        let meter = self.meter(&key.target, estimate.map(|_| reservations));
        let result = self.cancel.effect(meter.clone().around(E::run(&self.deps, input))).await;
        // Nothing is left where each attempt was counted when it was made.
        let call = meter.take_call();
        let used = |expected| {
            result.as_ref().map(|output| tokens::counted(E::usage(output), expected)).unwrap_or_default()
        };
        let usage = estimate.map(used).filter(|_| call.is_some());
        if let Some(error) = meter.failure() {
            return self.fail(error);
        }
        let answer = match &result {
            Ok(output) => serde_json::to_vec(output)?,
            // Not an answer: the call was refused or withdrawn, or its plugin died; it will be made another time.
            Err(error) if matches!(error.code, Code::Budget | Code::Cancelled | Code::Shutdown) => {
                return result;
            }
            // Nor is what goes wrong on this side of the call.
            Err(Error { code: Code::Panic | Code::Deadline, .. }) => {
                return result.or_else(|error| self.fail(error));
            }
            // Nor is this: it ends the episode, and the world may have recovered when that is continued.
            Err(_) if E::REPLAY == ReplayMode::ReExecute => return result,
            Err(error) => serde_json::to_vec(error)?,
        };
        let entry =
            JournalEntry { key, request, shared, ok: result.is_ok(), answer: Blob::new(answer), usage };
        let appended = self.journal.append(entry).await;
        for reservation in call.into_iter().flatten() {
            reservation.settle(Spent::call(usage.unwrap_or_default()));
        }
        match appended {
            Ok(()) => result,
            Err(error) => self.fail(error),
        }
    }

    /// Ends the episode with an error that is not part of it. What the planner makes of it must not be recorded, because
    /// it will not happen again when the episode is continued.
    fn fail<T>(&self, error: Error) -> Result<T> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
        Err(error)
    }

    /// Around every effect, because a critic or an environment may ask a model, too.
    fn meter(&self, target: &str, call: Option<Vec<Reservation>>) -> Arc<Meter> {
        Arc::new(Meter {
            call: Mutex::new(call),
            failed: Mutex::default(),
            budgets: [&self.money].into_iter().chain(self.accounts.of(target)).cloned().collect(),
            accounts: self.accounts.clone(),
            journal: self.journal.clone(),
            role: target.into(),
            cancel: self.cancel.clone(),
        })
    }

    /// An error if another action is recorded at this step: the planner did not decide the same again.
    fn check_same_path<E: Effect>(&self, key: &EffectKey) -> Result<()> {
        let elsewhere = self.recorded.effects.keys().any(|other| {
            other.step == key.step
                && other.effect == key.effect
                && (other.seat, other.input) != (key.seat, key.input)
        });
        if elsewhere {
            return Err(Error::other(format!(
                "step {}: replay diverged: the journal holds a different {} here. The planner is not deterministic, \
                 or it has changed since; with what it was, the same command continues",
                key.step,
                E::NAME
            )));
        }
        Ok(())
    }
}

impl Durable for JournaledEffects {
    async fn effect<E: Effect>(&self, key: EffectKey, input: E::In) -> Result<E::Out> {
        if let Some(outcome) = self.recorded.effects.get(&key) {
            self.replayed.fetch_add(1, Ordering::Relaxed);
            return match E::REPLAY {
                ReplayMode::UseRecorded => recorded_answer(outcome)?,
                ReplayMode::ReExecute => {
                    self.cancel.check()?;
                    let again = re_execute::<E>(&self.deps, &key, input, outcome);
                    self.cancel.effect(self.meter(&key.target, None).around(again)).await
                }
            };
        }
        if E::REPLAY == ReplayMode::ReExecute {
            self.check_same_path::<E>(&key)?;
        }
        self.unbroken()?;
        self.ask::<E>(key, input).await
    }
    fn deps(&self) -> &Deps {
        &self.deps
    }
    fn is_recorded(&self, key: &EffectKey) -> bool {
        self.recorded.effects.contains_key(key)
    }
    fn recorded_calls(&self, position: &Position) -> Vec<(String, Usage)> {
        let calls = self.recorded.effects.iter();
        let calls = calls.filter(|(key, _)| position.has(key) && key.effect == Complete::NAME);
        let used = |outcome| match recorded_answer::<Completion>(outcome) {
            Ok(Ok(answer)) => answer.usage,
            _ => Usage::default(),
        };
        calls.map(|(key, outcome)| (key.target.clone(), used(outcome))).collect()
    }
    fn replayed(&self) -> u64 {
        self.replayed.load(Ordering::Relaxed)
    }
    fn unbroken(&self) -> Result<()> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }
    fn interrupted(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

/// Runs an effect again, which must answer as it did.
pub(crate) async fn re_execute<E: Effect>(
    deps: &Deps,
    key: &EffectKey,
    input: E::In,
    outcome: &RecordedOutcome,
) -> Result<E::Out> {
    let result = E::run(deps, input).await;
    let recorded = recorded_answer::<E::Out>(outcome)?;
    let same = match (&result, &recorded) {
        // By their JSON, which is what was recorded; and parsed first, because this program may know more fields.
        (Ok(now), Ok(then)) => E::repeatable(now)? == E::repeatable(then)?,
        // The world fails now, which says nothing about what it answered before.
        (Err(_), _) => true,
        (Ok(_), Err(_)) => false,
    };
    if same {
        return result;
    }
    Err(Error::other(format!(
        "step {}: {} does not answer as it did when it was recorded; the environment is not deterministic, or it has \
         changed since (then it needs a new version); with what it was, the same command continues",
        key.step,
        E::NAME
    )))
}

/// The recorded answer; the outer error is a damaged record.
pub(crate) fn recorded_answer<T: DeserializeOwned>(outcome: &RecordedOutcome) -> Result<Result<T>> {
    let unreadable = "a recorded answer cannot be read: it is not of this program, or of a newer one";
    match outcome {
        RecordedOutcome::Answer(data) => serde_json::from_slice(data).context(unreadable).map(Ok),
        RecordedOutcome::Error(data) => serde_json::from_slice(data).context(unreadable).map(Err),
    }
}
