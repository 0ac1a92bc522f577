//! Conversations from the calls of a model, each of which was given the history so far: a call belongs to the longest
//! conversation that its history begins with. What does not grow, such as a sub-agent or a rewritten history, is a
//! conversation by itself.

use forethought_sdk::api::llm::Tool;

use crate::conversation::{Said, Speaker};

/// One call of a model.
pub(crate) struct Call {
    /// What it was given.
    pub(crate) input: Vec<Said>,
    /// What it answered.
    pub(crate) output: Said,
    /// The tools that it was offered.
    pub(crate) tools: Vec<Tool>,
    /// The answer was cut off, or there was an error.
    pub(crate) cut: bool,
}

/// What several calls grew to.
#[derive(Default)]
pub(crate) struct Grown {
    pub(crate) messages: Vec<Said>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) cut: bool,
}

/// Conversations while calls are added to them.
#[derive(Default)]
pub(crate) struct Growth(Vec<Grown>);

impl Growth {
    /// The conversations, in the order of their first calls.
    pub(crate) fn conversations(self) -> Vec<Grown> {
        self.0
    }

    /// Adds a call. It is later than all calls before.
    pub(crate) fn add(&mut self, call: Call) {
        let begins = |one: &Grown| {
            one.messages.len() <= call.input.len()
                && one.messages.iter().zip(&call.input).all(|(before, now)| before.repeats(now))
        };
        let longest = self.0.iter_mut().filter(|one| begins(one)).max_by_key(|one| one.messages.len());
        let known = longest.as_ref().map_or(0, |one| one.messages.len());
        // What the agent says in what is new was not the answer to a call that is recorded.
        let new = call.input.into_iter().skip(known).map(|said| match said.by {
            Speaker::Agent => Said { context: true, ..said },
            _ => said,
        });
        let new: Vec<_> = new.chain([call.output]).collect();
        let mut first = Grown::default();
        let begun = longest.is_none();
        let grown = longest.unwrap_or(&mut first);
        grown.messages.extend(new);
        grown.cut = call.cut;
        for tool in call.tools {
            match grown.tools.iter_mut().find(|known| known.name == tool.name) {
                Some(known) => *known = tool,
                None => grown.tools.push(tool),
            }
        }
        if begun {
            self.0.push(first);
        }
    }
}
