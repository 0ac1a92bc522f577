//! Summaries: a history as the critic sees it, the same when data are collected and when they are used.

use forethought_sdk::{prelude::*, serde_json::json};

use crate::{
    answers::labelled,
    ask::Asker,
    prompts::{PromptFiles, Prompts},
};

/// Settings of the LLM summariser.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(crate = "forethought_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "forethought_sdk::schemars")]
pub struct SummariserConfig {
    /// Name of the language model under `[llm]`; a cheap one will do.
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

/// LATS and ReAct cut WebShop prompts to 6,400 characters of about this order; current models take more.
pub(crate) fn default_history_chars() -> usize {
    16_000
}

/// A summariser that asks a language model.
pub struct LlmSummariser {
    llm: String,
    temperature: Option<f64>,
    prompts: Prompts,
}

impl LlmSummariser {
    /// A summariser of these settings.
    pub fn new(config: SummariserConfig) -> Result<Self> {
        let prompts = Prompts::new(&config.prompts, config.history_chars)?;
        Ok(Self { llm: config.llm, temperature: config.temperature, prompts })
    }
}

#[async_trait]
impl Summariser for LlmSummariser {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec![self.llm.clone()], ..Requirements::default() })
    }

    async fn summarise(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Summary> {
        let llm = models.llm(self.llm.clone()).await?;
        let mut asker = Asker::new(llm, seed::derive(context.seed, "summarise"), self.temperature);
        summarise(&self.prompts, &mut asker, &context).await
    }
}

/// Asks for a summary; if no answer can be read, the last observation stands in for it.
pub(crate) async fn summarise(
    prompts: &Prompts,
    asker: &mut Asker,
    context: &DecisionContext,
) -> Result<Summary> {
    let messages = prompts.messages("summarise", context, json!({}))?;
    let read = |answer: &str| {
        Ok(Summary { state: labelled(answer, "State")?, outcome: labelled(answer, "Outcome")? })
    };
    Ok(match asker.ask(Purpose::Summarise, messages, read).await? {
        Ok(summary) => summary,
        Err(_) => {
            let text: String = context.turn.observation.text.chars().take(500).collect();
            Summary { state: text.clone(), outcome: text }
        }
    })
}

register! {
    interface: dyn Summariser, kind: "llm", summary: "a language model writes the history down in short",
    config: SummariserConfig,
    new: |config, _host| async move { Ok(Arc::new(LlmSummariser::new(config)?) as _) },
}
