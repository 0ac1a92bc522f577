//! What messages say of a session: by what it is recognised, and the turns that they contain.
//!
//! Clients send the whole conversation each time, and change it on the way: they leave out an answer's words where it
//! has calls, space arguments differently, split one message into two, or write calls as text. So messages are compared
//! by what stays: the ids of calls where these were given out here, and else the words or the calls.

use std::collections::HashMap;

use forethought_api::environment::Action;
use forethought_api::llm::{Role, ToolCall};
use forethought_api::tools;
use serde_json::Value;

use crate::chat::{Chat, Said};

/// Identifies the beginning of a conversation.
pub(crate) type Mark = [u8; 16];

/// The messages after the leading instructions, with one message where an assistant speaks several times in a row.
pub(crate) fn conversation(chat: &Chat) -> Vec<Said> {
    let mut merged: Vec<Said> = Vec::with_capacity(chat.messages.len());
    for said in chat.messages.iter().skip_while(|said| said.message.role == Role::System) {
        match merged.last_mut() {
            Some(last) if last.message.role == Role::Assistant && said.message.role == Role::Assistant => {
                let (first, more) = (&mut last.message, &said.message);
                if !first.content.is_empty() && !more.content.is_empty() {
                    first.content.push('\n');
                }
                first.content += &more.content;
                first.tool_calls.extend(more.tool_calls.iter().cloned());
            }
            _ => merged.push(said.clone()),
        }
    }
    merged
}

/// The mark of a system prompt.
pub(crate) fn mark(text: &str) -> Mark {
    blake3::hash(text.as_bytes()).as_bytes()[..16].try_into().expect("a hash is longer")
}

/// The marks of all beginnings of a conversation, from the empty one on. `given` says which ids of calls were given out.
pub(crate) fn marks(conversation: &[Said], given: impl Fn(&str) -> bool) -> Vec<Mark> {
    let mut marks = vec![Mark::default()];
    for said in conversation {
        marks.push(then(*marks.last().expect("one is there"), said, &given));
    }
    marks
}

/// The mark of the beginning that one more message makes.
pub(crate) fn then(before: Mark, said: &Said, given: impl Fn(&str) -> bool) -> Mark {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&before);
    let mut add = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    };
    let message = &said.message;
    match message.role {
        Role::Assistant => {
            let made = message.tool_calls.iter().map(|call| call.id.as_str()).filter(|id| given(id));
            let mut ids: Vec<&str> = made.collect();
            if ids.is_empty() && message.tool_calls.is_empty() {
                // Written as text.
                let words =
                    message.content.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
                ids = words.filter(|word| word.len() > 8 && given(word)).collect();
                ids.dedup();
            }
            if !ids.is_empty() {
                add("ids");
                ids.into_iter().for_each(add);
            } else if message.tool_calls.is_empty() {
                add("words");
                add(message.content.trim());
            } else {
                add("calls");
                message.tool_calls.iter().for_each(|call| add(&tools::write(std::slice::from_ref(call))));
            }
        }
        Role::Tool => {
            add("tool");
            add(message.tool_call_id.as_deref().filter(|id| given(id)).unwrap_or_default());
            add(message.content.trim());
        }
        role => {
            add(if role == Role::System { "system" } else { "user" });
            add(said.name.as_deref().unwrap_or_default());
            add(message.content.trim());
        }
    }
    hasher.finalize().as_bytes()[..16].try_into().expect("a hash is longer")
}

/// A turn that is contained in messages: what was seen, and what was done, if that is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) observation: String,
    /// What was done, and how many messages of the conversation there are up to and including it.
    pub(crate) done: Option<(Action, usize)>,
    /// The words next to calls.
    pub(crate) said: String,
}

/// The turns from message `from` on. The last one is open: nothing is done in it yet.
pub(crate) fn turns(conversation: &[Said], from: usize) -> Vec<Told> {
    let calls: HashMap<&str, &ToolCall> = conversation
        .iter()
        .flat_map(|said| &said.message.tool_calls)
        .map(|call| (call.id.as_str(), call))
        .collect();
    let (mut turns, mut seen) = (Vec::new(), Vec::new());
    for (at, said) in conversation.iter().enumerate().skip(from) {
        let message = &said.message;
        if message.role != Role::Assistant {
            seen.push(said);
            continue;
        }
        let observation = observation(&std::mem::take(&mut seen), &calls);
        let (action, words) = match message.tool_calls.is_empty() {
            true => (Action::new(message.content.clone()), String::new()),
            false => (Action::of_calls(message.tool_calls.clone()), message.content.clone()),
        };
        turns.push(Told { observation, done: Some((action, at + 1)), said: words });
    }
    turns.push(Told { observation: observation(&seen, &calls), done: None, said: String::new() });
    turns
}

/// Messages as one text. Where there are several, a tool's result says which call it answers.
fn observation(seen: &[&Said], calls: &HashMap<&str, &ToolCall>) -> String {
    let label = |said: &Said| {
        let message = &said.message;
        match message.role {
            Role::Tool => {
                let id = message.tool_call_id.as_deref().unwrap_or_default();
                let call = calls.get(id).map(|call| tools::write(&[(*call).clone()]));
                Some(call.unwrap_or_else(|| format!("{} {id}", said.name.as_deref().unwrap_or("tool"))))
            }
            Role::System => Some("instructions".into()),
            _ => said.name.clone(),
        }
    };
    match seen {
        [only] if only.message.role != Role::System => only.message.content.clone(),
        several => {
            let text = |said: &&Said| match label(said) {
                Some(label) => format!("{label}:\n{}", said.message.content),
                None => said.message.content.clone(),
            };
            several.iter().map(text).collect::<Vec<_>>().join("\n\n")
        }
    }
}

/// The JSON that a text is, or that it has between the lines of a code block.
pub(crate) fn json_in(text: &str) -> Option<Value> {
    let text = text.trim();
    let fenced = text.strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    let text = fenced.map_or(text, |inner| inner.strip_prefix("json").unwrap_or(inner).trim());
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(messages: Value) -> Vec<Said> {
        let body = json!({ "model": "m", "messages": messages }).to_string();
        conversation(&Chat::read(body.as_bytes()).unwrap_or_else(|refusal| panic!("{}", refusal.message)))
    }

    fn mark(messages: Value) -> Mark {
        *marks(&read(messages), |id| id == "call_ft0123").last().unwrap()
    }

    fn call(id: &str, arguments: &str) -> Value {
        json!({ "id": id, "type": "function", "function": { "name": "look", "arguments": arguments } })
    }

    #[test]
    fn what_frameworks_change_does_not_matter() {
        let ask = json!({ "role": "user", "content": "hello" });
        let answer = |rest: Value| mark(json!([ask, rest]));
        let plain = answer(
            json!({ "role": "assistant", "content": null, "tool_calls": [call("call_ft0123", "{}")] }),
        );
        for other in [
            json!({ "role": "assistant", "content": "", "tool_calls": [call("call_ft0123", " { } ")] }),
            json!({ "role": "assistant", "tool_calls": [call("call_ft0123", "{}")], "refusal": null }),
            json!({ "role": "assistant", "content": "I look. [{'id': 'call_ft0123', 'name': 'look'}]" }),
            json!({ "role": "assistant", "content": [{ "type": "text", "text": "I look" }],
                "tool_calls": [call("call_ft0123", "{}")] }),
        ] {
            assert_eq!(answer(other.clone()), plain, "{other}");
        }
        let parts = json!([{ "role": "user", "content": [{ "type": "text", "text": "hello" }] }]);
        assert_eq!(mark(parts), mark(json!([ask])));
        // Ids that others gave out may be others the next time; their calls are the same.
        let foreign = |id: &str, arguments: &str| {
            answer(json!({ "role": "assistant", "tool_calls": [call(id, arguments)] }))
        };
        assert_eq!(foreign("1", "{\"a\": 1}"), foreign("2", "{\"a\":1}"));
        assert_ne!(foreign("1", "{\"a\":1}"), foreign("1", "{\"a\":2}"));
        assert_ne!(answer(json!({ "role": "assistant", "content": "a" })), plain);
        // One answer in two messages.
        let twice = mark(json!([ask, { "role": "assistant", "content": "I look." },
            { "role": "assistant", "tool_calls": [call("call_ft0123", "{}")] }]));
        assert_eq!(twice, plain);
    }

    #[test]
    fn messages_are_turns() {
        let told = turns(
            &read(json!([
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": "hello" },
                { "role": "assistant", "content": "I look twice.",
                    "tool_calls": [call("1", "{\"at\":\"a\"}"), call("2", "{\"at\":\"b\"}")] },
                { "role": "tool", "tool_call_id": "2", "content": "B" },
                { "role": "tool", "tool_call_id": "1", "content": "A" },
                { "role": "user", "content": "Well?" },
                { "role": "assistant", "content": "A and B." },
                { "role": "user", "content": "Thanks." },
            ])),
            0,
        );
        let texts: Vec<_> = told.iter().map(|told| told.observation.as_str()).collect();
        let results = "look({\"at\":\"b\"}):\nB\n\nlook({\"at\":\"a\"}):\nA\n\nWell?";
        assert_eq!(texts, ["hello", results, "Thanks."]);
        let done: Vec<_> =
            told.iter().map(|told| told.done.clone().map(|(action, at)| (action.text, at))).collect();
        let looks = "look({\"at\":\"a\"})\nlook({\"at\":\"b\"})".to_owned();
        assert_eq!(done, [Some((looks, 2)), Some(("A and B.".into(), 6)), None]);
        assert_eq!(told[0].said, "I look twice.");
    }

    #[test]
    fn json_may_be_in_a_code_block() {
        assert_eq!(json_in("```json\n{\"a\": 1}\n```"), Some(json!({ "a": 1 })));
        assert_eq!(json_in("7"), Some(json!(7)));
        assert_eq!(json_in("so: 7"), None);
    }
}
