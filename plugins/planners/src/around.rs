//! The models of a decision, with something around each language model.

use std::collections::BTreeMap;

use forethought_sdk::{prelude::*, serde_json::Value};

/// Models whose language models are wrapped as they are given out.
pub(crate) struct Around<F> {
    pub(crate) models: Arc<dyn Models>,
    pub(crate) wrap: F,
    /// What they allow besides the budget that the decision has anyway.
    pub(crate) own: Box<dyn Fn() -> Allowance + Send + Sync>,
}

#[async_trait]
impl<F: Fn(String, Arc<dyn LlmBackend>) -> Arc<dyn LlmBackend> + Send + Sync> Models for Around<F> {
    async fn llm(&self, name: String) -> Result<Arc<dyn LlmBackend>> {
        let llm = self.models.llm(name.clone()).await?;
        Ok((self.wrap)(name, llm))
    }
    async fn critic(&self, name: String) -> Result<Arc<dyn Critic>> {
        self.models.critic(name).await
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        self.models.fork().await
    }
    async fn imagine(&self, hidden: Value, seed: u64) -> Result<Option<Arc<dyn Environment>>> {
        self.models.imagine(hidden, seed).await
    }
    async fn summarise(&self, context: DecisionContext) -> Result<Summary> {
        self.models.summarise(context).await
    }
    async fn allowance(&self) -> Result<Allowance> {
        Ok(self.models.allowance().await?.and((self.own)()))
    }
    async fn note(&self, recoveries: Vec<String>, faults: BTreeMap<String, u32>) -> Result<()> {
        self.models.note(recoveries, faults).await
    }
}
