//! A world that repeats actions, for round trips and for the cost of a call.

use forethought_sdk::{
    prelude::*,
    serde_json::{self, Value, json},
};

use crate::{Nothing, answer, one_seat};

/// A stateless world.
#[derive(Clone, Copy)]
pub struct Echo;

#[async_trait]
impl Environment for Echo {
    async fn spec(&self) -> Result<EnvironmentSpec> {
        Ok(one_seat("echo"))
    }
    async fn spawn(&self) -> Result<Arc<dyn Environment>> {
        Ok(Arc::new(*self))
    }
    /// Task and seed, as data.
    async fn reset(&self, reset: Reset) -> Result<Turn> {
        Ok(answer("", json!({ "task": reset.task, "seed": reset.seed })).turn)
    }
    /// The action's text; if it is JSON, also as data, with its `rewards`, if any, as the rewards.
    async fn step(&self, action: Action) -> Result<Transition> {
        let data: Value = serde_json::from_str(&action.text).unwrap_or_default();
        let rewards = data.get("rewards").and_then(Value::as_array).map_or(&[][..], |all| all);
        let rewards = rewards.iter().filter_map(Value::as_f64).collect();
        Ok(Transition { rewards, ..answer(action.text, data) })
    }
    async fn fork(&self) -> Result<Option<Arc<dyn Environment>>> {
        Ok(Some(Arc::new(*self)))
    }
}

register! {
    interface: dyn Environment,
    kind: "echo",
    summary: "repeats actions",
    config: Nothing,
    new: |_: Nothing, _host| async { Ok(Arc::new(Echo) as _) },
}

register! {
    interface: dyn Environment,
    kind: "echo-inline",
    summary: "repeats actions, on the caller's thread",
    config: Nothing,
    inline: true,
    new: |_: Nothing, _host| async { Ok(Arc::new(Echo) as _) },
}
