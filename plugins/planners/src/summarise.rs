//! Summaries: a history as the critic sees it, the same when data are collected and when they are used.

use forethought_sdk::{prelude::*, serde_json::json};

use crate::{
    answers::labelled,
    ask::{AskConfig, Asker, Label::One},
    prompts::Prompts,
};

/// A summariser that asks a language model; a cheap one will do.
pub struct LlmSummariser {
    config: AskConfig,
    prompts: Prompts,
}

impl LlmSummariser {
    /// A summariser of these settings.
    ///
    /// # Errors
    /// A template that cannot be used.
    pub fn new(config: AskConfig) -> Result<Self> {
        Ok(Self { prompts: config.prompts()?, config })
    }
}

#[async_trait]
impl Summariser for LlmSummariser {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.config.requires())
    }

    async fn summarise(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Summary> {
        let llm = models.llm(self.config.llm.clone()).await?;
        let mut asker = self.config.asker(llm, seed::derive(context.seed, "summarise"));
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
    let labels = [One("State"), One("Outcome")];
    Ok(match asker.ask_for(&labels, Purpose::Summarise, messages, read).await? {
        Ok(summary) => summary,
        Err(_) => {
            let text: String = context.turn.observation.text.chars().take(500).collect();
            Summary { state: text.clone(), outcome: text }
        }
    })
}

register! {
    interface: dyn Summariser, kind: "llm", summary: "a language model writes the history down in short",
    config: AskConfig,
    new: |config, _host| async move { Ok(Arc::new(LlmSummariser::new(config)?) as _) },
}
