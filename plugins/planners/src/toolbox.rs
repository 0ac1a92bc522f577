//! A turn's tools in a request: offered to the model as such, or listed in the system prompt with a grammar for calls.

use forethought_sdk::{answers::written, api::environment::CallRule, prelude::*};

/// The action that a text writes in this turn, with its calls; what is not a call is left to the environment.
pub(crate) fn action(text: &str, turn: &Turn) -> Action {
    written(text, turn).unwrap_or_else(|_| Action::new(text))
}

/// The list of a turn's tools, as system prompts have it; empty in a world without tools.
pub(crate) fn listed(turn: &Turn) -> String {
    if turn.tools.is_empty() {
        return String::new();
    }
    let mut text = "Tools:".to_owned();
    for tool in &turn.tools {
        let about = tool.description.trim();
        let between = if about.is_empty() { "" } else { ": " };
        text += &format!("\n- {}{between}{about}\n  Arguments: {}", tool.name, tool.parameters);
    }
    let CallRule { required, single } = turn.call_rule;
    let calls = match single {
        true => "An action is one call of a tool, written as",
        false => "An action is a call of a tool, or several on a line each, written as",
    };
    let words = match required {
        true => "Nothing else is an action.",
        false => "Words in place of a call are an action, too.",
    };
    format!("{text}\n\n{calls} `name({{\"argument\": value}})`. {words}")
}

/// Lists a turn's tools in the system prompt, if its template did not.
pub(crate) fn list(messages: &mut [Message], turn: &Turn) {
    let listed = listed(turn);
    if let Some(system) = messages.first_mut().filter(|system| !system.content.contains(&listed)) {
        system.content = format!("{}\n\n{listed}", system.content).trim().to_owned();
    }
}

/// Offers a turn's tools as such, in place of their list. Prompts ask for lines, so the model is told after the prompt
/// what to do instead.
pub(crate) fn offer(request: &mut ChatRequest, turn: &Turn) {
    let listed = listed(turn);
    if let Some(system) = request.messages.first_mut() {
        system.content = system.content.replace(&listed, "").trim().to_owned();
    }
    let CallRule { required, single } = turn.call_rule;
    let call = if single { "call a tool" } else { "call one or more tools" };
    let words = if required { "" } else { ", unless words are the action" };
    if let Some(last) = request.messages.last_mut() {
        last.content += &format!("\n\nIn place of the line that starts with \"Action:\", {call}{words}.");
    }
    request.tools.clone_from(&turn.tools);
}
