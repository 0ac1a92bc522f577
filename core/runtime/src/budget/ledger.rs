//! A budget that several processes share. A ledger outside of them keeps one account for it; each process holds a part
//! of the budget, and asks for more when that is used up. What all hold together is never more than the limit.
//!
//! Parts are drawn in batches, so that most calls need not ask. When someone waits, all give back what they do not need.
//! A process that is silent for 30 seconds is taken for dead, and what it held for used.

use std::collections::BTreeMap;

use async_trait::async_trait;
use forethought_api::Result;
use serde::{Deserialize, Serialize};

use crate::budget::{Limits, Spent, nano};

/// Seconds after which a process that says nothing is dead.
const SILENT_S: u64 = 30;

/// Keeps the accounts.
#[async_trait]
pub trait Ledger: std::fmt::Debug + Send + Sync {
    /// Passes a demand to the account called `account`.
    async fn ask(&self, account: &str, demand: Demand) -> Result<Answer>;
}

/// What a process says to the ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Demand {
    /// The process.
    pub holder: String,
    /// Counts its demands: one that comes late, after a later one, is ignored.
    pub number: u64,
    /// Seconds since 1970.
    pub now: u64,
    /// The limits of all together.
    pub limits: Limits,
    /// What was used before the account was opened.
    pub before: Spent,
    /// What this process has used.
    pub used: Spent,
    /// The least that it must hold, `used` included. If it holds more, it gives the rest back.
    pub need: Spent,
    /// What it would hold beyond that.
    pub more: Spent,
}

/// The ledger's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// What the process holds now.
    pub held: Spent,
    /// What all have used, as far as they said.
    pub used: Spent,
    /// Whether somebody waits, so that nobody should hold more than is needed.
    pub tight: bool,
    /// The limit that leaves too little even if the others give everything back.
    pub refused: Option<String>,
}

/// One budget's account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Account {
    holders: BTreeMap<String, Holder>,
    /// When somebody had to wait last.
    waited: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Holder {
    number: u64,
    seen: u64,
    used: Spent,
    held: Spent,
}

impl Account {
    /// Answers a demand.
    pub fn ask(&mut self, demand: Demand) -> Answer {
        let Demand { holder, number, now, limits, before, used, need, more } = demand;
        let own = self.holders.entry(holder.clone()).or_default();
        let late = number <= own.number;
        if !late {
            *own = Holder { number, seen: now, used, held: own.held };
        }
        let old = own.held;
        let (mut held, mut gone) = (before, before + used);
        for (_, other) in self.holders.iter().filter(|(name, _)| **name != holder) {
            held = held + other.held;
            let dead = other.seen + SILENT_S < now;
            gone = gone + if dead { other.held } else { other.used };
        }
        let answer = |held, tight, refused| Answer { held, used: gone, tight, refused };
        if late {
            return answer(old, false, None);
        }
        if let Some(limit) = limits.over(gone + (need - used)) {
            return answer(old, true, Some(limit));
        }
        if limits.over(held + need).is_some() {
            self.waited = now;
            return answer(old, true, None);
        }
        let tight = self.waited + 2 >= now;
        // A quarter of what is left at most: the others need some, too.
        let left = limits.left(held + need);
        let quarter = Spent { calls: left.calls / 4, tokens: left.tokens / 4, nano_usd: left.nano_usd / 4 };
        let extra = if tight { Spent::default() } else { more.each(quarter, u64::min) };
        let granted = need + extra;
        if let Some(own) = self.holders.get_mut(&holder) {
            own.held = granted;
        }
        answer(granted, tight, None)
    }
}

impl Limits {
    /// The limit that a sum is over.
    pub(crate) fn over(&self, sum: Spent) -> Option<String> {
        let Self { max_calls, max_tokens, max_usd, .. } = *self;
        let count = |name: &str, limit: Option<u64>, sum: u64| {
            limit.filter(|limit| sum > *limit).map(|limit| format!("{name} = {limit}"))
        };
        let money = || max_usd.filter(|limit| sum.nano_usd > nano(*limit));
        count("max_calls", max_calls, sum.calls)
            .or_else(|| count("max_tokens", max_tokens, sum.tokens))
            .or_else(|| money().map(|limit| format!("max_usd = {limit}")))
    }

    /// What a sum leaves; as much as can be written where nothing is limited.
    fn left(&self, sum: Spent) -> Spent {
        let most = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        let all = Spent {
            calls: most(self.max_calls),
            tokens: most(self.max_tokens),
            nano_usd: most(self.max_usd.map(nano)),
        };
        all - sum
    }

    /// Whether `held` is enough for `sum`, of what is limited.
    pub(crate) fn covered(&self, sum: Spent, held: Spent) -> bool {
        (self.max_calls.is_none() || sum.calls <= held.calls)
            && (self.max_tokens.is_none() || sum.tokens <= held.tokens)
            && (self.max_usd.is_none() || sum.nano_usd <= held.nano_usd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(calls: u64) -> Spent {
        Spent { calls, ..Spent::default() }
    }

    fn demand(holder: &str, number: u64, now: u64, used: u64, need: u64, more: u64) -> Demand {
        let limits = Limits { max_calls: Some(100), ..Limits::default() };
        let before = Spent::default();
        let (used, need, more) = (calls(used), calls(need), calls(more));
        Demand { holder: holder.into(), number, now, limits, before, used, need, more }
    }

    #[test]
    fn nobody_gets_what_another_holds_until_it_is_given_back() {
        let mut account = Account::default();
        assert_eq!(account.ask(demand("a", 1, 10, 0, 60, 80)).held.calls, 70, "a quarter of the other 40");
        let answer = account.ask(demand("b", 1, 11, 0, 50, 0));
        assert_eq!((answer.held.calls, answer.tight, answer.refused), (0, true, None));
        // `a` used 20 and needs no more.
        assert_eq!(account.ask(demand("a", 2, 11, 20, 20, 80)).held.calls, 20);
        assert_eq!(account.ask(demand("b", 2, 11, 0, 50, 0)).held.calls, 50);
        // An old demand of `a` that was on its way until now.
        assert_eq!(account.ask(demand("a", 1, 11, 0, 60, 80)).held.calls, 20);
        let answer = account.ask(demand("b", 3, 12, 50, 81, 0));
        assert_eq!(answer.refused.as_deref(), Some("max_calls = 100"), "20 and 81");
    }

    #[test]
    fn what_a_dead_process_held_counts_as_used() {
        let mut account = Account::default();
        account.ask(demand("a", 1, 100, 0, 60, 0));
        assert_eq!(account.ask(demand("b", 1, 130, 0, 50, 0)).refused, None);
        let answer = account.ask(demand("b", 2, 131, 0, 50, 0));
        assert_eq!(answer.refused.as_deref(), Some("max_calls = 100"));
        assert_eq!(account.ask(demand("b", 3, 131, 0, 40, 0)).held.calls, 40);
    }
}
