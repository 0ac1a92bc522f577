//! Asks several times and does what most answers say: a planner to start from.
//!
//! A planner keeps nothing between decisions. Models are asked only through `models`: there every
//! answer is recorded before it is used, so that an interrupted episode continues where it stopped.

use std::collections::BTreeMap;

use forethought_sdk::prelude::*;

/// The keys under `[planner.<name>]`. The comment on a key becomes its help text.
#[config]
struct Config {
    /// Name of the language model under `[llm]`.
    llm: String,
    /// Number of answers that vote.
    #[serde(default = "three")]
    votes: u32,
}

fn three() -> u32 {
    3
}

struct Majority(Config);

#[async_trait]
impl Planner for Majority {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements { llms: vec![self.0.llm.clone()], ..Default::default() })
    }

    async fn decide(&self, context: DecisionContext, models: Arc<dyn Models>) -> Result<Decision> {
        let mut request = ChatRequest::new(Purpose::Action, vec![Message::user(prompt(&context))]);
        request.samples = self.0.votes;
        request.seed = Some(context.seed); // Every draw of a decision derives from its seed.
        let completion = models.llm(self.0.llm.clone()).await?.complete(request).await?;

        let legal = &context.turn.legal_actions; // Empty where they cannot be listed.
        let mut votes = BTreeMap::new();
        for choice in &completion.choices {
            let action = choice.text.lines().find_map(|line| line.strip_prefix("Action:"));
            let action = action.unwrap_or(&choice.text).trim().to_owned();
            if legal.is_empty() || legal.contains(&action) {
                *votes.entry(action).or_insert(0) += 1;
            }
        }
        let most = votes.into_iter().max_by_key(|(_, count)| *count).map(|(action, _)| action);
        let text = most.or_else(|| legal.first().cloned()).unwrap_or_default();
        Ok(Decision { action: Action::new(text), ..Default::default() })
    }
}

/// Everything that the seat knows, in words.
fn prompt(context: &DecisionContext) -> String {
    let mut prompt = context.environment.instructions.clone();
    for exchange in &context.history {
        let Exchange { observation, action, .. } = exchange;
        prompt += &format!("\n\nObservation:\n{observation}\n\nAction: {action}");
    }
    let Turn { observation, legal_actions, .. } = &context.turn;
    prompt += &format!("\n\nObservation:\n{}", observation.text);
    if !legal_actions.is_empty() {
        prompt += &format!("\n\nLegal actions: {}", legal_actions.join(", "));
    }
    prompt + "\n\nReply with one line:\nAction: <one action, exactly in the grammar given>"
}

register! {
    interface: dyn Planner, kind: "{{name}}", summary: "does what most of several answers say",
    config: Config,
    new: |config: Config, _host| async move {
        if config.votes == 0 {
            return Err(Error::config("votes = 0: must be at least 1"));
        }
        Ok(Arc::new(Majority(config)) as _)
    },
}
