//! Tool calls, read out of what a model wrote in its own form.

use forethought_sdk::{
    api::llm::ToolCall,
    serde_json::{self, Value},
};

use crate::template::ToolForm;

/// The text without its tool calls, and the calls. A call that cannot be read stays in the text.
pub(crate) fn split(text: &str, form: ToolForm) -> (String, Vec<ToolCall>) {
    const OPEN: &str = "<tool_call>";
    const CLOSE: &str = "</tool_call>";
    let mut calls = Vec::new();
    if form == ToolForm::Bare {
        return match read(text, "parameters", 0) {
            Some(call) => (String::new(), vec![call]),
            None => (text.to_owned(), calls),
        };
    }
    let (mut words, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(OPEN) {
        words += before;
        // At the very end of an answer, some models leave the closing tag out.
        let (inside, next) = after.split_once(CLOSE).unwrap_or((after, ""));
        match read(inside, "arguments", calls.len()) {
            Some(call) => calls.push(call),
            None => words += &rest[before.len()..rest.len() - next.len()],
        }
        rest = next;
    }
    words += rest;
    match calls.is_empty() {
        true => (text.to_owned(), calls),
        false => (words.trim().to_owned(), calls),
    }
}

fn read(text: &str, arguments: &str, index: usize) -> Option<ToolCall> {
    let call: Value = serde_json::from_str(text.trim()).ok()?;
    let name = call.get("name")?.as_str()?.to_owned();
    let arguments = match call.get(arguments)? {
        // JSON within JSON, as in the chat APIs of remote models.
        Value::String(text) => serde_json::from_str(text).ok()?,
        arguments => arguments.clone(),
    };
    Some(ToolCall { id: format!("call_{index}"), name, arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(form: ToolForm, text: &str, words: &str, names: &[(&str, &str)]) {
        let (found, calls) = split(text, form);
        let calls: Vec<_> =
            calls.iter().map(|call| (call.name.as_str(), call.arguments.to_string())).collect();
        let calls: Vec<_> = calls.iter().map(|(name, arguments)| (*name, arguments.as_str())).collect();
        assert_eq!((found.as_str(), calls.as_slice()), (words, names), "{text}");
    }

    #[test]
    fn calls_are_taken_out_of_the_text() {
        let form = ToolForm::Tagged;
        check(form, "Just words.\n", "Just words.\n", &[]);
        check(
            form,
            "I search.\n<tool_call>\n{\"name\": \"search\", \"arguments\": {\"q\": \"a\"}}\n</tool_call>\n<tool_call>{\"name\": \"buy\", \"arguments\": \"{}\"}",
            "I search.",
            &[("search", r#"{"q":"a"}"#), ("buy", "{}")],
        );
        let unreadable = "<tool_call>\n{\"name\": \"search\", \"arg\n</tool_call>";
        check(form, unreadable, unreadable, &[]);
        let one = r#"<tool_call>{"name":"a","arguments":1}</tool_call>"#;
        check(form, &format!("{unreadable}{one}"), unreadable, &[("a", "1")]);
    }

    #[test]
    fn a_bare_call_is_the_whole_answer() {
        check(ToolForm::Bare, r#" {"name": "buy", "parameters": {"n": 1}} "#, "", &[("buy", r#"{"n":1}"#)]);
        check(ToolForm::Bare, r#"{"name": "buy"}"#, r#"{"name": "buy"}"#, &[]);
    }
}
