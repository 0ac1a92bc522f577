//! Budgets: reserved before a call, settled after it, so that calls made at once cannot overshoot together.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use forethought_api::{Error, Result, error::Code, llm::Usage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::clock::Stopwatch;

/// The most that a run, or an episode, may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Calls of language models.
    pub max_calls: Option<u64>,
    /// Tokens in and out, as counted by the providers.
    pub max_tokens: Option<u64>,
    /// Cost in US dollars. Prices are not known yet, so this limit is noted and not enforced.
    pub max_usd: Option<f64>,
    /// Seconds by the clock on the wall, counted from each start of the program.
    pub max_wall_s: Option<f64>,
}

/// A budget in use.
#[derive(Debug)]
pub struct Budget {
    whose: &'static str,
    limits: Limits,
    started: Stopwatch,
    state: Mutex<State>,
    settled: Notify,
}

#[derive(Debug, Default)]
struct State {
    used: Spent,
    reserved: Spent,
    reached: bool,
}

/// Calls and tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Calls of language models.
    pub calls: u64,
    /// Tokens in and out.
    pub tokens: u64,
}

impl Budget {
    /// A budget of which `used` is gone already. `whose` is named in the message when it is reached.
    pub fn new(whose: &'static str, limits: Limits, used: Spent) -> Self {
        Self {
            whose,
            limits,
            started: Stopwatch::start(),
            state: Mutex::new(State { used, ..State::default() }),
            settled: Notify::new(),
        }
    }
    /// Whether a limit was met.
    pub fn reached(&self) -> bool {
        self.state().reached
    }
    /// What was used.
    pub fn used(&self) -> Spent {
        self.state().used
    }
    /// An error with [`Code::Budget`] once the time is up.
    pub fn check_time(&self) -> Result<()> {
        match self.limits.max_wall_s {
            Some(limit)
                if self.started.elapsed() >= Duration::try_from_secs_f64(limit).unwrap_or(Duration::MAX) =>
            {
                Err(self.refuse("max_wall_s", limit))
            }
            _ => Ok(()),
        }
    }
    /// Sets a call aside. Waits while calls under way may yet leave enough; refuses once they cannot.
    pub async fn reserve(&self, estimate: Usage) -> Result<Reservation<'_>> {
        let want = Spent { calls: 1, tokens: estimate.total() };
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            self.check_time()?;
            {
                let mut state = self.state();
                let short = self.short(&state, want);
                match short {
                    None => {
                        state.reserved.calls += want.calls;
                        state.reserved.tokens += want.tokens;
                        return Ok(Reservation { budget: self, reserved: want, used: None });
                    }
                    Some((name, limit)) if state.reserved == Spent::default() => {
                        drop(state);
                        return Err(self.refuse(name, limit));
                    }
                    Some(_) => {}
                }
            }
            settled.await;
        }
    }

    fn short(&self, state: &State, want: Spent) -> Option<(&'static str, f64)> {
        let over =
            |limit: Option<u64>, sum: u64| limit.filter(|limit| sum > *limit).map(|limit| limit as f64);
        over(self.limits.max_calls, state.used.calls + state.reserved.calls + want.calls)
            .map(|limit| ("max_calls", limit))
            .or_else(|| {
                over(self.limits.max_tokens, state.used.tokens + state.reserved.tokens + want.tokens)
                    .map(|limit| ("max_tokens", limit))
            })
    }
    fn refuse(&self, name: &str, limit: f64) -> Error {
        let mut state = self.state();
        state.reached = true;
        let Spent { calls, tokens } = state.used;
        Error::new(
            Code::Budget,
            format!(
                "the {}'s budget is reached: {name} = {limit}, used so far {calls} calls and {tokens} tokens; raise \
                 {name} and give the same command to go on",
                self.whose
            ),
        )
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that was set aside. Dropped without being settled (the call failed or was withdrawn), it counts as unused.
#[derive(Debug)]
pub struct Reservation<'a> {
    budget: &'a Budget,
    reserved: Spent,
    used: Option<Spent>,
}

impl Reservation<'_> {
    /// Replaces the estimate by what was really used.
    pub fn settle(mut self, usage: Usage) {
        self.used = Some(Spent { calls: 1, tokens: usage.total() });
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.reserved.calls -= self.reserved.calls;
        state.reserved.tokens -= self.reserved.tokens;
        if let Some(used) = self.used {
            state.used.calls += used.calls;
            state.used.tokens += used.tokens;
        }
        drop(state);
        self.budget.settled.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(tokens: u64) -> Usage {
        Usage { input_tokens: tokens, output_tokens: 0 }
    }

    #[tokio::test]
    async fn calls_made_at_once_cannot_overshoot() {
        let budget = Budget::new(
            "run",
            Limits { max_calls: Some(10), ..Limits::default() },
            Spent { calls: 3, tokens: 0 },
        );
        let call = async || {
            let reservation = budget.reserve(usage(1)).await?;
            tokio::task::yield_now().await;
            reservation.settle(usage(1));
            Ok(())
        };
        let results: Vec<Result<()>> = futures::future::join_all((0..20).map(|_| call())).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 7);
        assert!(results.iter().flat_map(|result| result.as_ref().err()).all(|e| e.code == Code::Budget));
        assert_eq!(budget.used().calls, 10);
        assert!(budget.reached());
    }

    #[tokio::test]
    async fn a_generous_estimate_waits_for_calls_under_way() {
        let budget =
            Budget::new("run", Limits { max_tokens: Some(100), ..Limits::default() }, Spent::default());
        let first = budget.reserve(usage(80)).await.expect("80 of 100");
        let (second, ()) = futures::future::join(budget.reserve(usage(80)), async {
            tokio::task::yield_now().await;
            first.settle(usage(10));
        })
        .await;
        second.expect("10 are used, 80 fit").settle(usage(85));
        let refused = budget.reserve(usage(80)).await.expect_err("95 of 100 are used");
        assert!(refused.message.contains("max_tokens = 100"), "{refused}");
    }

    #[tokio::test]
    async fn a_failed_call_counts_as_unused() {
        let budget = Budget::new("run", Limits { max_calls: Some(1), ..Limits::default() }, Spent::default());
        drop(budget.reserve(usage(1)).await.expect("the first"));
        assert_eq!(budget.used(), Spent::default());
        budget.reserve(usage(1)).await.expect("still free").settle(usage(1));
    }
}
