//! What the simulated LLM knows of Avalon: a mediocre player's habits, drawn from the text of a request.
//!
//! A behaviour is given text and a seed, so it cannot know a role, a vote or a card that its seat was not shown:
//! [`view`] reads what any reader could, [`moves`] holds the prior over strategies, [`words`] the sentences for
//! outcomes and summaries. The habits are biased as real players' are: Merlin accuses too openly and lets teams pass
//! that it knows to be bad, Servants take people at their word, and evil fails quests too early.

pub mod moves;
pub mod view;
pub mod words;

use forethought_sdk::prelude::*;
use forethought_sdk::simulated::{self, Scripted};

use self::{moves::Plan, view::View, words::Outcome};

/// The mediocre player.
pub type Player = Scripted<Plan, Outcome>;

impl simulated::View for View {
    fn recognises(text: &str) -> bool {
        text.contains(crate::observe::INSTRUCTIONS_OPENING)
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
    interface: dyn ScriptedBehaviour, kind: "avalon", summary: "a mediocre player: what the simulated LLM knows of Avalon",
    config: NoConfig,
    new: |_config, _host| async move { Ok(Arc::new(Player::default()) as _) },
}
