//! The shop's actions as tools: `search(query)` and `click(target)`, the same as `search[query]` and `click[target]`.

use std::borrow::Cow;

use forethought_sdk::api::environment::{Action, CallRule, Turn};
use forethought_sdk::api::llm::{Tool, ToolCall};
use forethought_sdk::api::tools;
use forethought_sdk::serde_json::{Map, Value, json};

use crate::environment::ObservationMode;

/// The name of each tool, and of its argument.
const TOOLS: [(&str, &str); 2] = [("search", "query"), ("click", "target")];

/// A turn that offers the tools: one call at a time, and nothing else.
pub(crate) fn offer(observation: ObservationMode) -> Turn {
    let about = match observation {
        ObservationMode::React => [
            "Looks for products. It works only on the start page, the one with [Search].",
            "Clicks one of the texts in brackets, written exactly as shown, without its brackets: a product's code opens \
             it, an option's value chooses it (a chosen one is shown as [[value]]), Back to Search leads to the start \
             page and forgets what was chosen, < Prev leads back. Next > does not work.",
        ],
        ObservationMode::Text | ObservationMode::TextRich | ObservationMode::Html => [
            "Looks for products, from any page.",
            "Clicks a button, a product's code or an option's value that the page shows: a code opens the product, a \
             value chooses it, Back to Search leads to the start page and forgets what was chosen, Next > and < Prev \
             turn pages or lead back.",
        ],
    };
    let words = ["The words to look for.", "The text to click."];
    let tool = |index: usize| {
        let (name, argument) = TOOLS[index];
        let properties = json!({ argument: { "type": "string", "description": words[index] } });
        let parameters = json!({
            "type": "object", "properties": properties, "required": [argument], "additionalProperties": false
        });
        Tool { name: name.into(), description: about[index].into(), parameters }
    };
    let call_rule = CallRule { required: true, single: true };
    Turn { tools: vec![tool(0), tool(1)], call_rule, ..Turn::default() }
}

/// An action's call in the shop's grammar.
///
/// # Errors
/// Why it is no call of these tools, as a sentence to its author.
pub(crate) fn spelled(action: &Action, offered: &Turn) -> Result<String, String> {
    let sentence = |why: String| {
        let mut letters = why.chars();
        letters.next().map_or(String::new(), |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
    };
    let calls = action.calls(offered).map_err(sentence)?;
    let call = calls.first().ok_or("An action is a call of a tool.")?;
    spelled_call(call).ok_or_else(|| format!("The argument of {} must be text.", call.name))
}

fn spelled_call(call: &ToolCall) -> Option<String> {
    let (_, argument) = TOOLS.into_iter().find(|(name, _)| *name == call.name)?;
    let text = match &call.arguments[argument] {
        Value::String(text) => Cow::from(text),
        value @ (Value::Number(_) | Value::Bool(_)) => Cow::from(value.to_string()),
        _ => return None,
    };
    // Words have no brackets; in the grammar they would end the search.
    let bracket = |c: char| call.name == "search" && matches!(c, '[' | ']') || c == '\n';
    Some(format!("{}[{}]", call.name, text.replace(bracket, " ")))
}

/// The call, in its canonical text, of an action in the shop's grammar.
pub(crate) fn called(action: &str) -> String {
    let call = TOOLS.into_iter().find_map(|(name, argument)| {
        let text = action.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
        let arguments = Map::from_iter([(argument.to_owned(), text.into())]);
        Some(ToolCall { name: name.into(), arguments: arguments.into(), ..ToolCall::default() })
    });
    call.map_or_else(|| action.to_owned(), |call| tools::write(&[call]))
}

/// An action in the shop's grammar, whether it was written so or as a call.
pub(crate) fn uncalled(action: &str) -> Cow<'_, str> {
    let tool = |(name, argument): (&str, &str)| Tool {
        name: name.into(),
        parameters: json!({ "properties": { argument: {} } }),
        ..Tool::default()
    };
    let is_call =
        TOOLS.iter().any(|(name, _)| action.strip_prefix(name).is_some_and(|rest| rest.starts_with('(')));
    let calls = if is_call { tools::read(action, &TOOLS.map(tool)).unwrap_or_default() } else { Vec::new() };
    calls.first().and_then(spelled_call).map_or(Cow::from(action), Cow::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_has_one_meaning_in_both_forms() {
        for (action, call) in [
            ("search[red shoes]", r#"search({"query":"red shoes"})"#),
            ("click[size [xl]]", r#"click({"target":"size [xl]"})"#),
            ("click[5\" wide]", r#"click({"target":"5\" wide"})"#),
        ] {
            assert_eq!(called(action), call);
            assert_eq!(uncalled(call), action);
            assert_eq!(uncalled(action), action);
            let offered = offer(ObservationMode::React);
            for text in [action, call] {
                assert_eq!(spelled(&Action::new(text), &offered).as_deref(), Ok(action), "{text}");
            }
        }
        assert_eq!(uncalled("search(\"a] (b)\")"), "search[a  (b)]");
        assert_eq!(uncalled("think[search({})]"), "think[search({})]");
    }

    #[test]
    fn what_is_no_call_is_refused_with_the_reason() {
        for (text, why) in [
            ("fly({})", "There is no tool `fly`; the tools are search, click."),
            ("click({})", "`click` needs the argument `target`."),
            ("buy it", "An action is a call of a tool here, and this is not a call."),
            ("click[a]\nclick[b]", "Only one call is possible at a time."),
            ("click({\"target\": [1]})", "The argument of click must be text."),
        ] {
            let said = spelled(&Action::new(text), &offer(ObservationMode::Text));
            assert_eq!(said.unwrap_err(), why, "{text}");
        }
    }
}
