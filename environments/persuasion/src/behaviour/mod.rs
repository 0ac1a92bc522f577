//! What the simulated LLM knows of persuading: a mediocre persuader's habits, drawn from the text of a request.
//!
//! A behaviour is given text and a seed, so it cannot know who the donor is or what moves it: [`view`] reads what any
//! reader could, [`moves`] holds the prior over strategies and the utterances, [`words`] the sentences for states and
//! outcomes. The habits are biased as real agents' are: it asks for money too soon and too often, insists when it
//! should listen, and prefers feelings to reasons. It also answers as a donor where a prompt asks it to: its own idea
//! of one, with nothing in it of the donors that are fitted to data.

pub mod moves;
pub mod view;
pub mod words;

use forethought_sdk::prelude::*;
use forethought_sdk::simulated::{self, Scripted};

use self::{moves::Move, view::View, words::Outcome};

/// The mediocre persuader.
pub type Persuader = Scripted<Move, Outcome>;

impl simulated::View for View {
    /// By the first line of the environment's instructions.
    fn recognises(text: &str) -> bool {
        let opening = crate::observe::INSTRUCTIONS_OPENING;
        let title =
            |line: &str| line.strip_prefix(opening).is_some_and(|title| title.starts_with("persuasion"));
        text.lines().any(title)
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
    interface: dyn ScriptedBehaviour, kind: "persuasion", summary: "a mediocre persuader: what the simulated LLM knows of asking for donations",
    config: NoConfig,
    new: |_config, _host| async move { Ok(Arc::new(Persuader::default()) as _) },
}
