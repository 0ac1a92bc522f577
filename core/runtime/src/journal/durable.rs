//! This program's [`Durable`]: effects run here, and each answer is in the run's journal before it is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use forethought_api::{Error, Result, error::Code, error::Context};
use serde::de::DeserializeOwned;

use crate::budget::{Budget, Limits, Spent};
use crate::cancel::Cancel;
use crate::journal::effects::{Deps, Durable, Effect, ReplayMode};
use crate::journal::key::{Blob, EffectKey};
use crate::journal::meter::{Accounts, Meter};
use crate::journal::store::{JournalEntry, Recorded, RecordedOutcome, Store};

/// One episode's effects, journaled. The layers, outermost first: recorded answer, cancellation, budget, the call,
/// the journal.
pub struct JournaledEffects {
    deps: Deps,
    store: Store,
    recorded: Recorded,
    accounts: Arc<Accounts>,
    /// The episode's money. Its calls and tokens are counted by the episode itself, including recorded answers.
    money: Arc<Budget>,
    cancel: Cancel,
    replayed: AtomicU64,
}

impl JournaledEffects {
    /// An episode over what [`Store::begin`] returned.
    pub fn new(
        deps: Deps,
        store: Store,
        recorded: Recorded,
        accounts: Arc<Accounts>,
        cancel: Cancel,
    ) -> Self {
        let limits = Limits { max_usd: accounts.episode_usd, ..Limits::default() };
        let money = Arc::new(Budget::new("episode", limits, Spent::money(recorded.nano_usd)));
        Self { deps, store, recorded, accounts, money, cancel, replayed: AtomicU64::new(0) }
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
        let result = self.meter(&key.target).around(E::run(&self.deps, input)).await;
        let usage = estimate.map(|_| result.as_ref().map(E::usage).unwrap_or_default());
        let answer = match &result {
            Ok(output) => serde_json::to_vec(output)?,
            // Not an answer: the call was refused or withdrawn, and will be made another time.
            Err(error) if matches!(error.code, Code::Budget | Code::Cancelled) => return result,
            Err(error) => serde_json::to_vec(error)?,
        };
        let entry =
            JournalEntry { key, request, shared, ok: result.is_ok(), answer: Blob::new(answer), usage };
        let appended = self.store.append(self.recorded.number, self.recorded.attempt, entry).await;
        for reservation in reservations {
            reservation.settle(Spent::call(usage.unwrap_or_default()));
        }
        appended?;
        result
    }

    /// Around every effect, because a critic or an environment may ask a model, too.
    fn meter(&self, target: &str) -> Meter {
        Meter {
            budgets: [&self.money].into_iter().chain(self.accounts.of(target)).cloned().collect(),
            accounts: self.accounts.clone(),
            store: self.store.clone(),
            episode: self.recorded.number,
            role: target.into(),
        }
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
                 or it has changed; start a new run (--fresh)",
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
                    self.meter(&key.target).around(re_execute::<E>(&self.deps, &key, input, outcome)).await
                }
            };
        }
        if E::REPLAY == ReplayMode::ReExecute {
            self.check_same_path::<E>(&key)?;
        }
        self.ask::<E>(key, input).await
    }
    fn deps(&self) -> &Deps {
        &self.deps
    }
    fn replayed(&self) -> u64 {
        self.replayed.load(Ordering::Relaxed)
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
        (Err(now), Err(then)) => now == then,
        _ => false,
    };
    if same {
        return result;
    }
    Err(Error::other(format!(
        "step {}: {} does not answer as it did when it was recorded; the environment is not deterministic, or it has \
         changed (then it needs a new version). Start a new run (--fresh)",
        key.step,
        E::NAME
    )))
}

/// The recorded answer; the outer error is a damaged record.
pub(crate) fn recorded_answer<T: DeserializeOwned>(outcome: &RecordedOutcome) -> Result<Result<T>> {
    let unreadable = "a recorded answer cannot be read; start a new run (--fresh)";
    match outcome {
        RecordedOutcome::Answer(data) => serde_json::from_slice(data).context(unreadable).map(Ok),
        RecordedOutcome::Error(data) => serde_json::from_slice(data).context(unreadable).map(Err),
    }
}
