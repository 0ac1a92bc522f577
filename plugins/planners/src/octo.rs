//! Planner and actor, split as in Octo-planner (Chen et al., 2024, arXiv 2406.18082): one model writes a plan, and a
//! cheaper one carries out its steps.
//!
//! ```text
//! plan <- planner LLM: steps                            at the first decision, and when the plan is used up
//! at each decision:
//!     action <- actor LLM: the next part of the step, or that it is done
//!     if it is done: action <- actor LLM: begin the next step
//! ```

use forethought_sdk::prelude::*;

use crate::{
    ask::{Answers, AskConfig, default_history_chars},
    plan::{ENDED, Plan, Progress, Writing, act, brief, go_on, improvise},
    prompts::{Prompts, prompt_files},
};

/// Settings of the split planner.
#[config]
#[derive(Debug, Clone)]
pub struct OctoConfig {
    /// Name of the language model under `[llm]` that plans.
    #[schemars(with = "LlmName")]
    pub planner_llm: String,
    /// Name of the language model under `[llm]` that carries out the steps.
    #[schemars(with = "LlmName")]
    pub actor_llm: String,
    /// Sampling temperature of both.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// The form in which both answer.
    #[serde(default)]
    pub answers: Answers,
    /// Longest history shown to them, in characters.
    #[serde(default = "default_history_chars")]
    pub history_chars: usize,
    /// Most steps of a plan.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub length: usize,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: OctoPrompts,
}

prompt_files! {
    /// Files that replace the prompt templates.
    OctoPrompts: agent, history, plan, resume, action, react
}

fn five() -> usize {
    5
}

/// The split planner: one call of the actor per decision, two where a step begins, and one of the planner per plan.
pub struct Octo {
    planner: AskConfig,
    actor: AskConfig,
    writing: Writing,
    prompts: Prompts,
}

impl Octo {
    /// A planner with these settings.
    ///
    /// # Errors
    /// Plans without steps, or a template that cannot be used.
    pub fn new(config: OctoConfig) -> Result<Self> {
        let OctoConfig { planner_llm, actor_llm, temperature, answers, history_chars, length, prompts } =
            config;
        let ask = |llm| AskConfig { llm, temperature, answers, history_chars, history_blocks: false };
        let (planner, actor) = (ask(planner_llm), ask(actor_llm));
        Ok(Self { prompts: actor.prompts(&prompts)?, writing: Writing::of(length, false)?, planner, actor })
    }
}

#[async_trait]
impl Planner for Octo {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.planner.requires().and(self.actor.requires()))
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let actor = models.llm(self.actor.llm.clone()).await?;
        let mut actor = self.actor.asker(actor, seed::derive(context.seed, "octo actor"));
        let mut plan = Plan::of(&context);
        let context = brief(&context);
        let mut why = None;
        if let Some(plan) = &mut plan {
            match go_on(&mut actor, &self.prompts, &context, &models, plan).await? {
                Progress::Action(action) => return Ok(plan.decision(action, None, actor.unread)),
                Progress::Begins => {}
                Progress::Ended => why = Some(ENDED),
            }
        }
        if plan.is_none() || why.is_some() {
            let planner = models.llm(self.planner.llm.clone()).await?;
            let mut planner = self.planner.asker(planner, seed::derive(context.seed, "octo planner"));
            let before = plan.as_ref().zip(why);
            let new = self.writing.plan(&mut planner, &self.prompts, &context, &models, before).await?;
            actor.unread.append(planner.unread);
            // One that cannot be read leaves the plan as it was.
            plan = new.or(plan);
        }
        let Some(plan) = plan else { return improvise(&mut actor, &self.prompts, &context).await };
        let action = act(&mut actor, &self.prompts, &context, &plan).await?;
        Ok(plan.decision(action, why, actor.unread))
    }
}

register! {
    interface: dyn Planner, kind: "octo", summary: "one model plans, and a cheaper one carries out the steps (Octo-planner)",
    config: OctoConfig,
    new: |config, _host| async move { Ok(Arc::new(Octo::new(config)?) as _) },
}
