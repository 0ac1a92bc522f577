//! Equal requests of one decision are answered once: several planners that each summarise the same history share one
//! summary.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use forethought_sdk::{
    futures::future::{BoxFuture, FutureExt as _, Shared},
    prelude::*,
    serde_json::to_string,
};

use crate::{around::Around, inner::Inner};

/// Settings of a cache.
#[config]
#[derive(Debug, Clone)]
pub struct CachedConfig {
    /// The planner.
    pub inner: PlannerName,
    /// What requests are for that are answered once. Where answers should differ, as thoughts in a vote, leave it out.
    #[serde(default = "summaries")]
    pub purposes: Vec<Purpose>,
}

fn summaries() -> Vec<Purpose> {
    vec![Purpose::Summarise]
}

/// The planner whose equal requests are answered once. Requests are equal even if their seeds differ: the seed of the
/// one that is made derives from the rest, so it does not matter which planner asks first.
pub struct Cached {
    inner: Inner,
    purposes: Vec<Purpose>,
}

impl Cached {
    /// A planner over `inner` that answers equal requests for these purposes once.
    pub fn over(inner: Inner, purposes: Vec<Purpose>) -> Self {
        Self { inner, purposes }
    }
}

type Answers = Arc<Mutex<HashMap<String, Shared<BoxFuture<'static, Result<Completion>>>>>>;

/// A model that answers equal requests once.
struct Once {
    name: String,
    llm: Arc<dyn LlmBackend>,
    purposes: Vec<Purpose>,
    seed: u64,
    answers: Answers,
}

#[async_trait]
impl LlmBackend for Once {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        Ok(LlmCapabilities { streaming: false, ..self.llm.capabilities().await? })
    }
    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        if !self.purposes.contains(&request.purpose) {
            return self.llm.complete(request).await;
        }
        let request = ChatRequest { seed: None, ..request };
        let key = format!("{}: {}", self.name, to_string(&request)?);
        let answer = {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            let seed = seed::derive(self.seed, &key);
            let llm = self.llm.clone();
            let ask = || async move { llm.complete(ChatRequest { seed: Some(seed), ..request }).await };
            answers.entry(key).or_insert_with(|| ask().boxed().shared()).clone()
        };
        answer.await
    }
}

#[async_trait]
impl Planner for Cached {
    async fn requires(&self) -> Result<Requirements> {
        Inner::requires(&[&self.inner]).await
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let (purposes, seed, answers) = (self.purposes.clone(), context.seed, Answers::default());
        let wrap = move |name, llm| {
            let (purposes, answers) = (purposes.clone(), answers.clone());
            Arc::new(Once { name, llm, purposes, seed, answers }) as Arc<dyn LlmBackend>
        };
        let own = Box::new(Allowance::default);
        let decision = self.inner.decide(context, &(Arc::new(Around { models, wrap, own }) as _)).await?;
        let mut trace = Trace::default();
        self.inner.note(&mut trace, Ok(decision.clone()), true);
        Ok(Decision { trace, ..decision })
    }
}

register! {
    interface: dyn Planner, kind: "cached", summary: "a planner whose equal requests within a decision are answered once",
    config: CachedConfig,
    new: |config: CachedConfig, host: Arc<dyn Host>| async move {
        Ok(Arc::new(Cached::over(Inner::named(config.inner, &host).await?, config.purposes)) as _)
    },
}
