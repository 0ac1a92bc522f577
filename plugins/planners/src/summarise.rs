//! Summaries: a history as the critic sees it, the same in data collection and in use.

use forethought_sdk::{
    prelude::*,
    serde_json::{Value, json},
};

use crate::{
    ask::{AskConfig, Asker, Label::One, Said},
    prompts::{Prompts, prompt_files},
};

/// Settings of the summariser.
#[config]
#[derive(Debug, Clone)]
pub struct SummariserConfig {
    /// How the language model is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: SummariserPrompts,
}

prompt_files! {
    /// Files that replace the summariser's prompt templates.
    SummariserPrompts: agent, history, summarise
}

/// A summariser that asks a language model; a cheap one is enough.
pub struct LlmSummariser {
    config: SummariserConfig,
    prompts: Prompts,
}

impl LlmSummariser {
    /// A summariser with these settings.
    ///
    /// # Errors
    /// A template that cannot be used.
    pub fn new(config: SummariserConfig) -> Result<Self> {
        Ok(Self { prompts: config.ask.prompts(&config.prompts)?, config })
    }
}

#[async_trait]
impl Summariser for LlmSummariser {
    async fn requires(&self) -> Result<Requirements> {
        Ok(self.config.ask.requires())
    }

    async fn summarise(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Summary> {
        let llm = models.llm(self.config.ask.llm.clone()).await?;
        let mut asker = self.config.ask.asker(llm, seed::derive(context.seed, "summarise"));
        let summary = summarise(&self.prompts, &mut asker, &context).await?;
        asker.unread.note(&*models).await;
        Ok(summary)
    }
}

/// Asks for a summary. If no answer can be read, the beginning of the last observation is both state and outcome, as in
/// the logs of release 0.1.0. The runtime then collects no outcome.
pub(crate) async fn summarise(
    prompts: &Prompts,
    asker: &mut Asker,
    context: &DecisionContext,
) -> Result<Summary> {
    let messages = prompts.messages("summarise", context, json!({}))?;
    let read = |said: &Said<'_>| Ok(Summary { state: said.text("State")?, outcome: said.text("Outcome")? });
    let labels = [One("State"), One("Outcome")];
    Ok(asker.ask_for(&labels, Purpose::Summarise, messages, read).await?.unwrap_or_else(|_| {
        let text: String = context.turn.observation.text.chars().take(500).collect();
        Summary { state: text.clone(), outcome: text }
    }))
}

/// Asks for the state alone, in the words of `style`: what a planner shows a critic. If no answer can be read, it is the
/// beginning of the last observation.
pub(crate) async fn state_only(
    prompts: &Prompts,
    asker: &mut Asker,
    context: &DecisionContext,
    style: &Value,
) -> Result<String> {
    let messages = prompts.messages("summarise", context, json!({ "style": style }))?;
    let read = |said: &Said<'_>| said.text("State");
    let state = asker.ask_for(&[One("State")], Purpose::Summarise, messages, read).await?;
    Ok(state.unwrap_or_else(|_| context.turn.observation.text.chars().take(500).collect()))
}

register! {
    interface: dyn Summariser, kind: "llm", summary: "a language model summarises the history",
    config: SummariserConfig,
    new: |config, _host| async move { Ok(Arc::new(LlmSummariser::new(config)?) as _) },
}
