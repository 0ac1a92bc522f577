//! Ollama: `/api/chat` ("Generate a chat message", "Streaming", "Tool calling", "Structured outputs").

use forethought_api::llm::{
    ChatRequest, Choice, Completion, FinishReason, Message, Purpose, Role, Tool, ToolCall,
};
use serde_json::{Value, json};

use super::{Parsed, Reason, Reported, items, list, said, schema, stops, string, tokens};
use crate::parrot::words;

const CREATED: &str = "2025-10-17T23:14:07.414671Z";

pub(super) fn read(body: &Value) -> Result<Parsed, Reason> {
    let mut request = ChatRequest::new(Purpose::Other, Vec::new());
    for entry in list(body, "messages")? {
        let role = match string(entry, "role")?.as_str() {
            "system" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            other => return Err(format!("invalid role {other:?}")),
        };
        let calls = items(entry, "tool_calls").iter().map(|call| {
            let function = &call["function"];
            // An object here; OpenAI's form, a string of JSON, is an error.
            function["arguments"].as_object().ok_or("`arguments` must be an object")?;
            let name = string(function, "name")?;
            let id = call["id"].as_str().unwrap_or(&name).to_owned();
            Ok(ToolCall { id, name, arguments: function["arguments"].clone() })
        });
        let tool_calls = calls.collect::<Result<_, Reason>>()?;
        let tool_call_id = if role == Role::Tool { Some(string(entry, "tool_name")?) } else { None };
        request.messages.push(Message { tool_calls, tool_call_id, ..said(role, &entry["content"]) });
    }
    let options = &body["options"];
    request.temperature = options["temperature"].as_f64();
    request.max_tokens = tokens(&options["num_predict"]);
    request.stop = stops(&options["stop"]);
    request.seed = options["seed"].as_u64();
    request.logprobs = body["logprobs"] == true;
    request.json_schema = schema(&body["format"]).filter(Value::is_object);
    for entry in items(body, "tools") {
        let function = &entry["function"];
        request.tools.push(Tool {
            name: string(function, "name")?,
            description: function["description"].as_str().unwrap_or_default().into(),
            parameters: function["parameters"].clone(),
        });
    }
    // Streaming is what happens unless it is declined.
    Ok(Parsed { model: string(body, "model")?, request, streaming: body["stream"] != false })
}

fn piece(model: &str, text: &str, choice: &Choice, tokens: &[forethought_api::llm::TokenLogprob]) -> Value {
    let mut message = json!({ "role": "assistant", "content": text });
    if !choice.tool_calls.is_empty() {
        message["tool_calls"] = choice
            .tool_calls
            .iter()
            .map(|call| json!({ "function": { "name": call.name, "arguments": call.arguments } }))
            .collect();
    }
    let mut piece = json!({ "model": model, "created_at": CREATED, "message": message, "done": false });
    if !tokens.is_empty() {
        let token = |entry: &forethought_api::llm::TokenLogprob| json!({ "token": entry.token, "logprob": entry.logprob, "bytes": entry.token.as_bytes() });
        piece["logprobs"] = tokens.iter().map(token).collect();
    }
    piece
}

fn end(mut piece: Value, choice: &Choice, reported: &Reported) -> Value {
    piece["done"] = true.into();
    piece["done_reason"] = if choice.finish == FinishReason::Length { "length" } else { "stop" }.into();
    for (key, value) in [("total_duration", 174_560_334), ("load_duration", 101_397_084)] {
        piece[key] = value.into();
    }
    piece["prompt_eval_count"] = reported.input.clone();
    piece["prompt_eval_duration"] = 13_074_791.into();
    piece["eval_count"] = reported.output.clone();
    piece["eval_duration"] = 52_479_709.into();
    piece
}

pub(super) fn whole(model: &str, completion: &Completion, reported: &Reported) -> Value {
    let Some(choice) = completion.choices.first() else { return Value::Null };
    end(piece(model, &choice.text, choice, &choice.logprobs), choice, reported)
}

pub(super) fn stream(model: &str, completion: &Completion, reported: &Reported) -> Vec<String> {
    let Some(choice) = completion.choices.first() else { return Vec::new() };
    let plain = Choice::default();
    let mut pieces = Vec::new();
    for (place, word) in words(&choice.text).enumerate() {
        let token = choice.logprobs.get(place).map(std::slice::from_ref).unwrap_or_default();
        pieces.push(piece(model, word, &plain, token));
    }
    if !choice.tool_calls.is_empty() {
        pieces.push(piece(model, "", choice, &[]));
    }
    pieces.push(end(piece(model, "", &plain, &[]), choice, reported));
    pieces.into_iter().map(|piece| format!("{piece}\n")).collect()
}

pub(super) fn error(reason: &str) -> Value {
    json!({ "error": reason })
}
