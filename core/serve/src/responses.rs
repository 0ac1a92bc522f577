//! OpenAI's responses as chats: `POST /v1/responses`. A request has the whole conversation as its `input`, or what came
//! after the response that it names.

use axum::http::StatusCode;
use forethought_runtime::clock;
use serde_json::{Map, Value, json};

use crate::answer::{Answer, Refusal, arguments, pieces};
use crate::kept::{Conversation, Kept};
use crate::session::new_id;

/// What an answer repeats of its request.
const REPEATED: [&str; 11] = [
    "instructions",
    "metadata",
    "parallel_tool_calls",
    "previous_response_id",
    "store",
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

/// How a request is answered.
pub(crate) struct Form {
    /// What the answer repeats.
    repeated: Map<String, Value>,
    /// The conversation that it goes on from, and what the request added; nothing if it is not to be kept.
    kept: Option<(Conversation, Vec<Value>)>,
}

/// The body of the chat that asks the same as this one, and how it is answered.
pub(crate) fn asked(body: &Map<String, Value>, kept: &Kept) -> Result<(Map<String, Value>, Form), Refusal> {
    let get = |key: &str| body.get(key).filter(|value| !value.is_null());
    for key in ["conversation", "prompt"] {
        if get(key).is_some() {
            let message =
                format!("`{key}` is not offered; send the whole `input`, or name the `previous_response_id`");
            return Err(wrong(key, message));
        }
    }
    if get("background").is_some_and(|value| *value != json!(false)) {
        return Err(wrong("background", "`background` is not offered"));
    }
    let store = match get("store") {
        None => true,
        Some(Value::Bool(store)) => *store,
        Some(_) => return Err(wrong("store", "`store` must be true or false")),
    };
    let before = match get("previous_response_id") {
        None => Conversation::default(),
        Some(id) => id.as_str().and_then(|id| kept.get(id)).ok_or_else(|| {
            let message = "this response is not kept: it is not known, was sent with `store: false`, is from before \
                           the server began, or is among the oldest; send the whole `input`";
            wrong("previous_response_id", message).code("previous_response_not_found")
        })?,
    };
    let mut added = Vec::new();
    match get("input") {
        Some(Value::String(text)) => added.push(json!({ "role": "user", "content": text })),
        Some(Value::Array(items)) => {
            for (at, item) in items.iter().enumerate() {
                added.extend(message(at, item)?);
            }
        }
        _ => return Err(wrong("input", "`input` must be a text or a list of items")),
    }
    // The instructions are those of this request alone.
    let instructions = get("instructions").map(|text| json!({ "role": "system", "content": text }));
    let messages: Value =
        instructions.into_iter().chain(before.messages()).chain(added.iter().cloned()).collect();
    Ok((chat(body, messages)?, Form { repeated: repeated(body), kept: store.then_some((before, added)) }))
}

/// The body of a chat with these messages.
fn chat(body: &Map<String, Value>, messages: Value) -> Result<Map<String, Value>, Refusal> {
    let get = |key: &str| body.get(key).filter(|value| !value.is_null());
    let mut chat = Map::from_iter([("messages".to_owned(), messages)]);
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
fn repeated(body: &Map<String, Value>) -> Map<String, Value> {
    let value = |key: &str| match (body.get(key), key) {
        (Some(value), _) if !value.is_null() => value.clone(),
        (_, "tools") => json!([]),
        (_, "tool_choice") => "auto".into(),
        (_, "parallel_tool_calls" | "store") => true.into(),
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

impl Form {
    /// The body of an answer that is not streamed.
    pub(crate) fn whole(&self, answer: &Answer, id: &str, model: &str) -> Value {
        response(answer, id, model, &self.repeated, items(answer).into())
    }

    /// Lets later requests go on from this answer, unless the client wants otherwise.
    pub(crate) fn keep(&mut self, answer: &Answer, id: &str, kept: &Kept) {
        if let Some((before, mut messages)) = self.kept.take() {
            messages.push(answer.message());
            kept.keep(id.to_owned(), before, messages);
        }
    }

    /// The events of an answer that is streamed.
    pub(crate) fn events(&self, answer: &Answer, id: &str, model: &str) -> String {
        events(answer, id, model, &self.repeated)
    }
}

fn events(answer: &Answer, id: &str, model: &str, repeated: &Map<String, Value>) -> String {
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
