//! The planner that thinks and does what is recorded.

use forethought_sdk::{
    prelude::*,
    serde_json::{self, Value, json},
};

use crate::config::RepeatConfig;

/// What was done in a turn, next to what is seen there.
#[data]
#[derive(Default, Serialize)]
#[serde(default)]
pub(crate) struct Recording {
    thought: String,
    action: String,
    /// The summary, where all of it is recorded.
    summary: Option<Summary>,
}

impl Recording {
    /// A step, after another one.
    pub(crate) fn of(step: &Step, before: Option<&Step>) -> Self {
        // The outcome of a step is in the summary that follows it.
        let outcome = match before {
            Some(before) => before.said().next().map(String::from),
            None => Some(String::new()),
        };
        let summary = outcome.filter(|_| !step.state.is_empty());
        let summary = summary.map(|outcome| Summary { state: step.state.clone(), outcome });
        Self { thought: step.thought.clone(), action: step.action.clone(), summary }
    }

    pub(crate) fn written(&self) -> Value {
        json!({ "recorded": self })
    }
}

/// Repeats a recorded episode.
pub struct Repeat;

#[async_trait]
impl Planner for Repeat {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }

    async fn decide(&self, context: DecisionContext, _: Arc<dyn Models>) -> Result<Decision> {
        let Recording { thought, action, summary } =
            match context.turn.observation.data.get("recorded").cloned().map(serde_json::from_value) {
                Some(Ok(recording)) => recording,
                _ => {
                    return Err(Error::input(format!(
                        "nothing is recorded in a world of kind `{}`: this planner acts in `recorded` alone",
                        context.environment.name
                    )));
                }
            };
        Ok(Decision { thought, action: Action::new(action), summary, ..Decision::default() })
    }
}

register! {
    interface: dyn Planner, kind: "recorded", summary: "repeats what was thought and done in a recorded episode",
    config: RepeatConfig,
    new: |_config: RepeatConfig, _host| async move { Ok(Arc::new(Repeat) as _) },
}
