//! Plan, monitor, replan: RePlan (Skreta et al., 2024, arXiv 2401.04157) for worlds of text. The model plans, compares
//! what it sees with what a step should lead to, and plans again where the plan fails.
//!
//! ```text
//! plan <- LLM: steps                                    at the first decision
//! at each further decision:
//!     if the world refused the last action: the plan fails
//!     else status, action <- LLM: is the step unfinished or done, or does the plan fail?
//!     if it fails, or its last step is done: plan <- LLM: steps from here on, given why; action <- LLM
//! ```

use forethought_sdk::{answers::Complaint, prelude::*};

use crate::{
    allowance::affordable,
    ask::{AskConfig, Asker, Label, Said},
    plan::{ENDED, Plan, REFUSED, Writing, act, brief, improvise, last_refused, usual_refusals},
    prompts::{Prompts, prompt_files},
};

/// Settings of the planner that replans.
#[config]
#[derive(Debug, Clone)]
pub struct ReplanConfig {
    /// How the language model is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Most steps of a plan.
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 1000))]
    pub length: usize,
    /// Texts of which one in an observation means that the last action was refused, in any case. So does an observation
    /// that is the same as before.
    #[serde(default = "usual_refusals")]
    pub refusals: Vec<String>,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: ReplanPrompts,
}

prompt_files! {
    /// Files that replace the prompt templates.
    ReplanPrompts: agent, history, plan, monitor, action, react
}

fn eight() -> usize {
    8
}

/// What the model says of the step that it carries out.
enum Status {
    Unfinished(Action),
    Done(Action),
    Failed,
}

/// The planner that replans: one call per decision, two where a plan is made because the world refused an action, or at
/// the start, and three where the model finds that the plan fails.
pub struct Replan {
    config: ReplanConfig,
    writing: Writing,
    prompts: Prompts,
}

impl Replan {
    /// A planner with these settings.
    ///
    /// # Errors
    /// Plans without steps, or a template that cannot be used.
    pub fn new(config: ReplanConfig) -> Result<Self> {
        let writing = Writing::of(config.length, false)?;
        Ok(Self { prompts: config.ask.prompts(&config.prompts)?, writing, config })
    }

    /// How far the current step is, and the next action; `None` if that cannot be read or paid.
    async fn monitor(
        &self,
        asker: &mut Asker,
        context: &DecisionContext,
        models: &Arc<dyn Models>,
        plan: &Plan,
    ) -> Result<Option<Status>> {
        if !affordable(models, 2).await? {
            return Ok(None);
        }
        let messages = self.prompts.messages("monitor", context, plan.given())?;
        let read = |said: &Said<'_>| {
            let status = said.text("Status")?.to_lowercase();
            let action = || said.action(&context.turn);
            let mut words = status.split(|c: char| !c.is_alphanumeric());
            let status = words.find_map(|word| match word {
                "unfinished" | "not" | "open" => Some(action().map(Status::Unfinished)),
                // There is no next step to act on after the last one.
                "done" | "finished" => Some(action().or(Ok(Action::default())).map(Status::Done)),
                "failed" | "fails" | "fail" => Some(Ok(Status::Failed)),
                _ => None,
            });
            let neither = "the status is neither \"unfinished\" nor \"done\" nor \"failed\"";
            status.unwrap_or_else(|| Err(Complaint::unreadable(neither)))
        };
        let labels = [Label::One("Status"), Label::One("Action")];
        Ok(asker.ask_to_act(&labels, messages, context, read).await?.ok())
    }
}

#[async_trait]
impl Planner for Replan {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.config.ask.requires())
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let llm = models.llm(self.config.ask.llm.clone()).await?;
        let mut asker = self.config.ask.asker(llm, seed::derive(context.seed, "replan"));
        let before = Plan::of(&context);
        let refused = last_refused(&context, &self.config.refusals);
        let context = brief(&context);
        // The plan, the reason for which it fails, and the action if it does not.
        let (mut plan, why, mut action) = match before {
            None => (None, None, None),
            Some(plan) if refused => (Some(plan), Some(REFUSED), None),
            Some(mut plan) => match self.monitor(&mut asker, &context, &models, &plan).await? {
                Some(Status::Unfinished(action)) => (Some(plan), None, Some(action)),
                Some(Status::Done(action)) => match plan.advance() {
                    true => (Some(plan), None, Some(action)),
                    false => (Some(plan), Some(ENDED), None),
                },
                Some(Status::Failed) => (Some(plan), Some("the plan no longer works"), None),
                None => {
                    let action = act(&mut asker, &self.prompts, &context, &plan).await?;
                    (Some(plan), None, Some(action))
                }
            },
        };
        if plan.is_none() || why.is_some() {
            let before = plan.as_ref().zip(why);
            // One that cannot be read leaves the plan as it was.
            plan = self.writing.plan(&mut asker, &self.prompts, &context, &models, before).await?.or(plan);
            action = None;
        }
        let Some(plan) = plan else { return improvise(&mut asker, &self.prompts, &context).await };
        let action = match action.filter(|action| !action.text.is_empty()) {
            Some(action) => action,
            None => act(&mut asker, &self.prompts, &context, &plan).await?,
        };
        Ok(plan.decision(action, why, asker.unread))
    }
}

register! {
    interface: dyn Planner, kind: "replan", summary: "a plan that is monitored, and made again where it fails",
    config: ReplanConfig,
    new: |config, _host| async move { Ok(Arc::new(Replan::new(config)?) as _) },
}
