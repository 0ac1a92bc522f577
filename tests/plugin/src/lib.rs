//! Components for tests of the plugin boundary, written as any author would write them. It depends on the sdk, tokio
//! and tracing.
//!
//! [`echo`] repeats actions; [`works`] does everything that async Rust can do, and uses other components; [`models`]
//! has a language model, an encoder and a trainer; [`planner`] calls objects that it is given; [`stress`] misbehaves
//! on purpose, as its `mode` says.

pub mod echo;
pub mod models;
pub mod planner;
pub mod stress;
pub mod works;

use forethought_sdk::{prelude::*, serde_json::Value};

/// No settings.
#[config]
pub struct Nothing {}

/// The specification of a world with one seat.
fn one_seat(name: &str) -> EnvironmentSpec {
    let seats = vec![SeatSpec { name: "agent".into(), ..SeatSpec::default() }];
    EnvironmentSpec { name: name.into(), version: "1".into(), seats, ..EnvironmentSpec::default() }
}

/// The answer to a step, with `text` and `data`.
fn answer(text: impl Into<String>, data: Value) -> Transition {
    let turn = Turn { observation: Observation { text: text.into(), data }, ..Turn::default() };
    Transition { turn, rewards: vec![0.0], ..Transition::default() }
}
