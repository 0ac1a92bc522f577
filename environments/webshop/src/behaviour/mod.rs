//! What the simulated LLM knows of shopping: a mediocre shopper's habits, drawn from the text of a request.
//!
//! A behaviour is given text and a seed, so it cannot know which product the goal was made from, which attributes
//! count, or what a purchase would score: [`view`] reads what any reader could, [`moves`] holds the prior over
//! strategies, [`words`] the sentences for outcomes and summaries. The habits are biased as real agents' are: it opens
//! the first result too readily, buys before it has chosen every option, and seldom reads the features.

pub mod moves;
pub mod view;
pub mod words;

use forethought_sdk::prelude::*;
use forethought_sdk::simulated::{self, Scripted};

use self::{moves::Move, view::View, words::Outcome};

/// The mediocre shopper.
pub type Shopper = Scripted<Move, Outcome>;

impl simulated::View for View {
    /// By the first line of the environment's instructions, or by a start page, in the ReAct dialect alone.
    fn recognises(text: &str) -> bool {
        let start = || {
            let lines = text.lines().map(str::trim);
            let mut pairs = lines.clone().zip(lines.skip(1));
            pairs.any(|(line, next)| line == "WebShop" && next.starts_with("Instruction:"))
        };
        let other = [" [SEP] ", "<!DOCTYPE html>"].iter().any(|form| text.contains(form));
        !other && (text.contains(crate::INSTRUCTIONS_OPENING) || start())
    }
    fn read(text: &str) -> Self {
        View::read(text)
    }
    fn state(&self) -> String {
        words::state(self)
    }
    fn free_wordings() -> &'static str {
        include_str!("wordings.json")
    }
}

register! {
    interface: dyn ScriptedBehaviour, kind: "webshop", summary: "a mediocre shopper: what the simulated LLM knows of WebShop",
    config: NoConfig,
    new: |_config, _host| async move { Ok(Arc::new(Shopper::default()) as _) },
}
