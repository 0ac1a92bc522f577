//! Calls of tools as text: the canonical form of [`Action::text`](crate::environment::Action) in a world with tools.
//!
//! A call is written `name({"argument": "value"})`, several calls on a line each. Histories, critics and trajectories
//! see this text, so a planner that knows nothing of tools plays such a world, too. [`read`] also understands what
//! models write instead: `name(argument="value")`, and `name[value]` or `name("value")` for a tool with one argument.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::llm::{Tool, ToolCall};

/// The canonical text of these calls. Arguments are in the order of their names, so that equal calls have equal texts.
///
/// ```
/// use forethought_api::{llm::ToolCall, tools};
/// use serde_json::json;
///
/// let call = |name: &str, arguments| ToolCall { name: name.into(), arguments, ..Default::default() };
/// let calls = [call("search", json!({ "query": "red\nshoes" })), call("back", json!({}))];
/// assert_eq!(tools::write(&calls), "search({\"query\":\"red\\nshoes\"})\nback({})");
/// ```
pub fn write(calls: &[ToolCall]) -> String {
    let line = |call: &ToolCall| {
        let arguments =
            if call.arguments.is_null() { "{}".into() } else { sorted(&call.arguments).to_string() };
        format!("{}({arguments})", call.name)
    };
    calls.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The same value with the keys of its objects in order, however they are kept.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> =
                fields.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        value => value.clone(),
    }
}

/// The calls of `tools` that `text` writes, one on each line; empty if it writes none, as words do. Identifiers are
/// left empty.
///
/// ```
/// use forethought_api::{llm::Tool, tools};
/// use serde_json::json;
///
/// let parameters = json!({ "type": "object", "properties": { "query": { "type": "string" } } });
/// let search = Tool { name: "search".into(), parameters, ..Default::default() };
/// for text in ["search({\"query\": \"a (b)\"})", "search[a (b)]", "search(\"a (b)\")", "search(query='a (b)')"] {
///     let calls = tools::read(text, &[search.clone()]).unwrap();
///     assert_eq!(tools::write(&calls), "search({\"query\":\"a (b)\"})", "{text}");
/// }
/// assert!(tools::read("I would search [1] first.", &[search.clone()]).unwrap().is_empty());
/// assert!(tools::read("search({\"query\": ", &[search]).is_err());
/// ```
///
/// # Errors
/// What is wrong with a line that begins like a call and is not one, in words for the model that wrote it; a tool that
/// does not exist, called in the canonical form.
pub fn read(text: &str, tools: &[Tool]) -> Result<Vec<ToolCall>, String> {
    let mut calls = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let name_ends =
            rest.find(|c: char| !c.is_alphanumeric() && !"_-.:/".contains(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(name_ends);
        let Some(tool) = tools.iter().find(|tool| tool.name == name) else {
            // Nobody says words in this form.
            if !tools.is_empty() && !name.is_empty() && after.starts_with("({") {
                return Err(unknown(name, tools));
            }
            break;
        };
        let (arguments, left) = match after.chars().next() {
            Some('(') => parentheses(&after[1..], tool)?,
            Some('[') => brackets(&after[1..], tool)?,
            _ => break,
        };
        calls.push(ToolCall { id: String::new(), name: name.into(), arguments: Value::Object(arguments) });
        rest = left.trim_start();
    }
    // Words before, between or after calls: then it is not clear what is meant to be done.
    match (calls.is_empty(), rest.is_empty()) {
        (false, false) => Err(format!("after a call, `{}` is not another call", first_line(rest))),
        _ => Ok(calls),
    }
}

/// Why these calls are not allowed by `tools`, in words for the model that made them.
///
/// # Errors
/// A tool that does not exist, arguments that are no object, or a missing required argument.
pub fn check(calls: &[ToolCall], tools: &[Tool]) -> Result<(), String> {
    for call in calls {
        let Some(tool) = tools.iter().find(|tool| tool.name == call.name) else {
            return Err(unknown(&call.name, tools));
        };
        let Some(arguments) = call.arguments.as_object() else {
            return Err(format!("the arguments of `{}` must be a JSON object", call.name));
        };
        let required = tool.parameters["required"].as_array().map_or(&[][..], Vec::as_slice);
        let missing = required.iter().filter_map(Value::as_str).find(|name| !arguments.contains_key(*name));
        if let Some(missing) = missing {
            return Err(format!("`{}` needs the argument `{missing}`", call.name));
        }
    }
    Ok(())
}

fn unknown(name: &str, tools: &[Tool]) -> String {
    let known: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
    format!("there is no tool `{name}`; the tools are {}", known.join(", "))
}

type Parsed<'a> = Result<(Map<String, Value>, &'a str), String>;

/// Arguments after `(`: a JSON object, `name=value` pairs, or the only argument's value.
fn parentheses<'a>(text: &'a str, tool: &Tool) -> Parsed<'a> {
    let wrong = |why: &str| Err(format!("the call of `{}` cannot be read: {why}", tool.name));
    let mut rest = text.trim_start();
    let mut arguments = Map::new();
    if rest.starts_with('{') {
        match value(rest) {
            Some((Value::Object(object), left)) => (arguments, rest) = (object, left.trim_start()),
            _ => return wrong("its arguments are not a JSON object"),
        }
    } else {
        while !rest.starts_with(')') && !rest.is_empty() {
            let named =
                rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').unwrap_or(rest.len());
            let (name, after) = rest.split_at(named);
            let (name, begins) = match after.trim_start().strip_prefix(['=', ':']) {
                Some(begins) if !name.is_empty() => (name.to_owned(), begins.trim_start()),
                _ => match only(tool) {
                    Some(name) if arguments.is_empty() => (name, rest),
                    _ => return wrong("write its arguments as one JSON object"),
                },
            };
            let Some((value, left)) = value(begins) else {
                return wrong(&format!("the value of `{name}` is not JSON"));
            };
            arguments.insert(name, value);
            rest = left.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
    }
    match rest.strip_prefix(')') {
        Some(left) => Ok((arguments, left)),
        None => wrong("its closing parenthesis is missing"),
    }
}

/// The only argument after `[`, up to the last bracket of the line.
fn brackets<'a>(text: &'a str, tool: &Tool) -> Parsed<'a> {
    let line = first_line(text);
    match (line.rfind(']'), only(tool)) {
        (Some(end), Some(name)) => Ok((Map::from_iter([(name, line[..end].into())]), &text[end + 1..])),
        (None, _) => {
            Err(format!("the call of `{}` cannot be read: its closing bracket is missing", tool.name))
        }
        (_, None) => Err(format!("write the call as `{}({{...}})`, with its arguments as JSON", tool.name)),
    }
}

/// The name of a tool's only argument.
fn only(tool: &Tool) -> Option<String> {
    let properties = tool.parameters["properties"].as_object()?;
    (properties.len() == 1).then(|| properties.keys().next().cloned()).flatten()
}

/// The JSON value at the beginning of a text, or a text in single quotes, and what follows it.
fn value(text: &str) -> Option<(Value, &str)> {
    if let Some(quoted) = text.strip_prefix('\'') {
        let (mut said, mut escaped) = (String::new(), false);
        for (at, c) in quoted.char_indices() {
            match c {
                '\\' if !escaped => escaped = true,
                '\'' if !escaped => return Some((said.into(), &quoted[at + 1..])),
                'n' if escaped => {
                    said.push('\n');
                    escaped = false;
                }
                c => {
                    said.push(c);
                    escaped = false;
                }
            }
        }
        return None;
    }
    if !text.starts_with(['{', '[', '"']) {
        let (word, left) = text.split_at(text.find(|c: char| ",)".contains(c) || c.is_whitespace())?);
        let json = match word {
            "True" => true.into(),
            "False" => false.into(),
            "None" => Value::Null,
            word => serde_json::from_str(word).ok()?,
        };
        return Some((json, left));
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    let value = values.next()?.ok()?;
    Some((value, &text[values.byte_offset()..]))
}

fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tools() -> Vec<Tool> {
        let tool = |name: &str, properties: Value| Tool {
            name: name.into(),
            parameters: json!({ "type": "object", "properties": properties, "required": ["to"] }),
            ..Tool::default()
        };
        vec![tool("mail", json!({ "to": {}, "text": {} })), tool("go", json!({ "to": {} }))]
    }

    #[test]
    fn what_is_written_is_read_again() {
        let call = |name: &str, arguments| ToolCall { name: name.into(), arguments, ..ToolCall::default() };
        let calls = vec![
            call("mail", json!({ "to": "a)\n]{\"", "text": { "deep": [1, null, "ü"] } })),
            call("go", json!({ "to": "north" })),
        ];
        assert_eq!(read(&write(&calls), &tools()).unwrap(), calls);
    }

    #[test]
    fn other_spellings_are_understood() {
        for (text, canonical) in [
            ("go[to [1] ]", r#"go({"to":"to [1] "})"#),
            ("go(2)\ngo( 'it\\'s' )", "go({\"to\":2})\ngo({\"to\":\"it's\"})"),
            ("mail(to = \"a\", text=True)", r#"mail({"text":true,"to":"a"})"#),
            ("mail()", "mail({})"),
        ] {
            assert_eq!(write(&read(text, &tools()).unwrap()), canonical);
        }
    }

    #[test]
    fn words_are_no_calls_and_broken_calls_are_errors() {
        for words in ["", "Go north.", "go north", "Should I go(\"north\")?"] {
            assert_eq!(read(words, &tools()), Ok(Vec::new()), "{words}");
        }
        for (text, why) in [
            ("go({\"to\": \"x\"}) and then wait", "`and then wait` is not another call"),
            ("go({\"to\"", "its arguments are not a JSON object"),
            ("fly({})", "there is no tool `fly`; the tools are mail, go"),
            ("mail(\"a\", \"b\")", "write its arguments as one JSON object"),
            ("mail[a]", "write the call as `mail({...})`"),
            ("go(to=north)", "the value of `to` is not JSON"),
            ("go(to=\"north\"", "closing parenthesis"),
        ] {
            let error = read(text, &tools()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn calls_are_checked_against_the_tools() {
        let call = |name: &str, arguments| [ToolCall { name: name.into(), arguments, ..ToolCall::default() }];
        assert_eq!(check(&call("go", json!({ "to": 1 })), &tools()), Ok(()));
        assert_eq!(check(&call("go", json!({})), &tools()).unwrap_err(), "`go` needs the argument `to`");
        assert!(check(&call("fly", json!({})), &tools()).unwrap_err().contains("the tools are mail, go"));
        assert!(check(&call("go", json!("x")), &tools()).unwrap_err().contains("must be a JSON object"));
    }
}
