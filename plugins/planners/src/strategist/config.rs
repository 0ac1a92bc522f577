//! The settings of Strategist.

use forethought_sdk::prelude::*;

use crate::{ask::AskConfig, prompts::prompt_files};

/// Settings of Strategist.
#[config]
#[derive(Debug, Clone)]
pub struct StrategistConfig {
    /// How the language model that judges the talk, and speaks, is asked.
    #[serde(flatten)]
    pub ask: AskConfig,
    /// Imagined games per decision (n).
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub simulations: u32,
    /// Weight of exploration (c of PUCT), for rewards within [0, 1].
    #[serde(default = "one")]
    pub exploration: f64,
    /// How far the judge's reading of the talk moves beliefs: a factor on its log-odds.
    #[serde(default = "one")]
    pub trust: f64,
    /// A planner that plays the other seats in imagined games, and all seats when a game is
    /// played to its end. By default the others search as this seat does, and games are played to their ends at random.
    #[serde(default)]
    pub others: Option<PlannerName>,
    /// Name of a critic under `[critic]` that values leaves. By default imagined games are played to their ends.
    #[serde(default)]
    #[schemars(with = "Option<CriticName>")]
    pub critic: Option<String>,
    /// The outcome whose probability, as the critic estimates it, is the value of a leaf.
    #[serde(default = "victory")]
    pub goal: String,
    /// The action in imagined games on turns without listed moves, as when it is time to talk.
    #[serde(default = "filler")]
    pub filler: String,
    /// Files that replace the shipped prompt templates.
    #[serde(default)]
    pub prompts: StrategistPrompts,
}

prompt_files! {
    /// Files that replace Strategist's prompt templates.
    StrategistPrompts: agent, history, summarise, believe, speak
}

fn thirty() -> u32 {
    30
}

fn one() -> f64 {
    1.0
}

fn victory() -> String {
    "This player's side wins the game.".into()
}

fn filler() -> String {
    "say I have nothing to add.".into()
}
