//! What the simulated LLM knows of planning problems: a hasty solver's habits, drawn from the text of a request.
//!
//! A behaviour is given text and a seed. It knows the four domains that ship and their words, and nothing else of an
//! episode. Of its thoughts, 55 % take a step of a plan that it finds by looking ahead, 30 % take any possible action,
//! and 15 % do what makes a part of the goal so, whether or not that is possible now.

use forethought_sdk::{
    prelude::*,
    seed::{ChaCha8Rng, SliceRandom},
    simulated::{self, Scripted, worded},
};

use crate::reader::{self, View};

/// The hasty solver.
pub type Solver = Scripted<Move, Outcome>;

/// What a prompt shows.
pub struct Seen(View);

worded! {
    /// A strategy for the next step.
    pub enum Move {
        /// A step of a plan.
        Forward: [
            "Plan ahead and take the first step of the plan.",
            "I will work out the whole way to the goal and take its first step.",
            "Clear what is in the way first, in the right order.",
        ],
        /// Anything that is possible.
        Careless: [
            "Try something that is possible and see.",
            "Any move that is allowed will do for now.",
        ],
        /// Straight to the goal.
        Hasty: [
            "Do right away what the goal asks for.",
            "I will make a part of the goal true at once.",
        ],
    }
}

worded! {
    /// An outcome.
    pub enum Outcome {
        /// All of the goal is so.
        Reached: ["The goal is reached within the limit.", "All parts of the goal are true in the end."],
        /// A part more.
        Nearer: ["One more part of the goal is true.", "The goal is a part nearer than before."],
        /// As before.
        Same: ["Nothing of the goal has changed.", "No part of the goal is gained by it."],
        /// A part less.
        Further: ["A part of the goal that was true is lost.", "The goal is further away than before."],
        /// Not possible.
        Refused: ["The action is not possible and a turn is lost.", "The action fails because something is missing."],
    }
}

impl simulated::View for Seen {
    fn recognises(text: &str) -> bool {
        reader::recognises(text)
    }
    fn read(text: &str) -> Self {
        Self(View::read(text))
    }
    fn state(&self) -> String {
        let View { task, missing, refused, steps, reached, .. } = &self.0;
        let last = match refused {
            None => "Nothing was done yet.",
            Some(true) => "The last action was not possible.",
            Some(false) => "The last action was possible.",
        };
        let goals = task.as_ref().map_or(0, |task| task.goal.len());
        let open = missing.last().copied().unwrap_or(goals);
        let end = if *reached { " The goal is reached." } else { "" };
        format!(
            "{} of {goals} parts of the goal are true. {steps} actions were taken. {last}{end}",
            goals - open
        )
    }
}

impl simulated::Move for Move {
    type View = Seen;

    fn prior(_: &Seen) -> Vec<(Self, f64)> {
        vec![(Self::Forward, 0.55), (Self::Careless, 0.3), (Self::Hasty, 0.15)]
    }

    fn action(self, Seen(view): &Seen, rng: &mut ChaCha8Rng) -> String {
        let call = match self {
            Self::Forward => view.forward(),
            Self::Careless => None,
            Self::Hasty => view.hasty(rng),
        };
        // Where it knows no better it tries something.
        let call = call.or_else(|| view.possible(rng)).or_else(|| view.any(rng));
        call.map_or_else(|| "wait".into(), |call| call.words())
    }
}

impl simulated::Outcome for Outcome {
    type View = Seen;

    fn reached(Seen(view): &Seen) -> Self {
        match (view.reached, view.refused, &view.missing[..]) {
            (true, ..) => Self::Reached,
            (_, Some(true), _) => Self::Refused,
            (.., [.., before, now]) if now < before => Self::Nearer,
            (.., [.., before, now]) if now > before => Self::Further,
            _ => Self::Same,
        }
    }

    fn imagine(_: &Seen, rng: &mut ChaCha8Rng) -> [Vec<Self>; 2] {
        let mut good = vec![Self::Nearer, Self::Reached];
        let mut bad = vec![Self::Refused, Self::Same, Self::Further];
        good.shuffle(rng);
        bad.shuffle(rng);
        [good, bad]
    }
}

register! {
    interface: dyn ScriptedBehaviour, kind: "pddl",
    summary: "a hasty solver: what the simulated LLM knows of the four planning domains that ship",
    config: NoConfig,
    new: |_config, _host| async move { Ok(Arc::new(Solver::default()) as _) },
}
