//! The budget of one decision, the same for every planner.
//!
//! Each call is decided in the order of the requests, and against what the calls before it really used: which answer
//! arrives first changes nothing. A refused call is part of the episode's record, so that a replay refuses it again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forethought_api::{
    Error, Result,
    llm::{ChatRequest, Usage},
    planner::{Allowance, LargestCall},
};

use crate::budget::prices::{Cost, Price};
use crate::budget::{Budget, Limits, Reservation, Spent, tokens};

/// The most that each decision may use, and what its calls cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PerDecision {
    /// The limits.
    pub limits: Limits,
    /// Prices of the models by the name by which planners ask them: of a role, the highest of its models. Those that
    /// are missing cost nothing.
    pub prices: BTreeMap<String, Price>,
}

impl PerDecision {
    /// What a call of `llm` costs at most.
    fn most(&self, llm: &str, request: &ChatRequest) -> Result<Cost> {
        match self.prices.get(llm).filter(|_| self.limits.max_usd.is_some()) {
            Some(price) if !price.is_free() => price.most(request),
            _ => Ok(Cost::default()),
        }
    }

    /// The most that a call is expected to use.
    pub(crate) fn expected(&self, llm: &str, request: &ChatRequest) -> Result<Spent> {
        let nano_usd = self.most(llm, request)?.total();
        Ok(Spent { nano_usd, ..Spent::call(tokens::estimate(request)) })
    }

    /// What an answered call has used.
    pub(crate) fn used(&self, llm: &str, request: &ChatRequest, usage: Usage) -> Result<Spent> {
        let tokens = Spent::call(tokens::counted(usage, tokens::estimate(request)));
        let most = self.most(llm, request)?;
        let cost = self.prices.get(llm).filter(|_| most != Cost::default());
        let cost = cost.map_or(Cost::default(), |price| price.cost(tokens::credible(usage), most));
        Ok(Spent { nano_usd: cost.total(), ..tokens })
    }
}

/// The budget of a decision in progress.
#[derive(Debug)]
pub(crate) struct DecisionBudget {
    budget: Arc<Budget>,
    /// Held by the call that is being decided; the others wait in the order in which they came.
    turn: tokio::sync::Mutex<()>,
    largest: Mutex<LargestCall>,
}

impl DecisionBudget {
    /// A budget of which `used` was spent before the program was interrupted.
    pub(crate) fn new(limits: Limits, used: Spent) -> Self {
        Self {
            budget: Arc::new(Budget::new("decision", limits, used)),
            turn: tokio::sync::Mutex::default(),
            largest: Mutex::default(),
        }
    }

    /// Reserves what these calls need together. The outer error is the limit that is reached.
    pub(crate) async fn reserve(&self, calls: &[Spent]) -> std::result::Result<Reservation, String> {
        let largest = calls.iter().fold(LargestCall::default(), |largest, one| {
            largest.or(LargestCall { tokens: one.tokens, usd: one.usd(), seconds: 0.0 })
        });
        self.learn(largest);
        let _turn = self.turn.lock().await;
        let all = calls.iter().fold(Spent::default(), |sum, one| sum + *one);
        self.budget.try_reserve(all).await
    }

    /// Reserves what these calls need, even if it is too much: they were allowed before.
    pub(crate) fn hold(&self, calls: &[Spent]) -> Reservation {
        self.budget.hold(calls.iter().fold(Spent::default(), |sum, one| sum + *one))
    }

    /// A call was answered after this long.
    pub(crate) fn answered(&self, after: Duration) {
        self.learn(LargestCall { seconds: after.as_secs_f64(), ..LargestCall::default() });
    }

    fn learn(&self, call: LargestCall) {
        let mut largest = self.largest.lock().unwrap_or_else(PoisonError::into_inner);
        *largest = largest.or(call);
    }

    /// What is left.
    pub(crate) fn left(&self) -> Allowance {
        let largest = *self.largest.lock().unwrap_or_else(PoisonError::into_inner);
        Allowance { largest, ..self.budget.left() }
    }
}

/// What a planner learns that may not ask once more.
pub(crate) fn refusal(limit: &str) -> Error {
    let message = format!("the budget of this decision is reached ({limit} under [run.per_decision])");
    Error::new(forethought_api::error::Code::Budget, message)
}

/// Why a planner failed that was refused a call.
pub(crate) fn too_small(limits: &str, error: Error) -> Error {
    Error::other(format!(
        "it needs more than the budget per decision ({limits} under [run.per_decision], or --budget); raise that, or let \
         another planner act then: kind = \"budgeted\" with inner = \"...\", a smaller budget and otherwise = \"...\""
    ))
    .because(error)
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    fn tokens(tokens: u64) -> Spent {
        Spent { calls: 1, tokens, nano_usd: 0 }
    }

    #[tokio::test]
    async fn calls_are_decided_in_the_order_of_requests_whatever_is_answered_first() {
        // Three calls at once that may need 60 each, and one that is small; the budget has 100.
        for first_answer in [0, 1] {
            let limits = Limits { max_tokens: Some(100), ..Limits::default() };
            let budget = DecisionBudget::new(limits, Spent::default());
            let ask = async |index: usize, most: u64, used: u64| {
                let held = budget.reserve(&[tokens(most)]).await?;
                for _ in 0..(if index == first_answer { 1 } else { 5 }) {
                    tokio::task::yield_now().await;
                }
                held.settle(tokens(used));
                Ok(())
            };
            let results: Vec<std::result::Result<(), String>> =
                join_all([ask(0, 60, 30), ask(1, 60, 30), ask(2, 60, 30), ask(3, 10, 10)]).await;
            let allowed: Vec<_> = results.iter().map(Result::is_ok).collect();
            assert_eq!(allowed, [true, true, false, true]);
            assert_eq!(results[2].as_ref().unwrap_err(), "max_tokens = 100");
            let left = budget.left();
            assert_eq!((left.tokens, left.calls, left.largest.tokens), (Some(30), None, 60));
        }
    }

    #[test]
    fn money_counts_by_the_price_of_the_name_that_is_asked() {
        let price = Price { input: 1.0, output: 2.0, max_output_tokens: 100 };
        let limits = Limits { max_usd: Some(0.01), ..Limits::default() };
        let budget = PerDecision { limits, prices: [("big".into(), price)].into() };
        let request = ChatRequest::default();
        let usage = Usage { input_tokens: 10, output_tokens: 20 };
        assert_eq!(budget.used("big", &request, usage).unwrap().nano_usd, 50_000);
        assert!(budget.expected("big", &request).unwrap().nano_usd > 200_000);
        assert_eq!(budget.used("free", &request, usage).unwrap().nano_usd, 0);
    }
}
