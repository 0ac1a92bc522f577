//! Components that the plugin boundary is tested with, written as any author would write them. It depends on the sdk,
//! tokio and tracing.
//!
//! [`echo`] says what it is told; [`works`] does all that async Rust can do, and reaches for other components;
//! [`models`] are a language model, an encoder and a trainer; [`planner`] is handed objects and calls them;
//! [`stress`] misbehaves on purpose, each way by its `mode`.

pub mod echo;
pub mod models;
pub mod planner;
pub mod stress;
pub mod works;

use forethought_sdk::{prelude::*, schemars, serde, serde_json::Value};

/// No settings.
#[derive(Deserialize, JsonSchema)]
#[serde(crate = "serde", deny_unknown_fields)]
#[schemars(crate = "schemars")]
pub struct Nothing {}

/// The specification of a world of one seat without tasks.
fn one_seat(name: &str) -> EnvironmentSpec {
    let seats = vec![SeatSpec { name: "agent".into(), ..SeatSpec::default() }];
    EnvironmentSpec { name: name.into(), version: "1".into(), seats, ..EnvironmentSpec::default() }
}

/// A step that was answered with `text` and `data`.
fn answer(text: impl Into<String>, data: Value) -> Transition {
    let turn = Turn { observation: Observation { text: text.into(), data }, ..Turn::default() };
    Transition { turn, rewards: vec![0.0], ..Transition::default() }
}
