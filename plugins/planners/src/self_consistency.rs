//! Self-consistency (Wang et al., 2022, arXiv 2203.11171): sample several chains of thought with their actions, and take
//! the action that most of them end in. The thoughts are not compared.
//!
//! ```text
//! (thought_i, action_i) <- LLM, i = 1..n, at a temperature above 0
//! action                <- argmax_a  sum_i 1(action_i = a)
//! ```
//!
//! This is the [vote](crate::vote) of ReActs with the paper's samples and temperature.

use std::num::NonZeroUsize;

use forethought_sdk::prelude::*;

use crate::{
    ask::AskConfig,
    react::ReactPrompts,
    vote::{ReactVoteConfig, Vote},
};

/// Settings of self-consistency. The temperature is 0.7 if none is given.
#[config]
#[derive(Debug, Clone)]
pub struct SelfConsistencyConfig {
    /// Sampled pairs of thought and action (n), each with its own seed. The paper samples 40; most of the gain is there
    /// with 5 to 10.
    #[serde(default = "forty")]
    #[schemars(range(min = 1, max = 1000))]
    pub samples: NonZeroUsize,
    /// How each of them is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: ReactPrompts,
}

/// The paper's temperature for models that are not cut to their likeliest tokens.
const TEMPERATURE: f64 = 0.7;

fn forty() -> NonZeroUsize {
    NonZeroUsize::new(40).expect("not zero")
}

/// A planner with these settings.
///
/// # Errors
/// A template that cannot be used; a temperature of 0, at which all samples are one.
pub fn self_consistency(config: SelfConsistencyConfig) -> Result<Vote> {
    let SelfConsistencyConfig { samples, mut ask, prompts } = config;
    let temperature = *ask.temperature.get_or_insert(TEMPERATURE);
    if temperature == 0.0 && samples.get() > 1 {
        return Err(Error::config(
            "temperature = 0: all samples would be the same; the paper samples at 0.5 to 0.7",
        ));
    }
    Vote::of_reacts(ReactVoteConfig { votes: samples, ask, prompts })
}

register! {
    interface: dyn Planner, kind: "self-consistency", summary: "the action that most of several sampled thoughts lead to",
    config: SelfConsistencyConfig,
    new: |config, _host| async move { Ok(Arc::new(self_consistency(config)?) as _) },
}
