//! Anthropic: messages ("Messages API reference", "Streaming messages", "Structured outputs").

use axum::http::HeaderMap;
use forethought_api::llm::{
    ChatRequest, Choice, Completion, FinishReason, Message, Purpose, Role, Tool, ToolCall,
};
use serde_json::{Value, json};

use super::{Parsed, Reason, Reported, items, list, said, schema, stops, string, tokens};
use crate::parrot::words;

pub(super) fn read(headers: &HeaderMap, body: &Value) -> Result<Parsed, Reason> {
    if !headers.contains_key("anthropic-version") {
        return Err("anthropic-version: header is required".into());
    }
    let mut request = ChatRequest::new(Purpose::Other, Vec::new());
    request.max_tokens = Some(tokens(&body["max_tokens"]).ok_or("max_tokens: field required")?);
    match &body["system"] {
        system @ Value::String(_) => request.messages.push(said(Role::System, system)),
        _ => request
            .messages
            .extend(items(body, "system").iter().map(|block| said(Role::System, &block["text"]))),
    }
    for entry in list(body, "messages")? {
        let role = match string(entry, "role")?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            other => return Err(format!("messages: unexpected role {other:?}")),
        };
        if entry["content"].is_string() {
            request.messages.push(said(role, &entry["content"]));
            continue;
        }
        for block in list(entry, "content")? {
            match (string(block, "type")?.as_str(), role) {
                ("text", _) if block["text"] == "" => {
                    return Err("text content blocks must be non-empty".into());
                }
                ("text", _) => request.messages.push(said(role, &block["text"])),
                ("tool_use", Role::Assistant) => {
                    let call = ToolCall {
                        id: string(block, "id")?,
                        name: string(block, "name")?,
                        arguments: block["input"].clone(),
                    };
                    match request.messages.last_mut() {
                        Some(message) if message.role == role => message.tool_calls.push(call),
                        _ => request.messages.push(Message {
                            role,
                            tool_calls: vec![call],
                            ..Message::default()
                        }),
                    }
                }
                ("tool_result", Role::User) => request.messages.push(Message {
                    tool_call_id: Some(string(block, "tool_use_id")?),
                    ..said(Role::Tool, &block["content"])
                }),
                (other, _) => return Err(format!("messages: unexpected block {other:?} of {role:?}")),
            }
        }
    }
    request.temperature = body["temperature"].as_f64();
    if request.temperature.is_some_and(|temperature| temperature > 1.0) {
        return Err("temperature: range: 0..1".into());
    }
    request.stop = stops(&body["stop_sequences"]);
    for entry in items(body, "tools") {
        request.tools.push(Tool {
            name: string(entry, "name")?,
            description: entry["description"].as_str().unwrap_or_default().into(),
            parameters: schema(&entry["input_schema"]).ok_or("tools: input_schema: field required")?,
        });
    }
    request.json_schema = schema(&body["output_config"]["format"]["schema"]);
    Ok(Parsed { model: string(body, "model")?, request, streaming: body["stream"] == true })
}

fn finish(choice: &Choice) -> &'static str {
    match choice.finish {
        FinishReason::Length => "max_tokens",
        FinishReason::ToolCalls => "tool_use",
        FinishReason::ContentFilter => "refusal",
        _ => "end_turn",
    }
}

fn usage(reported: &Reported) -> Value {
    json!({
        "input_tokens": reported.input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        "output_tokens": reported.output
    })
}

fn message(model: &str, content: Value, reason: Value, usage: Value) -> Value {
    json!({
        "id": "msg_mock", "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": reason, "stop_sequence": null, "usage": usage
    })
}

pub(super) fn whole(model: &str, completion: &Completion, reported: &Reported) -> Value {
    let Some(choice) = completion.choices.first() else { return Value::Null };
    let mut content = Vec::new();
    if !choice.text.is_empty() {
        content.push(json!({ "type": "text", "text": choice.text }));
    }
    content.extend(choice.tool_calls.iter().map(
        |call| json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments }),
    ));
    message(model, content.into(), finish(choice).into(), usage(reported))
}

pub(super) fn stream(model: &str, completion: &Completion, reported: &Reported) -> Vec<String> {
    let Some(choice) = completion.choices.first() else { return Vec::new() };
    let event =
        |body: Value| format!("event: {}\ndata: {body}\n\n", body["type"].as_str().unwrap_or_default());
    let begun = Reported { input: reported.input.clone(), output: 1.into() };
    let start = message(model, json!([]), Value::Null, usage(&begun));
    let mut events =
        vec![event(json!({ "type": "message_start", "message": start })), event(json!({ "type": "ping" }))];
    let mut block = |start: Value, deltas: Vec<Value>, index: usize| {
        events.push(event(json!({ "type": "content_block_start", "index": index, "content_block": start })));
        for delta in deltas {
            events.push(event(json!({ "type": "content_block_delta", "index": index, "delta": delta })));
        }
        events.push(event(json!({ "type": "content_block_stop", "index": index })));
    };
    let mut index = 0;
    if !choice.text.is_empty() {
        let deltas = words(&choice.text).map(|word| json!({ "type": "text_delta", "text": word }));
        block(json!({ "type": "text", "text": "" }), deltas.collect(), index);
        index += 1;
    }
    for call in &choice.tool_calls {
        let start = json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": {} });
        let arguments = call.arguments.to_string();
        let parts = std::iter::once("").chain(arguments.split_inclusive(','));
        let deltas = parts.map(|part| json!({ "type": "input_json_delta", "partial_json": part }));
        block(start, deltas.collect(), index);
        index += 1;
    }
    let delta = json!({ "stop_reason": finish(choice), "stop_sequence": null });
    let usage = json!({ "output_tokens": reported.output });
    events.push(event(json!({ "type": "message_delta", "delta": delta, "usage": usage })));
    events.push(event(json!({ "type": "message_stop" })));
    events
}

pub(super) fn error(status: u16, reason: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    };
    json!({ "type": "error", "error": { "type": kind, "message": reason }, "request_id": "req_mock" })
}
