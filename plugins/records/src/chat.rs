//! Messages as OpenAI's chat completions write them, and as those write them who follow it: content as text or as a
//! list of parts, and calls of tools in the spellings that are around.

use forethought_sdk::api::llm::{Tool, ToolCall};
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{self, Map, Value};

use crate::{
    conversation::{Said, Speaker, tool},
    json::At,
    report::Report,
};

/// The keys of a message that are read here.
const KEYS: [&str; 16] = [
    "role",
    "content",
    "refusal",
    "name",
    "tool_calls",
    "function_call",
    "tool_call_id",
    "reasoning_content",
    "reasoning",
    "function",
    "error",
    "id",
    "source",
    "audio",
    "annotations",
    "metadata",
];

/// A message.
pub(crate) fn message(at: &At<'_>, report: &mut Report) -> Result<Said> {
    let role = at.field("role")?;
    let by = match role.text()? {
        "system" | "developer" => Speaker::System,
        "user" => Speaker::User,
        "assistant" => Speaker::Agent,
        "tool" | "function" => Speaker::Tool,
        other => {
            return Err(role.unfit(format!(
                "`{other}` is not a role; there are system, developer, user, assistant, tool"
            )));
        }
    };
    let mut said = Said::new(by, "");
    if let Some(content) = at.get("content")? {
        let Content { text, reasoning } = content_of(&content, report)?;
        (said.text, said.reasoning) = (text, reasoning);
    }
    if let Some(refusal) = at.get_text("refusal")?
        && said.text.is_empty()
    {
        said.text = refusal.to_owned();
    }
    for key in ["reasoning_content", "reasoning"] {
        match at.get(key)? {
            Some(found) if found.value.is_string() && said.reasoning.is_empty() => {
                said.reasoning = found.text()?.to_owned();
            }
            Some(found) if !found.value.is_string() => report.dropped("reasoning that is not text"),
            _ => {}
        }
    }
    said.name = at.get_text("name")?.or(at.get_text("function")?).unwrap_or_default().to_owned();
    if let Some(id) = at.get("id")? {
        said.id = id.id()?;
    }
    if let Some(call) = at.get("tool_call_id")?.filter(|_| by == Speaker::Tool) {
        said.call = call.text()?.to_owned();
    }
    if let Some(error) = at.get("error")?.filter(|_| by == Speaker::Tool) {
        said.failed = true;
        let why = if error.value.is_string() { Some(error.text()?) } else { error.get_text("message")? };
        if let Some(why) = why.filter(|why| !said.text.contains(why)) {
            said.text = format!("{}\n{why}", said.text).trim().to_owned();
        }
    }
    said.calls = calls(at, report)?;
    for key in ["audio", "annotations"] {
        if at.get(key)?.is_some_and(|found| found.value.as_array().is_none_or(|list| !list.is_empty())) {
            report.dropped(format!("`{key}` of messages"));
        }
    }
    for (key, value) in
        at.object()?.iter().filter(|(key, value)| !value.is_null() && !KEYS.contains(&key.as_str()))
    {
        match by {
            Speaker::Agent => drop(said.info.insert(key.clone(), value.clone())),
            _ => report.dropped(format!("`{key}` of messages")),
        }
    }
    if let Some(metadata) = at.get("metadata")? {
        match by {
            Speaker::Agent => drop(said.info.insert("metadata".into(), metadata.value.clone())),
            _ => report.dropped("`metadata` of messages"),
        }
    }
    Ok(said)
}

/// What a message says.
pub(crate) struct Content {
    pub(crate) text: String,
    pub(crate) reasoning: String,
}

/// Content: text, or a list of parts. A part that is not text is named in its place, and counted as dropped.
pub(crate) fn content_of(at: &At<'_>, report: &mut Report) -> Result<Content> {
    let (mut texts, mut reasoning) = (Vec::new(), Vec::new());
    if at.value.is_string() {
        texts.push(at.text()?.to_owned());
    } else {
        let parts = at.list().map_err(|_| at.wrong("text or a list of parts"))?;
        for part in parts {
            if part.value.is_string() {
                texts.push(part.text()?.to_owned());
                continue;
            }
            let kind = part.field("type")?.text()?;
            match kind {
                "text" | "input_text" | "output_text" => texts.push(part.field("text")?.text()?.to_owned()),
                "refusal" => texts.push(part.field("refusal")?.text()?.to_owned()),
                "reasoning" | "thinking" => reasoning.extend(thought(&part, report)?),
                other => {
                    let name = ["image", "audio", "video", "file", "document"]
                        .into_iter()
                        .find(|known| other.contains(known))
                        .unwrap_or(other);
                    report.dropped(format!("content of type {name}"));
                    texts.push(format!("[{name}]"));
                }
            }
        }
    }
    Ok(Content { text: texts.join("\n"), reasoning: reasoning.join("\n\n") })
}

/// The reasoning of a part, if it can be read.
fn thought(part: &At<'_>, report: &mut Report) -> Result<Option<String>> {
    let keys: &[&str] = match part.get_flag("redacted")? {
        true => &["summary"],
        false => &["reasoning", "thinking", "text", "summary", "content"],
    };
    for key in keys {
        if let Some(text) =
            part.get(key)?.filter(|found| found.value.as_str().is_some_and(|text| !text.is_empty()))
        {
            return Ok(Some(text.text()?.to_owned()));
        }
    }
    report.dropped("reasoning that is hidden");
    Ok(None)
}

/// The calls of a message.
fn calls(at: &At<'_>, report: &mut Report) -> Result<Vec<ToolCall>> {
    let mut calls = Vec::new();
    for call in at.get_list("tool_calls")? {
        // Saved tables have them as text, because their columns have one type.
        let unpacked = match call.value {
            Value::String(text) => {
                let parsed = serde_json::from_str::<Value>(text);
                Some(parsed.map_err(|error| call.unfit(format!("a call as text must be JSON: {error}")))?)
            }
            _ => None,
        };
        calls
            .push(call_of(&unpacked.as_ref().map_or(call.clone(), |value| call.in_place_of(value)), report)?);
    }
    if let Some(legacy) = at.get("function_call")? {
        calls.push(call_of(&legacy, report)?);
    }
    Ok(calls)
}

/// A call: `{id, function: {name, arguments}}`, `{id, custom: {name, input}}`, `{id, function, arguments}` or `{id, name,
/// arguments}`; arguments as an object, or as its text.
pub(crate) fn call_of(at: &At<'_>, report: &mut Report) -> Result<ToolCall> {
    let custom = at.get("custom")?;
    let inner = match (at.get("function")?, custom) {
        (Some(function), _) if function.value.is_object() => function,
        (_, Some(custom)) => custom,
        _ => at.clone(),
    };
    let name = match inner.get("name")? {
        Some(name) => name,
        None => inner.get("function")?.map_or_else(|| inner.field("name"), Ok)?,
    };
    let given = [inner.get("arguments")?, inner.get("input")?].into_iter().flatten().next();
    let arguments = given.map_or(Value::Null, |given| arguments(given.value, report));
    let id = at.get("id")?.map(|id| id.id()).transpose()?.unwrap_or_default();
    Ok(ToolCall { id, name: name.text()?.to_owned(), arguments })
}

/// Arguments as a model wrote them: an object or its text, else text as it is.
pub(crate) fn arguments(given: &Value, report: &mut Report) -> Value {
    match given {
        Value::String(text) if text.trim().is_empty() => Value::Object(Map::new()),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::Object(object)) => Value::Object(object),
            _ => {
                report.note("calls have arguments that are not a JSON object, and are kept as text");
                given.clone()
            }
        },
        Value::Null => Value::Object(Map::new()),
        other => other.clone(),
    }
}

/// Definitions of tools: `{type, function: {name, description, parameters}}`, the same without the outer object, or as
/// text. Others than functions are dropped.
pub(crate) fn tools(list: Vec<At<'_>>, report: &mut Report) -> Result<Vec<Tool>> {
    let mut tools = Vec::new();
    for at in list {
        let unpacked = match at.value {
            Value::String(text) => {
                let parsed = serde_json::from_str::<Value>(text);
                Some(parsed.map_err(|error| at.unfit(format!("a tool as text must be JSON: {error}")))?)
            }
            _ => None,
        };
        let at = unpacked.as_ref().map_or(at.clone(), |value| at.in_place_of(value));
        let inner = ["function", "custom"].into_iter().find_map(|key| at.get(key).transpose()).transpose()?;
        let inner = inner.unwrap_or_else(|| at.clone());
        let Some(name) = inner.get_text("name")? else {
            report.dropped("tools of the provider");
            continue;
        };
        let parameters =
            ["parameters", "input_schema"].into_iter().find_map(|key| inner.get(key).transpose());
        let parameters = parameters.transpose()?.map_or(Value::Null, |found| found.value.clone());
        tools.push(tool(name, inner.get_text("description")?.unwrap_or_default(), parameters));
    }
    Ok(tools)
}

/// A score as a number: numbers, true and false, and their texts.
pub(crate) fn score(at: &At<'_>) -> Result<f64> {
    let number = match at.value {
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.trim().to_lowercase().as_str() {
            "true" | "yes" | "pass" | "passed" | "success" | "correct" => Some(1.0),
            "false" | "no" | "fail" | "failed" | "failure" | "incorrect" => Some(0.0),
            number => number.parse().ok(),
        },
        _ => None,
    };
    number.filter(|number| number.is_finite()).ok_or_else(|| at.wrong("a score: a number, true or false"))
}
