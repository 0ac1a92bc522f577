//! Act, the baseline without a thought in the ReAct paper (Yao et al., 2022, arXiv 2210.03629): the model is asked for
//! an action, and nothing else. One call per decision.

use forethought_sdk::{prelude::*, serde_json::json};

use crate::{
    ask::{AskConfig, Label::One},
    prompts::{Prompts, prompt_files},
};

/// Settings of Act.
#[config]
#[derive(Debug, Clone)]
pub struct ActConfig {
    /// How the language model is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: ActPrompts,
}

prompt_files! {
    /// Files that replace Act's prompt templates.
    ActPrompts: agent, history, act_now
}

/// The Act planner: one call per decision.
pub struct Act {
    config: ActConfig,
    prompts: Prompts,
}

impl Act {
    /// A planner with these settings.
    ///
    /// # Errors
    /// A template that cannot be used.
    pub fn new(config: ActConfig) -> Result<Self> {
        Ok(Self { prompts: config.ask.prompts(&config.prompts)?, config })
    }
}

#[async_trait]
impl Planner for Act {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.config.ask.requires())
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let llm = models.llm(self.config.ask.llm.clone()).await?;
        let mut asker = self.config.ask.asker(llm, seed::derive(context.seed, "act"));
        let messages = self.prompts.messages("act_now", &context, json!({}))?;
        let (_, action) = asker.ask_for_action(&[One("Action")], messages, &context).await?;
        Ok(Decision { action, trace: asker.unread.trace(), ..Decision::default() })
    }
}

register! {
    interface: dyn Planner, kind: "act", summary: "an action without a thought: the baseline of the ReAct paper",
    config: ActConfig,
    new: |config, _host| async move { Ok(Arc::new(Act::new(config)?) as _) },
}
