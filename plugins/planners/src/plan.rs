//! A plan kept in thoughts and read back from the history: what planners have in common that follow a plan over several
//! decisions.
//!
//! The thought of the decision that made a plan ends with all of its steps, and each thought ends with the step that it
//! is about, so that no later thought has to repeat the rest:
//!
//! ```text
//! Plan:
//! 1. find the key
//! 2. open the door (needs: the key)
//! Step 1 of 2: find the key
//! ```

use forethought_sdk::{
    prelude::*,
    serde_json::{Value, json},
};

use crate::{
    ask::{Asker, Label, Said},
    prompts::Prompts,
};

/// The line above the steps of a plan.
const MARKER: &str = "Plan:";

/// A step of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// What is to be done.
    pub(crate) text: String,
    /// What must be true before; empty if nothing.
    pub(crate) needs: String,
}

/// A plan that is being carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// One or more.
    pub(crate) steps: Vec<Step>,
    /// Index of the step that is carried out.
    pub(crate) at: usize,
    /// Whether it was made in this decision.
    pub(crate) new: bool,
}

impl Plan {
    /// A new plan; `None` without a step.
    pub(crate) fn new(steps: Vec<Step>) -> Option<Self> {
        (!steps.is_empty()).then_some(Self { steps, at: 0, new: true })
    }

    /// The plan that the seat's last thoughts follow.
    pub(crate) fn of(context: &DecisionContext) -> Option<Self> {
        let mut thoughts = context.history.iter().rev().map(|exchange| exchange.thought.as_str());
        let mut at = None;
        thoughts.find_map(|thought| {
            let (plan, last) = split(thought)?;
            at = at.or(position(last));
            let steps: Vec<_> = plan?.lines().filter_map(numbered).map(Step::read).collect();
            let at = at.filter(|at| *at < steps.len())?;
            Some(Self { steps, at, new: false })
        })
    }

    /// The step that is carried out.
    pub(crate) fn step(&self) -> &Step {
        &self.steps[self.at]
    }

    /// Goes on to the next step, if there is one.
    pub(crate) fn advance(&mut self) -> bool {
        let more = self.at + 1 < self.steps.len();
        self.at += usize::from(more);
        more
    }

    /// The thought of a decision that carries out this step.
    pub(crate) fn thought(&self) -> String {
        let step = format!("Step {} of {}: {}", self.at + 1, self.steps.len(), self.step().text);
        if !self.new {
            return step;
        }
        let line = |(index, step): (usize, &Step)| format!("{}. {}\n", index + 1, step.written());
        let steps: String = self.steps.iter().enumerate().map(line).collect();
        format!("{MARKER}\n{steps}{step}")
    }

    /// What templates are given: `steps`, the number of the current one (`at`) and its text as `thought`.
    pub(crate) fn given(&self) -> Value {
        let steps: Vec<_> = self.steps.iter().map(Step::written).collect();
        json!({ "steps": steps, "at": self.at + 1, "thought": self.step().text, "needs": self.step().needs })
    }
}

impl Step {
    fn written(&self) -> String {
        match self.needs.as_str() {
            "" => self.text.clone(),
            needs => format!("{} (needs: {needs})", self.text),
        }
    }

    fn read(line: &str) -> Self {
        let needs = line.strip_suffix(')').and_then(|line| line.rsplit_once(" (needs: "));
        let (text, needs) = needs.unwrap_or((line, ""));
        Self { text: text.to_owned(), needs: needs.to_owned() }
    }
}

/// The plan of a thought, if it has one, and its last line, which is about a step.
fn split(thought: &str) -> Option<(Option<&str>, &str)> {
    let (above, last) = match thought.rsplit_once('\n') {
        Some((above, last)) => (Some(above), last),
        None => (None, thought),
    };
    position(last)?;
    let plan = above.and_then(|above| above.strip_prefix(MARKER));
    Some((plan, last))
}

/// The index of the step that a line is about.
fn position(line: &str) -> Option<usize> {
    let (numbers, _) = line.strip_prefix("Step ")?.split_once(": ")?;
    let (at, _) = numbers.split_once(" of ")?;
    at.parse::<usize>().ok()?.checked_sub(1)
}

/// The text of a numbered line.
fn numbered(line: &str) -> Option<&str> {
    let (number, text) = line.split_once(". ")?;
    number.parse::<usize>().is_ok().then_some(text)
}

/// The same, with thoughts that say only which step they are about: prompts show the plan by itself.
pub(crate) fn brief(context: &DecisionContext) -> DecisionContext {
    let mut context = context.clone();
    for Exchange { thought, .. } in &mut context.history {
        if let Some((Some(_), last)) = split(thought) {
            *thought = last.to_owned();
        }
    }
    context
}

/// Whether the world refused the action of exchange `index`: the seat sees the same as before, or one of `refusals`.
pub(crate) fn refused(context: &DecisionContext, index: usize, refusals: &[String]) -> bool {
    let before = &context.history[index].observation;
    let after =
        context.history.get(index + 1).map_or(&context.turn.observation.text, |next| &next.observation);
    let after_lower = after.to_lowercase();
    before == after || refusals.iter().any(|text| after_lower.contains(&text.to_lowercase()))
}

/// Texts by which worlds say that an action was not possible.
pub(crate) fn usual_refusals() -> Vec<String> {
    ["invalid action", "not possible", "nothing happens"].map(str::to_owned).into()
}

/// Text on one line.
pub(crate) fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
