//! SayCan (Ahn et al., 2022, arXiv 2204.01691): do what the model would say **and** what can be done here. The skills are
//! the actions that the environment lists as legal.
//!
//! ```text
//! p_LLM(skill)  <- LLM: how likely the skill is as the next step of the task
//! V(skill, s)   <- critic: how likely the skill succeeds from here
//! act on argmax_skill  p_LLM(skill) * V(skill, s)
//! ```
//!
//! The paper scores each of its 551 skills by the probability of its words, which chat interfaces do not give: here
//! p_LLM is over the skills that are sampled.

use forethought_sdk::prelude::*;

use crate::{
    ask::AskConfig,
    grounded_decoding::{GroundedDecoding, GroundedDecodingConfig, GroundedPrompts, Grounding},
    likelihood::Sampling,
    score::Measure,
};

/// Settings of SayCan.
#[config]
#[derive(Debug, Clone)]
pub struct SayCanConfig {
    /// How the language model is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// How likely the model holds a skill.
    #[serde(flatten)]
    pub sampling: Sampling,
    /// Whether a skill can be done: with `goal`, its probability of that outcome, such as "The step succeeds."
    #[serde(flatten)]
    pub measure: Measure,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: GroundedPrompts,
}

/// A planner with these settings.
///
/// # Errors
/// Those of [`GroundedDecoding::new`].
pub fn saycan(config: SayCanConfig) -> Result<GroundedDecoding> {
    let SayCanConfig { ask, sampling, measure, prompts } = config;
    let groundings = vec![Grounding { measure, weight: 1.0 }];
    GroundedDecoding::new(GroundedDecodingConfig { ask, sampling, groundings, prompts })
}

register! {
    interface: dyn Planner, kind: "saycan", summary: "the action that the model would take times how likely it succeeds (SayCan)",
    config: SayCanConfig,
    new: |config, _host| async move { Ok(Arc::new(saycan(config)?) as _) },
}
