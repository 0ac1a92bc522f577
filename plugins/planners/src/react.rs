//! ReAct (Yao et al., 2023): a thought and an action in one answer, over the running log.

use forethought_sdk::{prelude::*, serde_json::json};

use crate::{
    answers::labelled,
    ask::{AskConfig, Label::One},
    prompts::Prompts,
};

/// The ReAct planner: one call a decision.
pub struct React {
    config: AskConfig,
    prompts: Prompts,
}

impl React {
    /// A planner of these settings.
    ///
    /// # Errors
    /// A template that cannot be used.
    pub fn new(config: AskConfig) -> Result<Self> {
        Ok(Self { prompts: config.prompts()?, config })
    }
}

#[async_trait]
impl Planner for React {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.config.requires())
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let llm = models.llm(self.config.llm.clone()).await?;
        let mut asker = self.config.asker(llm, seed::derive(context.seed, "react"));
        let messages = self.prompts.messages("react", &context, json!({}))?;
        let read =
            |answer: &str| Ok((labelled(answer, "Thought").unwrap_or_default(), labelled(answer, "Action")?));
        let labels = [One("Thought"), One("Action")];
        let (thought, action) = match asker.ask_for(&labels, Purpose::Action, messages, read).await? {
            Ok(read) => read,
            Err(answer) => (String::new(), last_line(&answer)),
        };
        let trace = Trace { recoveries: asker.recoveries, ..Trace::default() };
        Ok(Decision { thought, action: Action::new(action), trace, ..Decision::default() })
    }
}

/// What is acted on when no action could be read: the environment answers what it cannot understand.
pub(crate) fn last_line(answer: &str) -> String {
    answer.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

register! {
    interface: dyn Planner, kind: "react", summary: "thought and action in one answer (ReAct)",
    config: AskConfig,
    new: |config, _host| async move { Ok(Arc::new(React::new(config)?) as _) },
}
