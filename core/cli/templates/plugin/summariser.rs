//! Summarises a history without a model: a summariser to start from.
//!
//! Critics see states only as summaries, with the same words when data are collected and when the
//! critic is asked. So the same history must always give the same summary.

use forethought_sdk::prelude::*;

/// The keys under `[summariser]`. The comment on a key becomes its help text.
#[config]
#[serde(default)]
struct Config {
    /// Characters of the observation that are kept.
    chars: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { chars: 300 }
    }
}

struct Latest {
    chars: usize,
}

#[async_trait]
impl Summariser for Latest {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default()) // A summariser that asks a model names it here.
    }

    async fn summarise(&self, context: DecisionContext, _: Arc<dyn Models>) -> Result<Summary> {
        let seen: String = context.turn.observation.text.chars().take(self.chars).collect();
        let last = context.history.last().map_or("nothing", |exchange| &*exchange.action);
        let state = format!("{} actions, at last {last}. Sees: {seen}", context.history.len());
        let now = if context.ended { "In the end" } else { "For now" };
        Ok(Summary { state, outcome: format!("{now}, {last} led to: {seen}") })
    }
}

register! {
    interface: dyn Summariser, kind: "{{name}}", summary: "the latest observation and action",
    config: Config,
    new: |config: Config, _host| async move { Ok(Arc::new(Latest { chars: config.chars }) as _) },
}
