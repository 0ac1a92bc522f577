//! OpenAI's responses as chats: `POST /v1/responses`. Nothing is kept from one request to the next, so each has the
//! whole conversation as its `input`, as clients send it that do not name a previous response.

use axum::http::StatusCode;
use forethought_runtime::clock;
use serde_json::{Map, Value, json};

use crate::answer::{Answer, Refusal, arguments, pieces};
use crate::session::new_id;

/// What an answer repeats of its request.
const REPEATED: [&str; 9] = [
    "instructions",
    "metadata",
    "parallel_tool_calls",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_p",
    "max_output_tokens",
];

fn wrong(param: impl Into<String>, message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, message).at(param)
}

/// The body of the chat that asks the same.
pub(crate) fn chat(body: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let get = |key: &str| body.get(key).filter(|value| !value.is_null());
    for key in ["previous_response_id", "conversation", "prompt"] {
        if get(key).is_some() {
            let message = format!("`{key}` is not offered: nothing is kept here, so send the whole `input`");
            return Err(wrong(key, message));
        }
    }
    if get("background").is_some_and(|value| *value != json!(false)) {
        return Err(wrong("background", "`background` is not offered"));
    }
    let mut messages = Vec::new();
    if let Some(instructions) = get("instructions") {
        messages.push(json!({ "role": "system", "content": instructions }));
    }
    match get("input") {
        Some(Value::String(text)) => messages.push(json!({ "role": "user", "content": text })),
        Some(Value::Array(items)) => {
            for (at, item) in items.iter().enumerate() {
                messages.extend(message(at, item)?);
            }
        }
        _ => return Err(wrong("input", "`input` must be a text or a list of items")),
    }
    let mut chat = Map::from_iter([("messages".to_owned(), messages.into())]);
    for (key, name) in [
        ("model", "model"),
        ("stream", "stream"),
        ("temperature", "temperature"),
        ("parallel_tool_calls", "parallel_tool_calls"),
        ("max_output_tokens", "max_completion_tokens"),
    ] {
        chat.extend(get(key).map(|value| (name.to_owned(), value.clone())));
    }
    if let Some(tools) = get("tools") {
        let Value::Array(tools) = tools else { return Err(wrong("tools", "`tools` must be a list")) };
        let tools = tools.iter().map(|tool| json!({ "type": tool["type"], "function": tool }));
        chat.insert("tools".into(), tools.collect());
    }
    if let Some(choice) = get("tool_choice") {
        let named = |choice: &Value| json!({ "type": "function", "function": { "name": choice["name"] } });
        let choice = match choice["type"].as_str() {
            Some("function") => named(choice),
            Some("allowed_tools") => {
                let tools: Vec<_> = choice["tools"].as_array().into_iter().flatten().map(named).collect();
                let allowed = json!({ "mode": choice["mode"], "tools": tools });
                json!({ "type": "allowed_tools", "allowed_tools": allowed })
            }
            _ => choice.clone(),
        };
        chat.insert("tool_choice".into(), choice);
    }
    if let Some(format) = get("text").and_then(|text| text.get("format")).filter(|format| !format.is_null()) {
        let format = json!({ "type": format["type"], "json_schema": { "schema": format["schema"] } });
        chat.insert("response_format".into(), format);
    }
    Ok(chat)
}

/// An item of the input as a message; none for reasoning, which is its model's own.
fn message(at: usize, item: &Value) -> Result<Option<Value>, Refusal> {
    Ok(Some(match item["type"].as_str() {
        None | Some("message") => json!({ "role": item["role"], "content": item["content"] }),
        Some("function_call") => {
            let function = json!({ "name": item["name"], "arguments": item["arguments"] });
            let call = json!({ "id": item["call_id"], "type": "function", "function": function });
            json!({ "role": "assistant", "content": null, "tool_calls": [call] })
        }
        Some("function_call_output") => {
            json!({ "role": "tool", "tool_call_id": item["call_id"], "content": item["output"] })
        }
        Some("reasoning") => return Ok(None),
        Some(other) => {
            let message = format!(
                "items of type `{other}` are not offered; there are `message`, `function_call` and `function_call_output`"
            );
            return Err(wrong(format!("input.[{at}].type"), message));
        }
    }))
}

/// What a response repeats of its request.
pub(crate) fn repeated(body: &Map<String, Value>) -> Map<String, Value> {
    let value = |key: &str| match (body.get(key), key) {
        (Some(value), _) if !value.is_null() => value.clone(),
        (_, "tools") => json!([]),
        (_, "tool_choice") => "auto".into(),
        (_, "parallel_tool_calls") => true.into(),
        _ => Value::Null,
    };
    REPEATED.iter().map(|key| ((*key).to_owned(), value(key))).collect()
}

/// The response, with these items.
fn response(answer: &Answer, id: &str, model: &str, repeated: &Map<String, Value>, output: Value) -> Value {
    let cut = answer.finish == "length";
    let (input, written) = (answer.used.input_tokens, answer.used.output_tokens);
    let mut response = Value::Object(repeated.clone());
    response["id"] = id.into();
    response["object"] = "response".into();
    response["created_at"] = clock::seconds().into();
    response["model"] = model.into();
    response["status"] = if cut { "incomplete" } else { "completed" }.into();
    response["error"] = Value::Null;
    response["incomplete_details"] = if cut { json!({ "reason": "max_output_tokens" }) } else { Value::Null };
    response["output"] = output;
    response["usage"] = json!({
        "input_tokens": input,
        "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": written,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": input.saturating_add(written),
    });
    response
}

/// The items of an answer.
fn items(answer: &Answer) -> Vec<Value> {
    let words = answer.content.iter().map(|text| {
        let part = json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] });
        json!({ "type": "message", "id": format!("msg_{}", new_id()), "role": "assistant", "status": "completed",
            "content": [part] })
    });
    let calls = answer.calls.iter().map(|call| {
        json!({ "type": "function_call", "id": format!("fc_{}", new_id()), "call_id": call.id, "name": call.name,
            "arguments": arguments(call), "status": "completed" })
    });
    words.chain(calls).collect()
}

/// The body of an answer that is not streamed.
pub(crate) fn whole(answer: &Answer, id: &str, model: &str, repeated: &Map<String, Value>) -> Value {
    response(answer, id, model, repeated, items(answer).into())
}

/// The events of an answer that is streamed.
pub(crate) fn events(answer: &Answer, id: &str, model: &str, repeated: &Map<String, Value>) -> String {
    let mut events = Events::default();
    let items = items(answer);
    let finished = response(answer, id, model, repeated, items.clone().into());
    let mut begun = finished.clone();
    (begun["status"], begun["output"]) = ("in_progress".into(), json!([]));
    (begun["usage"], begun["incomplete_details"]) = (Value::Null, Value::Null);
    for kind in ["response.created", "response.in_progress"] {
        events.push(kind, json!({ "response": begun }));
    }
    for (index, item) in items.iter().enumerate() {
        let of = |more: Value| {
            let mut event = json!({ "item_id": item["id"], "output_index": index });
            if let (Value::Object(event), Value::Object(more)) = (&mut event, more) {
                event.extend(more);
            }
            event
        };
        let mut opened = item.clone();
        opened["status"] = "in_progress".into();
        if item["type"] == "message" {
            opened["content"] = json!([]);
        } else {
            opened["arguments"] = "".into();
        }
        events.push("response.output_item.added", json!({ "output_index": index, "item": opened }));
        if item["type"] == "message" {
            let part = &item["content"][0];
            let text = part["text"].as_str().unwrap_or_default();
            let mut empty = part.clone();
            empty["text"] = "".into();
            events.push("response.content_part.added", of(json!({ "content_index": 0, "part": empty })));
            for piece in pieces(text) {
                let delta = json!({ "content_index": 0, "delta": piece, "logprobs": [] });
                events.push("response.output_text.delta", of(delta));
            }
            let done = json!({ "content_index": 0, "text": text, "logprobs": [] });
            events.push("response.output_text.done", of(done));
            events.push("response.content_part.done", of(json!({ "content_index": 0, "part": part })));
        } else {
            let written = item["arguments"].as_str().unwrap_or_default();
            for piece in pieces(written) {
                events.push("response.function_call_arguments.delta", of(json!({ "delta": piece })));
            }
            let done = json!({ "name": item["name"], "arguments": written });
            events.push("response.function_call_arguments.done", of(done));
        }
        events.push("response.output_item.done", json!({ "output_index": index, "item": item }));
    }
    let kind = if finished["status"] == "incomplete" { "response.incomplete" } else { "response.completed" };
    events.push(kind, json!({ "response": finished }));
    events.text
}

/// An error as the last event of a stream that has begun.
pub(crate) fn error(refusal: &Refusal) -> String {
    let mut events = Events::default();
    let Refusal { message, param, code, .. } = refusal;
    events.push("error", json!({ "code": code, "message": message, "param": param }));
    events.text
}

#[derive(Default)]
struct Events {
    text: String,
    number: u64,
}

impl Events {
    fn push(&mut self, kind: &str, mut event: Value) {
        event["type"] = kind.into();
        event["sequence_number"] = self.number.into();
        self.number += 1;
        self.text += &format!("event: {kind}\ndata: {event}\n\n");
    }
}
