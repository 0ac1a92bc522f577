//! SPINE (Ravichandran et al., 2024, arXiv 2410.03035) for worlds of text: each step of a plan is validated before it
//! runs, and a step that cannot begin means a new plan, with the reason.
//!
//! ```text
//! plan <- LLM: few steps, each with what it needs          at the first decision, and when the plan is used up
//! at each decision:
//!     if the world refused the last action: plan <- LLM: steps from here on, given that
//!     else action <- LLM: the next part of the step, or that it is done
//!     where a step begins, up to `replans` times:
//!         LLM: is what it needs so?                        validation
//!         if not: plan <- LLM: steps from here on, given what was missing
//!     action <- LLM: begin the step
//! ```

use forethought_sdk::prelude::*;

use crate::{
    allowance::affordable,
    ask::{AskConfig, Asker, Label, Said},
    plan::{
        ENDED, Plan, Progress, REFUSED, Writing, act, brief, go_on, improvise, last_refused, usual_refusals,
        yes,
    },
    prompts::{Prompts, prompt_files},
};

/// Settings of SPINE.
#[config]
#[derive(Debug, Clone)]
pub struct SpineConfig {
    /// How the language model is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Most steps of a plan: few, because what is far ahead is planned with what is seen by then.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 1000))]
    pub length: usize,
    /// New plans per decision, where the first step of one cannot begin. The last one is carried out all the same.
    #[serde(default = "two")]
    #[schemars(range(max = 1000))]
    pub replans: usize,
    /// Texts of which one in an observation means that the last action was refused, in any case. So does an observation
    /// that is the same as before.
    #[serde(default = "usual_refusals")]
    pub refusals: Vec<String>,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: SpinePrompts,
}

prompt_files! {
    /// Files that replace SPINE's prompt templates.
    SpinePrompts: agent, history, plan, precondition, resume, action, react
}

fn four() -> usize {
    4
}

fn two() -> usize {
    2
}

/// The SPINE planner: one call per decision within a step; where one begins, one to validate it and one to act, and one
/// for each new plan.
pub struct Spine {
    config: SpineConfig,
    writing: Writing,
    prompts: Prompts,
}

impl Spine {
    /// A planner with these settings.
    ///
    /// # Errors
    /// Plans without steps, or a template that cannot be used.
    pub fn new(config: SpineConfig) -> Result<Self> {
        let writing = Writing::of(config.length, true)?;
        Ok(Self { prompts: config.ask.prompts(&config.prompts)?, writing, config })
    }

    /// Whether the current step can begin; if that cannot be read or paid, it may.
    async fn valid(
        &self,
        asker: &mut Asker,
        context: &DecisionContext,
        models: &Arc<dyn Models>,
        plan: &Plan,
    ) -> Result<bool> {
        if plan.step().needs.is_empty() || !affordable(models, 2).await? {
            return Ok(true);
        }
        let messages = self.prompts.messages("precondition", context, plan.given())?;
        let read = |said: &Said<'_>| yes(said, "Holds");
        let holds = asker.ask_for(&[Label::One("Holds")], Purpose::Judge, messages, read).await?;
        Ok(holds.unwrap_or(true))
    }
}

#[async_trait]
impl Planner for Spine {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.config.ask.requires())
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let llm = models.llm(self.config.ask.llm.clone()).await?;
        let mut asker = self.config.ask.asker(llm, seed::derive(context.seed, "spine"));
        let mut plan = Plan::of(&context);
        let refused = last_refused(&context, &self.config.refusals);
        let context = brief(&context);
        let mut why = None;
        match &mut plan {
            None => {}
            Some(_) if refused => why = Some(REFUSED.to_owned()),
            Some(plan) => match go_on(&mut asker, &self.prompts, &context, &models, plan).await? {
                Progress::Action(action) => return Ok(plan.decision(action, None, asker.unread)),
                Progress::Begins => {}
                Progress::Ended => why = Some(ENDED.to_owned()),
            },
        }
        let mut due = plan.is_none() || why.is_some();
        let mut replanned = 0;
        loop {
            if due {
                let before = plan.as_ref().zip(why.as_deref());
                // One that cannot be read leaves the plan as it was.
                plan =
                    self.writing.plan(&mut asker, &self.prompts, &context, &models, before).await?.or(plan);
            }
            let Some(plan) = &plan else { return improvise(&mut asker, &self.prompts, &context).await };
            if self.valid(&mut asker, &context, &models, plan).await? {
                break;
            }
            let missing = format!("what it needs is not so ({})", plan.step().needs);
            if replanned == self.config.replans {
                asker.unread.recoveries.push(format!("at a step of the plan, {missing}: went on with it"));
                break;
            }
            why = Some(missing);
            (due, replanned) = (true, replanned + 1);
        }
        let plan = plan.expect("the loop ends with a plan");
        let action = act(&mut asker, &self.prompts, &context, &plan).await?;
        Ok(plan.decision(action, why.as_deref(), asker.unread))
    }
}

register! {
    interface: dyn Planner, kind: "spine", summary: "a plan whose steps are validated before they run (SPINE)",
    config: SpineConfig,
    new: |config, _host| async move { Ok(Arc::new(Spine::new(config)?) as _) },
}
