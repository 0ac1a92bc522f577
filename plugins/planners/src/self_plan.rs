//! PNLC with the model's own probabilities in the critic's place: the paper's control "self-plan" (arXiv 2505.18098).
//! Prompts, n and m are PNLC's, so what remains of a gain is what the model knows by itself.
//!
//! ```text
//! s, thought, G <- as PNLC
//! p_g           <- LLM: how likely is each g in G, if the thought is followed?
//! thought'      <- LLM: given the evaluation, keep the thought or write a better one
//! ```
//!
//! The same is `pnlc` with a critic of kind `judge`, which may be another model; this one needs no section of its own.

use std::sync::atomic::{AtomicU32, Ordering};

use forethought_sdk::{answers::Answer, futures::future::join_all, prelude::*, serde_json::json};

use crate::{
    ask::AskConfig,
    deliberate::{Deliberation, Imagining, Outside, Weighing},
    prompts::{Prompts, prompt_files},
};

/// Settings of self-plan.
#[config]
#[derive(Debug, Clone)]
pub struct SelfPlanConfig {
    /// How the language model is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// What is imagined, and when.
    #[serde(flatten)]
    pub imagining: Imagining,
    /// Skip the refinement when the mean probability of the first thought's good outcomes exceeds that of its bad ones
    /// by more than this. By default, never.
    #[serde(default)]
    #[schemars(range(min = -1.0, max = 1.0))]
    pub confident: Option<f64>,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: SelfPlanPrompts,
}

prompt_files! {
    /// Files that replace self-plan's prompt templates.
    SelfPlanPrompts: agent, history, summarise, thought, outcomes, refine, candidates, choose, resume, action, probabilities
}

/// The self-plan planner: PNLC's calls, and one for each evaluated thought.
pub struct SelfPlan {
    ask: AskConfig,
    prompts: Arc<Prompts>,
    pnlc: Deliberation,
}

impl SelfPlan {
    /// A planner with these settings.
    ///
    /// # Errors
    /// Those of [`Pnlc::new`](crate::pnlc::Pnlc::new).
    pub fn new(config: SelfPlanConfig) -> Result<Self> {
        let SelfPlanConfig { ask, imagining, confident, prompts } = config;
        let critic = "the model itself".to_owned();
        let weighing = Weighing {
            critic,
            style: false,
            yardstick: false,
            abstain: false,
            confident,
            furthest: None,
            outside: Outside::NoData,
        };
        Ok(Self {
            prompts: Arc::new(ask.prompts(&prompts)?),
            pnlc: Deliberation::new(ask.clone(), imagining, Some(weighing), ask.prompts(&prompts)?)?,
            ask,
        })
    }
}

/// The models of a decision, with the acting model as the only critic.
struct Itself {
    models: Arc<dyn Models>,
    critic: Arc<OwnProbabilities>,
}

#[async_trait]
impl Models for Itself {
    async fn llm(&self, name: String) -> Result<Arc<dyn LlmBackend>> {
        self.models.llm(name).await
    }
    async fn critic(&self, _: String) -> Result<Arc<dyn Critic>> {
        Ok(self.critic.clone())
    }
    async fn summarise(&self, context: DecisionContext) -> Result<Summary> {
        self.models.summarise(context).await
    }
    async fn allowance(&self) -> Result<Allowance> {
        self.models.allowance().await
    }
}

/// The model's own probabilities: one call for all outcomes of a thought.
struct OwnProbabilities {
    ask: AskConfig,
    prompts: Arc<Prompts>,
    context: DecisionContext,
    models: Arc<dyn Models>,
    llm: Arc<dyn LlmBackend>,
    rounds: AtomicU32,
}

impl OwnProbabilities {
    async fn of_thought(&self, asked: &[CriticQuery], seed: u64) -> Result<Vec<Estimate>> {
        let outcomes: Vec<_> = asked.iter().map(|query| &query.outcome).collect();
        let given = json!({ "state": asked[0].state, "thought": asked[0].thought, "outcomes": outcomes });
        // Without the system prompt, as the critic of kind `judge` asks.
        let messages = self.prompts.messages("probabilities", &self.context, given)?.split_off(1);
        let mut asker = self.ask.asker(self.llm.clone(), seed);
        let read = |answer: &Answer| answer.probabilities(asked.len());
        let said = asker.ask(Purpose::Judge, messages, read).await?;
        asker.unread.note(&*self.models).await;
        let probabilities =
            said.map_err(|_| Error::malformed("no readable probabilities, when asked twice"))?;
        Ok(probabilities.into_iter().map(Estimate::of).collect())
    }
}

#[async_trait]
impl Critic for OwnProbabilities {
    async fn estimate(&self, queries: Vec<CriticQuery>) -> Result<Vec<Estimate>> {
        // Asked once per round, one after another.
        let round = self.rounds.fetch_add(1, Ordering::Relaxed);
        let thoughts = queries.chunk_by(|a, b| a.thought == b.thought).enumerate();
        let asked = thoughts.map(|(index, asked)| {
            self.of_thought(asked, seed::derive(self.context.seed, &format!("judge {round} {index}")))
        });
        let estimates: Result<Vec<_>> = join_all(asked).await.into_iter().collect();
        Ok(estimates?.concat())
    }
}

#[async_trait]
impl Planner for SelfPlan {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { critics: Vec::new(), ..self.pnlc.requires() })
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let models = self.pnlc.kept(models);
        let critic = Arc::new(OwnProbabilities {
            ask: self.ask.clone(),
            prompts: self.prompts.clone(),
            context: context.clone(),
            llm: models.llm(self.ask.llm.clone()).await?,
            models: models.clone(),
            rounds: AtomicU32::new(0),
        });
        self.pnlc.decide(context, Arc::new(Itself { models, critic })).await
    }
}

register! {
    interface: dyn Planner, kind: "self-plan", summary: "PNLC with the model's own probabilities in place of a critic (self-plan)",
    config: SelfPlanConfig,
    new: |config, _host| async move { Ok(Arc::new(SelfPlan::new(config)?) as _) },
}
