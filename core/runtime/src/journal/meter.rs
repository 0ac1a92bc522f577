//! Calls, tokens and money, counted where they are used: at each attempt at a call.
//!
//! Budgets belong to a run, models to a host, and one call may be many attempts, or none where a cache answers. So the
//! run puts its meter around a call as a task-local value (`Meter::around`), and the innermost layer asks the meter
//! of its task before each attempt (`Metering::set_aside`). Outside of runs there is no meter, and nothing is
//! counted. An attempt that finds no meter while a run uses the model was made from another task: if it costs anything,
//! it is refused.
//!
//! The most that an attempt can use is set aside in every budget, and written into the run's journal, before anything
//! is sent. An answer replaces it with what it used, a refusal with the call alone. An attempt that failed in any other way, or
//! was given up, or was in flight when the process was killed, may have been charged: it keeps what was set aside.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use forethought_api::{
    Error, Result,
    error::Code,
    llm::{ChatRequest, Completion, Usage},
};

use crate::budget::prices::{Cost, Price};
use crate::budget::{Budget, Reservation, Spent, tokens};
use crate::cancel::Cancel;
use crate::journal::Journal;

tokio::task_local! {
    static METER: Arc<Meter>;
}

/// Who pays for the calls of a run, and what they cost.
#[derive(Debug)]
pub struct Accounts {
    /// The run's budget.
    pub run: Arc<Budget>,
    /// Budgets of roles, by name.
    pub roles: BTreeMap<String, Arc<Budget>>,
    /// The most that an episode may cost in US dollars.
    pub episode_usd: Option<f64>,
    /// Prices by `[llm.<name>]`, where they are known.
    pub prices: BTreeMap<String, Option<Price>>,
}

impl Accounts {
    /// Whether a budget that all episodes share was reached.
    pub fn reached(&self) -> bool {
        self.run.reached() || self.roles.values().any(|role| role.reached())
    }
    fn limits_calls(&self) -> bool {
        self.run.limits_calls() || self.roles.values().any(|role| role.limits_calls())
    }
    fn limits_money(&self) -> bool {
        self.episode_usd.is_some()
            || self.run.limits_money()
            || self.roles.values().any(|role| role.limits_money())
    }
    /// The budgets that calls of `target` count against, the narrower first.
    pub(crate) fn of(&self, target: &str) -> impl Iterator<Item = &Arc<Budget>> {
        self.roles.get(target).into_iter().chain([&self.run])
    }
}

/// Which runs count the calls of a set of models. A host shares one with its models and with the runs of these.
#[derive(Debug, Clone, Default)]
pub struct Metering(Arc<Mutex<Vec<Weak<Accounts>>>>);

/// Counts what one episode pays in one role.
pub(crate) struct Meter {
    /// Who pays, the narrowest first: a call that waits for an episode's money holds none of the run's.
    pub(crate) budgets: Vec<Arc<Budget>>,
    pub(crate) accounts: Arc<Accounts>,
    /// Where spending is recorded: the episode's journal, and the role.
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) role: String,
    /// What was reserved for the call as a whole. The first attempt that is counted takes it.
    pub(crate) call: Mutex<Option<Vec<Reservation>>>,
    /// Why an attempt could not be recorded: a failure of this machine's, not the model's answer.
    pub(crate) failed: Mutex<Option<Error>>,
    /// The run's interruption.
    pub(crate) cancel: Cancel,
}

/// Waits before an attempt: for the end of a pause, or for room. An interrupted run waits no longer.
pub(crate) async fn pause<T>(wait: impl Future<Output = T>) -> Result<T> {
    match METER.try_with(|meter| meter.cancel.clone()) {
        Ok(cancel) => cancel.pause(wait).await,
        Err(_) => Ok(wait.await),
    }
}

impl Meter {
    /// Counts the attempts within `work`.
    pub(crate) async fn around<F: Future>(self: Arc<Self>, work: F) -> F::Output {
        METER.scope(self, work).await
    }

    /// What was reserved for the call, unless an attempt took it.
    pub(crate) fn take_call(&self) -> Option<Vec<Reservation>> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Why an attempt could not be recorded.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn price(&self, llm: &str) -> Result<Option<Price>> {
        match self.accounts.prices.get(llm) {
            Some(Some(price)) => Ok(Some(*price)),
            _ if self.budgets.iter().any(|budget| budget.limits_money()) => {
                Err(Error::config(format!("the price of [llm.{llm}] is not known, and money has a limit")))
            }
            _ => Ok(None),
        }
    }
}

impl Metering {
    /// From now on, and while `accounts` live, paid calls need a meter.
    pub(crate) fn begin(&self, accounts: &Arc<Accounts>) {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        runs.retain(|run| run.strong_count() > 0);
        runs.push(Arc::downgrade(accounts));
    }

    /// Sets aside the most that an attempt of `[llm.<llm>]` at `request` can use; `None` where no run counts it. Models
    /// that are free by nature, such as a simulated one or one that asks another, are not counted here but once a call.
    ///
    /// # Errors
    /// With [`Code::Budget`] if a budget does not have enough left; else if a run should count the attempt and cannot.
    pub(crate) async fn set_aside(&self, llm: &str, request: &ChatRequest) -> Result<Option<Charge>> {
        let Ok(meter) = METER.try_with(Arc::clone) else { return self.uncounted(llm).map(|()| None) };
        let price = meter.price(llm)?;
        if price == Some(Price::FREE) || price.is_none() && !meter.accounts.limits_calls() {
            return Ok(None);
        }
        let expected = tokens::estimate(request);
        let calls = match meter.take_call() {
            Some(calls) => calls,
            None => {
                let mut calls = Vec::new();
                for budget in meter.accounts.of(&meter.role) {
                    calls.push(budget.reserve(Spent::call(expected)).await?);
                }
                calls
            }
        };
        let priced = match price.filter(|price| !price.is_free()) {
            Some(price) => Some((price, price.most(request)?)),
            None => None,
        };
        let nano_usd = priced.map_or(0, |(_, most)| most.total());
        let mut money = Vec::new();
        if nano_usd > 0 {
            for budget in &meter.budgets {
                money.push(budget.reserve(Spent::money(nano_usd)).await?);
            }
        }
        let most = Spent { nano_usd, ..Spent::call(expected) };
        let number = match meter.journal.charge(meter.role.clone(), most).await {
            Ok(number) => number,
            Err(error) => {
                *meter.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
                return Err(error);
            }
        };
        let llm = llm.to_owned();
        Ok(Some(Charge { meter, llm, priced, expected, calls, money, number, most, used: most }))
    }

    /// An error if a run uses the model and would have to pay.
    fn uncounted(&self, llm: &str) -> Result<()> {
        let costs = |run: Arc<Accounts>| match run.prices.get(llm) {
            Some(Some(price)) => !price.is_free(),
            _ => run.limits_money(),
        };
        let runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.iter().filter_map(Weak::upgrade).any(costs) {
            return Err(Error::other(format!(
                "[llm.{llm}] was not called: the call came from a task that the run in progress does not know (a \
                 spawned task, or a plugin that asked its host), so its cost cannot be counted. Make the call in the \
                 task that needs it; or, if its cost is counted elsewhere, set its price to 0 under [prices]"
            )));
        }
        Ok(())
    }
}

/// An attempt in flight. Dropped, it counts in full.
pub(crate) struct Charge {
    meter: Arc<Meter>,
    llm: String,
    priced: Option<(Price, Cost)>,
    expected: Usage,
    calls: Vec<Reservation>,
    money: Vec<Reservation>,
    number: i64,
    most: Spent,
    used: Spent,
}

impl Charge {
    /// Counts the result of the attempt.
    pub(crate) fn settle(mut self, outcome: &Result<Completion>) {
        self.used = match outcome {
            Ok(completion) => {
                let usage = completion.usage;
                if tokens::credible(usage) != usage {
                    tracing::warn!(
                        "[llm.{}] reports {} + {} tokens for one call, which cannot be: the most counts instead",
                        self.llm,
                        usage.input_tokens,
                        usage.output_tokens
                    );
                }
                let cost = |(price, most): (Price, Cost)| price.cost(tokens::credible(usage), most).total();
                let nano_usd = self.priced.map_or(0, cost);
                Spent { nano_usd, ..Spent::call(tokens::counted(usage, self.expected)) }
            }
            Err(error) if nothing_done(error) => Spent::call(Usage::default()),
            Err(_) => return,
        };
        let (spent, most) = (self.used.nano_usd, self.most.nano_usd);
        if spent > most {
            let usd = |nano| Spent::money(nano).usd();
            tracing::warn!(
                "[llm.{}] says that a call used more tokens than it can have: {:.6} USD instead of at most {:.6}. \
                 Its counts or its max_output_tokens are wrong; it is counted as reported, and a limit on money may \
                 be exceeded by the difference",
                self.llm,
                usd(spent),
                usd(most)
            );
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let Spent { calls, tokens, nano_usd } = self.used;
        self.calls.drain(..).for_each(|one| one.settle(Spent { calls, tokens, nano_usd: 0 }));
        self.money.drain(..).for_each(|one| one.settle(Spent::money(nano_usd)));
        if self.used != self.most {
            self.meter.journal.settle(self.number, self.used);
        }
    }
}

/// Whether an attempt that failed with this error certainly was not charged.
fn nothing_done(error: &Error) -> bool {
    error.refused
        || matches!(error.code, Code::Config | Code::Budget | Code::Unimplemented | Code::BadRequest)
}
