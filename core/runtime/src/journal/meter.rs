//! Money, counted where it is paid: at each attempt at a call.
//!
//! Budgets belong to a run, models to a host, and one call may be many attempts, or none where a cache answers. So the
//! run puts its meter around a call as a task-local value ([`Meter::around`]), and the innermost layer asks the meter of
//! its task before each attempt ([`set_aside`]). Outside of a run there is no meter, and nothing is counted.
//!
//! The most that an attempt can cost is set aside in every budget, and written into the run's journal, before anything
//! is sent. An answer replaces it by its price, a refusal by nothing. An attempt that failed in any other way, or was
//! given up, or was under way when the process was killed, may have been charged: it keeps what was set aside.

use std::collections::BTreeMap;
use std::sync::Arc;

use forethought_api::{
    Error, Result,
    error::Code,
    llm::{ChatRequest, Completion},
};

use crate::budget::prices::{Cost, Price};
use crate::budget::{Budget, Reservation, Spent};
use crate::journal::store::Store;

tokio::task_local! {
    static METER: Arc<Meter>;
}

/// Counts what one episode pays in one role.
pub(crate) struct Meter {
    /// Who pays, the narrowest first: whoever waits for an episode's money holds none of the run's.
    pub(crate) budgets: Vec<Arc<Budget>>,
    /// Prices by `[llm.<name>]`, where they are known.
    pub(crate) prices: Arc<BTreeMap<String, Option<Price>>>,
    /// Where what was spent is written down: the journal, the episode's number in it, and the role.
    pub(crate) store: Store,
    pub(crate) episode: i64,
    pub(crate) role: String,
}

impl Meter {
    /// Counts the attempts within `work`.
    pub(crate) async fn around<F: Future>(self, work: F) -> F::Output {
        METER.scope(Arc::new(self), work).await
    }

    fn price(&self, llm: &str) -> Result<Option<Price>> {
        match self.prices.get(llm) {
            Some(Some(price)) => Ok(Some(*price)),
            _ if self.budgets.iter().any(|budget| budget.limits_money()) => {
                Err(Error::config(format!("the price of [llm.{llm}] is not known, and money has a limit")))
            }
            _ => Ok(None),
        }
    }
}

/// Sets aside the most that an attempt of `[llm.<llm>]` at `request` can cost; `None` where it costs nothing, or nobody
/// counts.
///
/// # Errors
/// With [`Code::Budget`] if a budget has not enough left.
pub(crate) async fn set_aside(llm: &str, request: &ChatRequest) -> Result<Option<Charge>> {
    let Ok(meter) = METER.try_with(Arc::clone) else { return Ok(None) };
    let Some(price) = meter.price(llm)?.filter(|price| !price.is_free()) else { return Ok(None) };
    let most = price.most(request)?;
    let mut reservations = Vec::with_capacity(meter.budgets.len());
    for budget in &meter.budgets {
        reservations.push(budget.reserve(Spent::money(most.total())).await?);
    }
    let number = meter.store.charge(meter.episode, meter.role.clone(), most.total()).await?;
    let llm = llm.to_owned();
    Ok(Some(Charge { meter, llm, price, most, reservations, number, spent: most.total() }))
}

/// An attempt under way. Dropped, it counts in full.
pub(crate) struct Charge {
    meter: Arc<Meter>,
    llm: String,
    price: Price,
    most: Cost,
    reservations: Vec<Reservation>,
    number: i64,
    spent: u64,
}

impl Charge {
    /// Counts what came of the attempt.
    pub(crate) fn settle(mut self, outcome: &Result<Completion>) {
        self.spent = match outcome {
            Ok(completion) => self.price.cost(completion.usage, self.most).total(),
            Err(error) if nothing_done(error) => 0,
            Err(_) => return,
        };
        let (spent, most) = (self.spent, self.most.total());
        if spent > most {
            let usd = |nano| Spent::money(nano).usd();
            tracing::warn!(
                "[llm.{}] says that a call used more tokens than it can have: {:.6} USD instead of at most {:.6}. Its \
                 counts or its max_output_tokens are wrong; it is counted as told, and a limit on money may be passed by \
                 the difference",
                self.llm,
                usd(spent),
                usd(most)
            );
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        for reservation in self.reservations.drain(..) {
            reservation.settle(Spent::money(self.spent));
        }
        if self.spent != self.most.total() {
            self.meter.store.settle(self.number, self.spent);
        }
    }
}

/// Whether an attempt that failed so cannot have been charged.
fn nothing_done(error: &Error) -> bool {
    error.refused
        || matches!(error.code, Code::Config | Code::Budget | Code::Unimplemented | Code::BadRequest)
}
