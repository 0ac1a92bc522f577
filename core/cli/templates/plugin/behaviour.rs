//! What the simulated LLM knows of finding crabs: a behaviour to start from, next to its environment.
//!
//! A behaviour makes an environment playable offline. It is given the text of a request and nothing
//! else, so it knows no more than a language model would. Its habits are mediocre on purpose:
//! otherwise a planner could not improve on them.

mod environment;

use forethought_sdk::prelude::*;
use forethought_sdk::seed::{ChaCha8Rng, RngExt};
use forethought_sdk::simulated::{self, Scripted, worded};

worded! {
    /// A strategy for the next look. The texts are thoughts.
    enum Move {
        Halve: ["Look in the middle of where the crab may be."],
        Anywhere: ["Look into any pool and hope."],
    }
}

worded! {
    /// What may come, and what has come.
    enum Outcome {
        Early: ["The crab is found early."],
        Late: ["The crab is found with the last look."],
        Tide: ["The tide comes in before the crab is found."],
        Wasted: ["The looks are wasted."],
        Found: ["The crab is found."],
        Hiding: ["The crab still hides."],
    }
}

/// What the text tells: the first and the last pool where the crab may be, and whether it is found.
struct View {
    first: u64,
    last: u64,
    found: bool,
}

impl simulated::View for View {
    fn recognises(text: &str) -> bool {
        text.contains("Find the crab before the tide comes")
    }
    fn read(text: &str) -> Self {
        let (mut first, mut last, mut looked) = (1, 9, None);
        for line in text.lines() {
            if let Some(action) = line.strip_prefix("Action: look ") {
                looked = action.parse::<u64>().ok().filter(|pool| (1..=9).contains(pool));
            }
            match looked {
                Some(pool) if line.contains("further right") => first = first.max(pool + 1).min(9),
                Some(pool) if line.contains("further left") => last = last.min(pool - 1).max(first),
                _ => {}
            }
        }
        Self { first, last, found: text.contains("There it is!") }
    }
    fn state(&self) -> String {
        format!("The crab sits in a pool from {} to {}.", self.first, self.last)
    }
}

impl simulated::Move for Move {
    type View = View;
    fn prior(_: &View) -> Vec<(Self, f64)> {
        vec![(Self::Halve, 1.0), (Self::Anywhere, 2.0)]
    }
    fn action(self, view: &View, rng: &mut ChaCha8Rng) -> String {
        let pool = match self {
            Self::Halve => view.first.midpoint(view.last),
            Self::Anywhere => rng.random_range(1..=9),
        };
        format!("look {pool}")
    }
}

impl simulated::Outcome for Outcome {
    type View = View;
    fn reached(view: &View) -> Self {
        if view.found { Self::Found } else { Self::Hiding }
    }
    fn imagine(_: &View, _: &mut ChaCha8Rng) -> [Vec<Self>; 2] {
        [vec![Self::Early, Self::Late], vec![Self::Tide, Self::Wasted]]
    }
}

register! {
    interface: dyn ScriptedBehaviour, kind: "{{name}}", summary: "how a beachcomber looks for crabs", config: NoConfig,
    new: |_config: NoConfig, _host| async move { Ok(Arc::new(Scripted::<Move, Outcome>::default()) as _) },
}
