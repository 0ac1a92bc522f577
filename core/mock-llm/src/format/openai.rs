//! OpenAI: chat completions ("API Reference: Create chat completion", "Chat completion chunk object").

use forethought_api::llm::{
    ChatRequest, Choice, Completion, FinishReason, Message, Purpose, Role, Tool, ToolCall,
};
use serde_json::{Value, json};

use super::{Parsed, Reason, Reported, items, list, said, schema, stops, string, tokens};
use crate::parrot::words;

const ID: &str = "chatcmpl-mock";
const CREATED: u64 = 1_741_569_952;

pub(super) fn read(body: &Value) -> Result<Parsed, Reason> {
    let mut request = ChatRequest::new(Purpose::Other, Vec::new());
    for entry in list(body, "messages")? {
        let role = match string(entry, "role")?.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            other => return Err(format!("there is no role {other:?}")),
        };
        let calls = items(entry, "tool_calls").iter().map(call).collect::<Result<_, _>>()?;
        let tool_call_id = if role == Role::Tool { Some(string(entry, "tool_call_id")?) } else { None };
        request.messages.push(Message { tool_calls: calls, tool_call_id, ..said(role, &entry["content"]) });
    }
    request.samples = tokens(&body["n"]).unwrap_or(1);
    request.temperature = body["temperature"].as_f64();
    request.max_tokens = tokens(&body["max_completion_tokens"]).or_else(|| tokens(&body["max_tokens"]));
    request.stop = stops(&body["stop"]);
    request.seed = body["seed"].as_u64();
    request.logprobs = body["logprobs"] == true;
    for entry in items(body, "tools") {
        let function = &entry["function"];
        request.tools.push(Tool {
            name: string(function, "name")?,
            description: function["description"].as_str().unwrap_or_default().into(),
            parameters: function["parameters"].clone(),
        });
    }
    match body["response_format"]["type"].as_str() {
        Some("json_schema") => {
            let format = &body["response_format"]["json_schema"];
            string(format, "name")?;
            request.json_schema = Some(schema(&format["schema"]).ok_or("`json_schema.schema` is missing")?);
        }
        Some("text" | "json_object") | None => {}
        Some(other) => return Err(format!("there is no response format {other:?}")),
    }
    Ok(Parsed { model: string(body, "model")?, request, streaming: body["stream"] == true })
}

fn call(entry: &Value) -> Result<ToolCall, Reason> {
    let arguments = string(&entry["function"], "arguments")?;
    Ok(ToolCall {
        id: string(entry, "id")?,
        name: string(&entry["function"], "name")?,
        arguments: serde_json::from_str(&arguments).map_err(|error| format!("arguments: {error}"))?,
    })
}

fn finish(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
        _ => "stop",
    }
}

fn usage(reported: &Reported) -> Value {
    let total = reported.input.as_u64().unwrap_or(0) + reported.output.as_u64().unwrap_or(0);
    json!({ "prompt_tokens": reported.input, "completion_tokens": reported.output, "total_tokens": total })
}

fn logprobs(choice: &Choice) -> Value {
    if choice.logprobs.is_empty() {
        return Value::Null;
    }
    let token = |entry: &forethought_api::llm::TokenLogprob| {
        json!({
            "token": entry.token, "logprob": entry.logprob, "bytes": entry.token.as_bytes(), "top_logprobs": []
        })
    };
    json!({ "content": choice.logprobs.iter().map(token).collect::<Vec<_>>(), "refusal": null })
}

pub(super) fn whole(model: &str, completion: &Completion, reported: &Reported) -> Value {
    let choices = completion.choices.iter().enumerate().map(|(index, choice)| {
        let content = if choice.text.is_empty() { Value::Null } else { choice.text.as_str().into() };
        let mut message = json!({ "role": "assistant", "content": content, "refusal": null, "annotations": [] });
        if !choice.tool_calls.is_empty() {
            message["tool_calls"] = choice
                .tool_calls
                .iter()
                .map(|call| {
                    json!({ "id": call.id, "type": "function",
                            "function": { "name": call.name, "arguments": call.arguments.to_string() } })
                })
                .collect();
        }
        json!({ "index": index, "message": message, "logprobs": logprobs(choice), "finish_reason": finish(choice.finish) })
    });
    json!({
        "id": ID, "object": "chat.completion", "created": CREATED, "model": model,
        "choices": choices.collect::<Vec<_>>(), "usage": usage(reported), "service_tier": "default"
    })
}

pub(super) fn stream(model: &str, completion: &Completion, reported: &Reported) -> Vec<String> {
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({
            "id": ID, "object": "chat.completion.chunk", "created": CREATED, "model": model,
            "choices": choices, "usage": usage
        });
        format!("data: {chunk}\n\n")
    };
    let mut chunks = Vec::new();
    for (index, choice) in completion.choices.iter().enumerate() {
        let mut push = |delta: Value, logprobs: Value, reason: Value| {
            let choice =
                json!([{ "index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason }]);
            chunks.push(chunk(choice, Value::Null));
        };
        push(json!({ "role": "assistant", "content": "", "refusal": null }), Value::Null, Value::Null);
        for (place, word) in words(&choice.text).enumerate() {
            let token = choice.logprobs.get(place).cloned().into_iter().collect();
            push(
                json!({ "content": word }),
                logprobs(&Choice { logprobs: token, ..Choice::default() }),
                Value::Null,
            );
        }
        for (place, call) in choice.tool_calls.iter().enumerate() {
            let function = json!({ "name": call.name, "arguments": "" });
            let start = json!({ "index": place, "id": call.id, "type": "function", "function": function });
            push(json!({ "tool_calls": [start] }), Value::Null, Value::Null);
            for part in call.arguments.to_string().split_inclusive(',') {
                let part = json!([{ "index": place, "function": { "arguments": part } }]);
                push(json!({ "tool_calls": part }), Value::Null, Value::Null);
            }
        }
        push(json!({}), Value::Null, finish(choice.finish).into());
    }
    chunks.push(chunk(json!([]), usage(reported)));
    chunks.push("data: [DONE]\n\n".into());
    chunks
}

pub(super) fn error(status: u16, reason: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    };
    json!({ "error": { "message": reason, "type": kind, "param": null, "code": null } })
}
