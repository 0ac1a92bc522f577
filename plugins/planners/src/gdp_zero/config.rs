//! The settings of GDP-Zero.

use forethought_sdk::prelude::*;

use crate::prompts::prompt_files;

/// Settings of GDP-Zero.
#[config]
#[derive(Debug, Clone)]
pub struct GdpZeroConfig {
    /// Name of the language model under `[llm]` that chooses acts and speaks.
    #[schemars(with = "LlmName")]
    pub llm: String,
    /// Name of the language model under `[llm]` that plays the other side; by default the same.
    #[serde(default)]
    #[schemars(with = "Option<LlmName>")]
    pub partner: Option<String>,
    /// Simulations per decision (n); the first one only evaluates the current state.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub simulations: u32,
    /// Weight of the prior against the values found (c of PUCT).
    #[serde(default = "one")]
    pub exploration: f64,
    /// Value of an act before it is tried (Q0).
    #[serde(default)]
    pub initial_value: f64,
    /// Maximum number of exchanges kept per sequence of acts.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 10_000))]
    pub realisations: usize,
    /// Acts sampled per prior, in one request.
    #[serde(default = "fifteen")]
    #[schemars(range(max = 10_000))]
    pub prior_samples: u32,
    /// Answers sampled per value, in one request.
    #[serde(default = "ten")]
    #[schemars(range(max = 10_000))]
    pub value_samples: u32,
    /// Temperature of utterances.
    #[serde(default = "speaking")]
    pub temperature: Option<f64>,
    /// Temperature of acts.
    #[serde(default = "choosing")]
    pub prior_temperature: Option<f64>,
    /// Temperature of the other side's answers.
    #[serde(default = "answering")]
    pub partner_temperature: Option<f64>,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: GdpZeroPrompts,
}

prompt_files! {
    /// Files that replace GDP-Zero's prompt templates.
    GdpZeroPrompts: agent, dialogue, act, utter, respond
}

fn one() -> f64 {
    1.0
}

fn three() -> usize {
    3
}

fn ten() -> u32 {
    10
}

fn fifteen() -> u32 {
    15
}

fn speaking() -> Option<f64> {
    Some(0.7)
}

fn choosing() -> Option<f64> {
    Some(1.0)
}

fn answering() -> Option<f64> {
    Some(1.1)
}
