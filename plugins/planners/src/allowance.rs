//! What a decision can still pay. Planners ask before each part that they can do without, and act in time.

use forethought_sdk::{futures::future::join_all, prelude::*};

use crate::around::Around;

/// Prompts grow from call to call: the next one may need this much more than the largest so far.
const GROWTH: f64 = 1.5;

/// Whether `calls` more calls, one after the other, fit into what is left of the decision's budget.
///
/// # Errors
/// If the models do not say.
pub async fn affordable(models: &Arc<dyn Models>, calls: u64) -> Result<bool> {
    Ok(Cost::default().and(calls, calls).fits(&models.allowance().await?))
}

/// Parts of a decision that are alike, such as rounds, each of which it can do without.
#[derive(Debug)]
pub struct Rounds {
    calls: u64,
    before: Option<u64>,
}

impl Rounds {
    /// Rounds of this many calls, or more: those of a critic are known after the first one.
    pub fn of(calls: u64) -> Self {
        Self { calls, before: None }
    }

    /// Whether one more, and `then` this many calls, can be paid.
    ///
    /// # Errors
    /// If the models do not say.
    pub async fn affordable(&mut self, models: &Arc<dyn Models>, then: u64) -> Result<bool> {
        let left = models.allowance().await?;
        if let (Some(before), Some(now)) = (self.before, left.calls) {
            self.calls = self.calls.max(before.saturating_sub(now));
        }
        self.before = left.calls;
        let calls = self.calls + then;
        Ok(Cost::default().and(calls, calls).fits(&left))
    }
}

/// The results of `n` samples made at once, each with its index. Where the decision has a budget: of as many as that
/// pays, next to `each` call that follows a sample and `once` all of them. There the first shows what a sample costs, and
/// a later one that was refused is left out.
///
/// # Errors
/// The first error of a sample.
pub async fn samples<T, F: Future<Output = Result<T>>>(
    models: &Arc<dyn Models>,
    n: usize,
    (each, once): (u64, u64),
    sample: impl Fn(usize) -> F,
) -> Result<Vec<(usize, T)>> {
    let before = if n > 1 { models.allowance().await? } else { Allowance::default() };
    if before.unlimited() {
        let all = join_all((0..n).map(sample)).await;
        return all.into_iter().enumerate().map(|(index, one)| Ok((index, one?))).collect();
    }
    let mut all = vec![(0, sample(0).await?)];
    let left = models.allowance().await?;
    let cost = Cost::between(&before, &left);
    let paid = |more: &usize| {
        let after = *more as u64 * each + once + each;
        cost.times(*more as u64).and(after, once + each.min(1)).fits(&left)
    };
    let more = (1..n).take_while(paid).count();
    for (index, one) in (1..).zip(join_all((1..=more).map(sample)).await) {
        match one {
            Err(error) if error.code == Code::Budget => {}
            one => all.push((index, one?)),
        }
    }
    Ok(all)
}

/// The same models, which keep the last call of a decision's budget for acting: a refinement whose answers have to be
/// asked for twice would otherwise use it up. They refuse what a refinement asks, which its planner can do without.
pub(crate) fn kept_to_act(models: &Arc<dyn Models>) -> Arc<dyn Models> {
    let asked = models.clone();
    let wrap = move |_, llm| Arc::new(LastToAct { llm, models: asked.clone() }) as Arc<dyn LlmBackend>;
    Arc::new(Around { models: models.clone(), wrap, own: Box::new(Allowance::default) })
}

struct LastToAct {
    llm: Arc<dyn LlmBackend>,
    models: Arc<dyn Models>,
}

#[async_trait]
impl LlmBackend for LastToAct {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { streaming: false, ..self.llm.capabilities().await? })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let refines = matches!(request.purpose, Purpose::Outcomes | Purpose::Refine | Purpose::Judge);
        if refines && self.models.allowance().await?.calls == Some(1) {
            return Err(Error::new(
                Code::Budget,
                "the last call of the decision's budget is kept for acting",
            ));
        }
        self.llm.complete(request).await
    }
}

/// What a part of a decision needs.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    calls: u64,
    tokens: u64,
    usd: f64,
    seconds: f64,
    /// Calls whose size is not known, and how many of them follow each other.
    unknown: (u64, u64),
}

impl Cost {
    /// What was used between these two.
    fn between(before: &Allowance, after: &Allowance) -> Self {
        fn count(before: Option<u64>, after: Option<u64>) -> u64 {
            before.unwrap_or_default().saturating_sub(after.unwrap_or_default())
        }
        let amount = |before: Option<f64>, after: Option<f64>| {
            (before.unwrap_or_default() - after.unwrap_or_default()).max(0.0)
        };
        Self {
            calls: count(before.calls, after.calls),
            tokens: count(before.tokens, after.tokens),
            usd: amount(before.usd, after.usd),
            seconds: amount(before.seconds, after.seconds),
            unknown: (0, 0),
        }
    }

    /// This, several times at once.
    fn times(self, count: u64) -> Self {
        let (calls, tokens) = (self.calls.saturating_mul(count), self.tokens.saturating_mul(count));
        Self { calls, tokens, usd: self.usd * count as f64, ..self }
    }

    /// This, and `calls` more, of which `follow` each other.
    fn and(self, calls: u64, follow: u64) -> Self {
        Self { calls: self.calls.saturating_add(calls), unknown: (calls, follow), ..self }
    }

    fn fits(&self, left: &Allowance) -> bool {
        let (calls, follow) = (self.unknown.0 as f64, self.unknown.1 as f64);
        let LargestCall { tokens, usd, seconds } = left.largest;
        let tokens = self.tokens as f64 + calls * tokens as f64 * GROWTH;
        left.calls.is_none_or(|left| self.calls <= left)
            && left.tokens.is_none_or(|left| tokens <= left as f64)
            && left.usd.is_none_or(|left| self.usd + calls * usd * GROWTH <= left)
            // A time that is up leaves none for any call.
            && left.seconds.is_none_or(|left| left > 0.0 && self.seconds + follow * seconds <= left)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    /// Models with this allowance.
    struct Purse(Allowance);

    #[async_trait]
    impl Models for Purse {
        async fn allowance(&self) -> Result<Allowance> {
            Ok(self.0)
        }
    }

    #[test]
    fn calls_are_affordable_if_every_limit_leaves_enough() {
        let largest = LargestCall { tokens: 100, usd: 0.01, seconds: 2.0 };
        let none = Allowance { largest, ..Allowance::default() };
        for (left, calls, can) in [
            (none, 1_000_000, true),
            (Allowance { calls: Some(3), ..none }, 3, true),
            (Allowance { calls: Some(3), ..none }, 4, false),
            // Half as much again as the largest call so far.
            (Allowance { tokens: Some(300), ..none }, 2, true),
            (Allowance { tokens: Some(299), ..none }, 2, false),
            (Allowance { calls: Some(9), usd: Some(0.02), ..none }, 2, false),
            (Allowance { seconds: Some(4.0), ..none }, 2, true),
            (Allowance { seconds: Some(0.0), largest: LargestCall::default(), ..none }, 1, false),
        ] {
            let models: Arc<dyn Models> = Arc::new(Purse(left));
            assert_eq!(block_on(affordable(&models, calls)).unwrap(), can, "{calls} calls of {left:?}");
        }
    }
}
