//! Random actions: a baseline for planners, and enough to try out a new environment.

use forethought_sdk::{prelude::*, seed::IndexedRandom};

use crate::toolbox;

/// Settings of random actions: none.
#[config]
#[derive(Debug, Clone, Default)]
#[serde(default)]
pub struct RandomConfig {}

/// A planner that draws uniformly from the legal actions. It asks no model.
pub struct Random;

#[async_trait]
impl Planner for Random {
    async fn requires(&self) -> Result<Requirements> {
        Ok(Requirements::default())
    }

    async fn decide(&self, context: DecisionContext, _models: Arc<dyn Models>) -> Result<Decision> {
        let drawn = context.turn.legal_actions.choose(&mut seed::stream(context.seed, "random"));
        let action = drawn.ok_or_else(|| {
            Error::config(format!(
                "`{}` does not list its legal actions, which planner.random needs; use a planner that asks a model",
                context.environment.name
            ))
        })?;
        Ok(Decision { action: toolbox::action(action, &context.turn), ..Decision::default() })
    }
}

register! {
    interface: dyn Planner, kind: "random", summary: "a legal action at random: a baseline that asks no model",
    config: RandomConfig,
    new: |_config, _host| async move { Ok(Arc::new(Random) as _) },
}
