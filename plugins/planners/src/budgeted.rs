//! A planner with a budget for each decision, which it sees ([`Models::allowance`]) and may stop in time. Where it needs
//! more, what it had so far is left, and another planner acts: which of its calls came first then decides nothing.

use std::sync::{Mutex, PoisonError};

use forethought_sdk::prelude::*;

use crate::{
    around::Around,
    inner::{Inner, drawn},
};

/// Settings of a budget.
#[config]
#[derive(Debug, Clone)]
pub struct BudgetedConfig {
    /// The planner.
    pub inner: PlannerName,
    /// Calls of language models that it may make per decision.
    #[schemars(range(min = 1))]
    pub calls: u64,
    /// Tokens, in and out, that it may use per decision; how many a call uses is known when it is answered.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub tokens: Option<u64>,
    /// The planner that acts when the budget is spent. By default the decision fails, and a `fallback` around this
    /// planner may catch that.
    #[serde(default)]
    pub otherwise: Option<PlannerName>,
}

/// The planner with a budget. Calls that a critic makes do not count.
pub struct Budgeted {
    inner: Inner,
    limits: Limits,
    otherwise: Option<Inner>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    calls: u64,
    tokens: u64,
}

impl Budgeted {
    /// A planner over `inner`; `otherwise` acts when the budget is spent.
    pub fn over(inner: Inner, calls: u64, tokens: Option<u64>, otherwise: Option<Inner>) -> Self {
        Self { inner, limits: Limits { calls, tokens: tokens.unwrap_or(u64::MAX) }, otherwise }
    }
}

/// What a decision has used.
#[derive(Default)]
struct Used {
    calls: u64,
    tokens: u64,
    /// Of the call that used most.
    largest: u64,
    /// Why a call was refused.
    spent: Option<Error>,
}

impl Used {
    /// What `limits` leave.
    fn left(&self, limits: Limits) -> Allowance {
        Allowance {
            calls: Some(limits.calls.saturating_sub(self.calls)),
            tokens: (limits.tokens < u64::MAX).then(|| limits.tokens.saturating_sub(self.tokens)),
            largest: LargestCall { tokens: self.largest, ..LargestCall::default() },
            ..Allowance::default()
        }
    }
}

/// A model that is refused when the budget is spent.
struct Limited {
    llm: Arc<dyn LlmBackend>,
    limits: Limits,
    used: Arc<Mutex<Used>>,
}

impl Limited {
    /// An error once more than the budget is needed.
    fn count(&self, calls: u64, tokens: u64) -> Result<()> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.calls = used.calls.saturating_add(calls);
        used.tokens = used.tokens.saturating_add(tokens);
        used.largest = used.largest.max(tokens);
        let limit = match (used.calls > self.limits.calls, used.tokens > self.limits.tokens) {
            (true, _) => format!("calls = {}", self.limits.calls),
            (_, true) => format!("tokens = {}", self.limits.tokens),
            _ => return Ok(()),
        };
        let message = format!("the budget of the decision is spent ({limit})");
        Err(used.spent.get_or_insert(Error::new(Code::Budget, message)).clone())
    }
}

#[async_trait]
impl LlmBackend for Limited {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { streaming: false, ..self.llm.capabilities().await? })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        self.count(request.samples.max(1).into(), 0)?;
        let answer = self.llm.complete(request).await?;
        // The answer is paid for; if it is beyond the budget, the next call is refused.
        let _ = self.count(0, answer.usage.total());
        Ok(answer)
    }
}

#[async_trait]
impl Planner for Budgeted {
    async fn requires(&self) -> Result<Requirements> {
        let all: Vec<_> = [&self.inner].into_iter().chain(&self.otherwise).collect();
        Inner::requires(&all).await
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let (used, limits) = (Arc::new(Mutex::new(Used::default())), self.limits);
        let counted = used.clone();
        let wrap =
            move |_, llm| Arc::new(Limited { llm, limits, used: counted.clone() }) as Arc<dyn LlmBackend>;
        let counted = used.clone();
        let own = Box::new(move || counted.lock().unwrap_or_else(PoisonError::into_inner).left(limits));
        let within: Arc<dyn Models> = Arc::new(Around { models: models.clone(), wrap, own });
        let decision = self.inner.decide(context.clone(), &within).await;
        // Also where the planner made do without the answer: whose call was refused depends on what came first.
        let spent = used.lock().unwrap_or_else(PoisonError::into_inner).spent.clone();
        let mut trace = Trace::default();
        let chosen = match (spent, &self.otherwise) {
            (None, _) => {
                let decision = decision?;
                self.inner.note(&mut trace, Ok(decision.clone()), true);
                decision
            }
            (Some(error), None) => return Err(error),
            (Some(error), Some(otherwise)) => {
                self.inner.note(&mut trace, Err(error), false);
                let decision = otherwise.decide(drawn(&context, "otherwise"), &models).await?;
                otherwise.note(&mut trace, Ok(decision.clone()), true);
                decision
            }
        };
        Ok(Decision { trace, ..chosen })
    }
}

register! {
    interface: dyn Planner, kind: "budgeted", summary: "a planner with a budget of calls or tokens for each decision",
    config: BudgetedConfig,
    new: |config: BudgetedConfig, host: Arc<dyn Host>| async move {
        let BudgetedConfig { inner, calls, tokens, otherwise } = config;
        let otherwise = match otherwise {
            Some(name) => Some(Inner::named(name, &host).await?),
            None => None,
        };
        Ok(Arc::new(Budgeted::over(Inner::named(inner, &host).await?, calls, tokens, otherwise)) as _)
    },
}
