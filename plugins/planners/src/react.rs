//! ReAct (Yao et al., 2023): a thought and an action in one answer, over the running log.

use forethought_sdk::{prelude::*, serde_json::json};

use crate::{
    answers::labelled,
    ask::Asker,
    prompts::{PromptFiles, Prompts},
    summarise::default_history_chars,
};

/// Settings of ReAct.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(crate = "forethought_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "forethought_sdk::schemars")]
pub struct ReactConfig {
    /// Name of the language model under `[llm]`.
    pub llm: String,
    /// Sampling temperature.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// Longest history shown to the model, in characters.
    #[serde(default = "default_history_chars")]
    pub history_chars: usize,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: PromptFiles,
}

/// The ReAct planner: one call a decision.
pub struct React {
    llm: String,
    temperature: Option<f64>,
    prompts: Prompts,
}

impl React {
    /// A planner of these settings.
    pub fn new(config: ReactConfig) -> Result<Self> {
        let prompts = Prompts::new(&config.prompts, config.history_chars)?;
        Ok(Self { llm: config.llm, temperature: config.temperature, prompts })
    }
}

#[async_trait]
impl Planner for React {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec![self.llm.clone()], ..Requirements::default() })
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let llm = models.llm(self.llm.clone()).await?;
        let mut asker = Asker::new(llm, seed::derive(context.seed, "react"), self.temperature);
        let messages = self.prompts.messages("react", &context, json!({}))?;
        let read =
            |answer: &str| Ok((labelled(answer, "Thought").unwrap_or_default(), labelled(answer, "Action")?));
        let (thought, action) = match asker.ask(Purpose::Action, messages, read).await? {
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
    config: ReactConfig,
    new: |config, _host| async move { Ok(Arc::new(React::new(config)?) as _) },
}
