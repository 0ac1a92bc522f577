//! Budgets: reserved before a call, settled after it, so that calls made at once cannot overshoot together.
//!
//! A budget knows amounts, not what they are for: calls and tokens are reserved around a whole call
//! ([`durable`](crate::journal::durable)), money around each attempt at one ([`meter`](crate::journal::meter)).

pub(crate) mod decision;
pub mod ledger;
pub mod prices;
pub(crate) mod tokens;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use forethought_api::{Error, Result, error::Code, llm::Usage, planner::Allowance};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

pub use crate::budget::decision::PerDecision;
use crate::budget::ledger::{Demand, Ledger};
use crate::clock;

/// The most that a run, an episode, a decision or a role may use. Of a command with several runs, all of them together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Calls of language models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u64>,
    /// Tokens in and out, as counted by the providers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Cost in US dollars. The price of every model in use must be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_usd: Option<f64>,
    /// Seconds of wall-clock time, counted from each start of the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_wall_s: Option<f64>,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn none(&self) -> bool {
        *self == Self::default()
    }
}

/// Calls, tokens and money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Calls of language models.
    pub calls: u64,
    /// Tokens in and out.
    pub tokens: u64,
    /// Billionths of a US dollar.
    pub nano_usd: u64,
}

impl Spent {
    /// One call with this usage.
    pub fn call(usage: Usage) -> Self {
        Self { calls: 1, tokens: usage.total(), nano_usd: 0 }
    }
    /// Money only.
    pub fn money(nano_usd: u64) -> Self {
        Self { nano_usd, ..Self::default() }
    }
    /// The money in US dollars.
    pub fn usd(&self) -> f64 {
        self.nano_usd as f64 / 1e9
    }

    fn each(self, other: Self, join: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            calls: join(self.calls, other.calls),
            tokens: join(self.tokens, other.tokens),
            nano_usd: join(self.nano_usd, other.nano_usd),
        }
    }
}

impl std::ops::Add for Spent {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }
}

impl std::ops::Sub for Spent {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.each(other, u64::saturating_sub)
    }
}

/// A budget in use.
#[derive(Debug)]
pub struct Budget {
    whose: String,
    limits: Limits,
    started: Instant,
    state: Mutex<State>,
    settled: Notify,
    share: Option<Share>,
}

/// This process's share of a budget that others use, too.
#[derive(Debug)]
struct Share {
    ledger: Arc<dyn Ledger>,
    account: String,
    holder: String,
    before: Spent,
    /// The number of the last demand. Locked while one is made.
    turn: tokio::sync::Mutex<u64>,
}

#[derive(Debug, Default)]
struct State {
    used: Spent,
    reserved: Spent,
    reached: bool,
    /// What this process holds of a shared budget.
    held: Spent,
    /// What all processes have used of it.
    together: Option<Spent>,
    /// Whether others wait for what this process does not need.
    tight: bool,
}

/// How much is drawn from a ledger at once, in calls like the one that asks.
const BATCH: u64 = 8;
/// How often the ledger hears of a share.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long one waits for what others give back.
const WAIT: Duration = Duration::from_millis(200);

impl Budget {
    /// A budget of which `used` is already spent. `whose` is named in the message when it is reached.
    pub fn new(whose: impl Into<String>, limits: Limits, used: Spent) -> Self {
        Self {
            whose: whose.into(),
            limits,
            started: Instant::now(),
            state: Mutex::new(State { used, ..State::default() }),
            settled: Notify::new(),
            share: None,
        }
    }
    /// A budget of which `before` is already spent and that other processes use, too. `holder` is the name of this one.
    pub fn shared(
        whose: impl Into<String>,
        limits: Limits,
        before: Spent,
        ledger: Arc<dyn Ledger>,
        account: String,
        holder: String,
    ) -> Arc<Self> {
        let turn = tokio::sync::Mutex::default();
        let share = Some(Share { ledger, account, holder, before, turn });
        let budget = Arc::new(Self { share, ..Self::new(whose, limits, Spent::default()) });
        let weak = Arc::downgrade(&budget);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                let Some(budget) = weak.upgrade() else { break };
                if let Some(share) = &budget.share {
                    budget.report(share).await;
                }
            }
        });
        budget
    }
    /// Whether a limit was reached.
    pub fn reached(&self) -> bool {
        self.state().reached
    }
    /// What was used.
    pub fn used(&self) -> Spent {
        self.state().used
    }
    /// Whether money has a limit.
    pub fn limits_money(&self) -> bool {
        self.limits.max_usd.is_some()
    }
    /// Whether calls or tokens have a limit.
    pub fn limits_calls(&self) -> bool {
        self.limits.max_calls.is_some() || self.limits.max_tokens.is_some()
    }
    /// An error with [`Code::Budget`] once the time is up.
    pub fn check_time(&self) -> Result<()> {
        self.late().map_or(Ok(()), |limit| Err(self.refuse(&limit, Spent::default())))
    }
    /// Reserves `want`. Waits while calls in flight may still leave enough, and refuses once they cannot.
    pub async fn reserve(self: &Arc<Self>, want: Spent) -> Result<Reservation> {
        self.try_reserve(want).await.map_err(|limit| {
            let late = self.late().is_some_and(|late| late == limit);
            self.refuse(&limit, if late { Spent::default() } else { want })
        })
    }
    /// The same; the error is the limit that is reached.
    pub(crate) async fn try_reserve(
        self: &Arc<Self>,
        want: Spent,
    ) -> std::result::Result<Reservation, String> {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if let Some(limit) = self.late() {
                return Err(limit);
            }
            let full = {
                let mut state = self.state();
                let wanted = state.used + want;
                if self.fits(&state, want) {
                    state.reserved = state.reserved + want;
                    return Ok(Reservation { budget: self.clone(), reserved: want, used: Spent::default() });
                }
                // What is used stays used: if that alone leaves too little, no waiting helps.
                self.limits.over(wanted)
            };
            if let Some(limit) = full {
                return Err(limit);
            }
            match &self.share {
                None => settled.await,
                Some(share) => self.draw(share, want, settled).await?,
            }
        }
    }
    /// Reserves `want`, whether it fits or not.
    pub(crate) fn hold(self: &Arc<Self>, want: Spent) -> Reservation {
        let mut state = self.state();
        state.reserved = state.reserved + want;
        Reservation { budget: self.clone(), reserved: want, used: Spent::default() }
    }
    /// What is neither used nor reserved.
    pub(crate) fn left(&self) -> Allowance {
        let gone = {
            let state = self.state();
            state.used + state.reserved
        };
        let Limits { max_calls, max_tokens, max_usd, max_wall_s } = self.limits;
        Allowance {
            calls: max_calls.map(|most| most.saturating_sub(gone.calls)),
            tokens: max_tokens.map(|most| most.saturating_sub(gone.tokens)),
            usd: max_usd.map(|most| Spent::money(nano(most).saturating_sub(gone.nano_usd)).usd()),
            seconds: max_wall_s.map(|most| (most - self.started.elapsed().as_secs_f64()).max(0.0)),
            ..Allowance::default()
        }
    }

    /// The limit on time, once that is up.
    fn late(&self) -> Option<String> {
        let limit = self.limits.max_wall_s?;
        let up = self.started.elapsed() >= Duration::try_from_secs_f64(limit).unwrap_or(Duration::MAX);
        up.then(|| format!("max_wall_s = {limit}"))
    }

    fn fits(&self, state: &State, want: Spent) -> bool {
        let sum = state.used + state.reserved + want;
        match self.share {
            None => self.limits.over(sum).is_none(),
            Some(_) => self.limits.covered(sum, state.held),
        }
    }

    /// Draws what `want` needs from the ledger, or waits a while for what others give back or a call here leaves. Others
    /// that come meanwhile wait behind this one. The error is the limit that is reached.
    async fn draw(
        &self,
        share: &Share,
        want: Spent,
        settled: impl Future<Output = ()>,
    ) -> std::result::Result<(), String> {
        let mut turn = share.turn.lock().await;
        let (used, need) = {
            let state = self.state();
            // Another may have drawn for this one.
            if self.fits(&state, want) {
                return Ok(());
            }
            // Not less of anything than it holds: others are reserving parts of that meanwhile.
            (state.used, (state.used + state.reserved + want).each(state.held, u64::max))
        };
        let more = want.each(want, |want, _| want.saturating_mul(BATCH));
        if !self.ask(share, &mut turn, used, need, more).await? {
            let _ = tokio::time::timeout(WAIT, settled).await;
        }
        Ok(())
    }

    /// Says what was used. Gives back what is not needed while others wait for it, and everything while no call is made.
    async fn report(&self, share: &Share) {
        let mut turn = share.turn.lock().await;
        let (used, need) = {
            let mut state = self.state();
            if state.held == state.used {
                return;
            }
            if state.tight || state.reserved == Spent::default() {
                state.held = state.used + state.reserved;
            }
            (state.used, state.held)
        };
        if let Err(limit) = self.ask(share, &mut turn, used, need, Spent::default()).await {
            tracing::debug!("{limit}");
        }
    }

    /// Whether the ledger granted what was needed.
    async fn ask(
        &self,
        share: &Share,
        turn: &mut u64,
        used: Spent,
        need: Spent,
        more: Spent,
    ) -> std::result::Result<bool, String> {
        *turn += 1;
        let demand = Demand {
            holder: share.holder.clone(),
            number: *turn,
            now: clock::seconds(),
            limits: self.limits,
            before: share.before,
            used,
            need,
            more,
        };
        match share.ledger.ask(&share.account, demand).await {
            Ok(answer) => {
                let mut state = self.state();
                state.held = answer.held;
                (state.together, state.tight) = (Some(answer.used), answer.tight);
                match answer.refused {
                    Some(limit) => Err(limit),
                    None => Ok(self.limits.covered(need, answer.held)),
                }
            }
            Err(error) => {
                tracing::warn!("the ledger of the {}'s budget does not answer: {error}", self.whose);
                Ok(false)
            }
        }
    }
    fn refuse(&self, limit: &str, want: Spent) -> Error {
        let used = {
            let mut state = self.state();
            state.reached = true;
            state.together.unwrap_or(state.used)
        };
        let money = |spent: Spent, words: &str| match self.limits_money() {
            true => format!("{words}{:.6} USD", spent.usd()),
            false => String::new(),
        };
        let next = if want.nano_usd > 0 { money(want, "; the next call may cost ") } else { String::new() };
        Error::new(
            Code::Budget,
            format!(
                "the {}'s budget is reached: {limit}, used so far {} calls, {} tokens{}{next}; raise {} and run the \
                 same command to continue",
                self.whose,
                used.calls,
                used.tokens,
                money(used, ", "),
                limit.split(' ').next().unwrap_or_default(),
            ),
        )
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A limit in billionths, rounded down.
fn nano(usd: f64) -> u64 {
    (usd * 1e9) as u64
}

/// A reserved amount. Dropped without being settled, it counts as unused.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    reserved: Spent,
    used: Spent,
}

impl Reservation {
    /// Replaces the reserved amount by what was really used.
    pub fn settle(mut self, used: Spent) {
        self.used = used;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        {
            let mut state = self.budget.state();
            state.reserved = state.reserved - self.reserved;
            state.used = state.used + self.used;
        }
        self.budget.settled.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(limits: Limits, calls: u64) -> Arc<Budget> {
        Arc::new(Budget::new("run", limits, Spent { calls, ..Spent::default() }))
    }

    fn call(tokens: u64) -> Spent {
        Spent::call(Usage { input_tokens: tokens, output_tokens: 0 })
    }

    #[tokio::test]
    async fn calls_made_at_once_cannot_overshoot() {
        let budget = budget(Limits { max_calls: Some(10), ..Limits::default() }, 3);
        let ask = async || {
            let reservation = budget.reserve(call(1)).await?;
            tokio::task::yield_now().await;
            reservation.settle(call(1));
            Ok(())
        };
        let results: Vec<Result<()>> = futures::future::join_all((0..20).map(|_| ask())).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 7);
        assert!(results.iter().flat_map(|result| result.as_ref().err()).all(|e| e.code == Code::Budget));
        assert_eq!(budget.used().calls, 10);
        assert!(budget.reached());
    }

    #[tokio::test]
    async fn a_generous_estimate_waits_for_calls_under_way() {
        let budget = budget(Limits { max_tokens: Some(100), ..Limits::default() }, 0);
        let first = budget.reserve(call(80)).await.expect("80 of 100");
        let (second, ()) = futures::future::join(budget.reserve(call(80)), async {
            tokio::task::yield_now().await;
            first.settle(call(10));
        })
        .await;
        second.expect("10 are used, 80 fit").settle(call(85));
        let refused = budget.reserve(call(80)).await.expect_err("95 of 100 are used");
        assert!(refused.message.contains("max_tokens = 100"), "{refused}");
    }

    #[tokio::test]
    async fn a_call_that_holds_a_reservation_of_its_own_can_be_refused_money() {
        let budget = budget(Limits { max_usd: Some(1.0), max_calls: Some(9), ..Limits::default() }, 0);
        let _held = budget.reserve(call(1)).await.expect("a call");
        budget.reserve(Spent::money(900_000_000)).await.expect("90 cents").settle(Spent::money(400_000_000));
        let refused = budget.reserve(Spent::money(600_000_001)).await.expect_err("60 cents are left");
        assert!(
            refused.message.contains("max_usd = 1, used so far 0 calls, 0 tokens, 0.400000 USD"),
            "{refused}"
        );
        assert!(refused.message.contains("the next call may cost 0.600000 USD"), "{refused}");
        drop(budget.reserve(Spent::money(600_000_000)).await.expect("to the last cent"));
    }

    #[tokio::test]
    async fn a_failed_call_counts_as_unused() {
        let budget = budget(Limits { max_calls: Some(1), ..Limits::default() }, 0);
        drop(budget.reserve(call(1)).await.expect("the first"));
        assert_eq!(budget.used(), Spent::default());
        budget.reserve(call(1)).await.expect("still free").settle(call(1));
    }
}
