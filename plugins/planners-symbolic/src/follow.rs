//! A plan kept in thoughts and read back from the history, because planners keep nothing else between decisions:
//!
//! ```text
//! Plan:
//! 1. unstack a b
//! 2. put-down a
//! Step 1 of 2: unstack a b
//! ```

use forethought_sdk::{
    api::{llm::ToolCall, tools},
    prelude::*,
    serde_json::{Map, Value},
};
use forethought_strips::Call;

const MARKER: &str = "Plan:\n";
/// How the thought of a decision without a plan begins.
pub(crate) const NO_PLAN: &str = "No plan";

/// The thought of the step at `at`; the first carries the plan.
pub(crate) fn thought(plan: &[Call], at: usize) -> String {
    let step = format!("Step {} of {}: {}", at + 1, plan.len(), plan[at].words());
    if at > 0 {
        return step;
    }
    let lines: String =
        plan.iter().enumerate().map(|(index, call)| format!("{}. {}\n", index + 1, call.words())).collect();
    format!("{MARKER}{lines}{step}")
}

/// The plan that is being followed and its next step, if there is one and its last step was not refused.
pub(crate) fn next(context: &DecisionContext, refusals: &[String]) -> Option<(Vec<Call>, usize)> {
    let history = &context.history;
    let made = history.iter().rposition(|exchange| {
        exchange.thought.starts_with(MARKER) || exchange.thought.starts_with(NO_PLAN)
    })?;
    let lines = history[made].thought.strip_prefix(MARKER)?.lines();
    let step =
        |line: &str| Call::read(line.split_once(". ").filter(|(number, _)| number.parse::<u32>().is_ok())?.1);
    let plan: Vec<_> = lines.map_while(step).collect();
    let at = history.len() - made;
    let refused = is_refused(context, history.len() - 1, refusals);
    (at < plan.len() && !refused).then_some((plan, at))
}

/// Whether the world refused the action of an exchange: what is seen is as before, or says one of `refusals`.
fn is_refused(context: &DecisionContext, index: usize, refusals: &[String]) -> bool {
    let after = after(context, index);
    let lower = after.to_lowercase();
    context.history[index].observation == after
        || refusals.iter().any(|text| lower.contains(&text.to_lowercase()))
}

fn after(context: &DecisionContext, index: usize) -> &str {
    context.history.get(index + 1).map_or(&context.turn.observation.text, |next| &next.observation)
}

/// The first lines of what was seen after each refused action.
pub(crate) fn refused(context: &DecisionContext, refusals: &[String]) -> Vec<String> {
    let of = |index: usize| {
        let first = after(context, index).lines().next().unwrap_or_default();
        is_refused(context, index, refusals).then(|| first.to_owned())
    };
    let mut all: Vec<String> = (0..context.history.len()).filter_map(of).collect();
    all.dedup();
    all
}

/// The action of a step: as the world lists it, as a call of the tool of that name, or in words.
pub(crate) fn action(call: &Call, turn: &Turn) -> Action {
    if let Some(tool) = turn.tools.iter().find(|tool| tool.name == call.name) {
        let required = tool.parameters["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        let keys: Vec<String> = match required.len() == call.arguments.len() {
            true => required.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            false => {
                tool.parameters["properties"].as_object().into_iter().flat_map(Map::keys).cloned().collect()
            }
        };
        let arguments: Map<String, Value> =
            keys.into_iter().zip(&call.arguments).map(|(key, name)| (key, name.clone().into())).collect();
        let call = ToolCall { name: call.name.clone(), arguments: arguments.into(), ..ToolCall::default() };
        // The text alone would do; as a call it needs no reading.
        return Action { text: tools::write(std::slice::from_ref(&call)), calls: vec![call] };
    }
    let listed = turn.legal_actions.iter().find(|legal| Call::read(legal).as_ref() == Some(call));
    Action::new(listed.cloned().unwrap_or_else(|| call.words()))
}
