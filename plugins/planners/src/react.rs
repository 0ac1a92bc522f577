//! ReAct (Yao et al., 2023): a thought and an action in one answer, given the history so far.

use forethought_sdk::{prelude::*, serde_json::json};

use crate::{
    ask::{AskConfig, Label::One},
    prompts::{Prompts, prompt_files},
};

/// Settings of ReAct.
#[config]
#[derive(Debug, Clone)]
pub struct ReactConfig {
    /// How the language model is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: ReactPrompts,
}

prompt_files! {
    /// Files that replace ReAct's prompt templates.
    ReactPrompts: agent, history, react
}

/// The ReAct planner: one call per decision.
pub struct React {
    config: ReactConfig,
    prompts: Prompts,
}

impl React {
    /// A planner with these settings.
    ///
    /// # Errors
    /// A template that cannot be used.
    pub fn new(config: ReactConfig) -> Result<Self> {
        Ok(Self { prompts: config.ask.prompts(&config.prompts)?, config })
    }

    pub(crate) fn messages(&self, context: &DecisionContext) -> Result<Vec<Message>> {
        self.prompts.messages("react", context, json!({}))
    }

    /// A decision that is drawn from `seed`, asked for by these messages.
    pub(crate) async fn sample(
        &self,
        context: &DecisionContext,
        messages: Vec<Message>,
        seed: u64,
        models: &Arc<dyn Models>,
    ) -> Result<Decision> {
        let llm = models.llm(self.config.ask.llm.clone()).await?;
        let mut asker = self.config.ask.asker(llm, seed::derive(seed, "react"));
        let labels = [One("Thought"), One("Action")];
        let (thought, action) = asker.ask_for_action(&labels, messages, context).await?;
        let trace = asker.unread.trace();
        Ok(Decision { thought, action, trace, ..Decision::default() })
    }
}

#[async_trait]
impl Planner for React {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.config.ask.requires())
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let messages = self.messages(&context)?;
        self.sample(&context, messages, context.seed, &models).await
    }
}

register! {
    interface: dyn Planner, kind: "react", summary: "thought and action in one answer (ReAct)",
    config: ReactConfig,
    new: |config, _host| async move { Ok(Arc::new(React::new(config)?) as _) },
}
