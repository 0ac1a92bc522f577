//! Anthropic's messages: "Messages API reference", "Streaming messages", "Tool use", "Structured outputs".

use forethought_sdk::{
    api::llm::{Tool, ToolCall},
    prelude::*,
    serde_json::{Value, json},
};

use super::{Answer, Ask, Format, arguments, list, parameters, set, some, text, tokens, turns, unreadable};
use crate::events::Framing;

pub(crate) struct Anthropic;

/// Anthropic requires a limit in every request; answers of its models are rarely longer.
const MAX_TOKENS: u32 = 4096;

impl Format for Anthropic {
    fn path(&self, _: &str, _: bool) -> String {
        "/messages".into()
    }

    fn key_header(&self) -> (&'static str, &'static str) {
        ("x-api-key", "")
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("anthropic-version", "2023-06-01")]
    }

    fn required(&self) -> &'static [&'static str] {
        &["model", "messages", "max_tokens"]
    }

    fn marks(&self) -> &'static [&'static str] {
        &["content", "stop_reason", "id", "model", "usage"]
    }

    fn body(&self, ask: &Ask<'_>) -> Value {
        let request = ask.request;
        let system = request.messages.iter().filter(|message| message.role == Role::System);
        let system = some(system.filter_map(|message| said(&message.content)).collect()).map(plain);
        let messages = request.messages.iter().filter(|message| message.role != Role::System);
        let mut messages = turns("role", "content", messages.map(turn));
        messages.iter_mut().for_each(|message| message["content"] = plain(message["content"].take()));
        let mut body = json!({
            "model": ask.model, "max_tokens": ask.max_tokens.unwrap_or(MAX_TOKENS), "messages": messages
        });
        set(&mut body, "system", system);
        set(&mut body, "temperature", request.temperature);
        set(&mut body, "stop_sequences", (!request.stop.is_empty()).then(|| request.stop.clone()));
        set(&mut body, "tools", some(request.tools.iter().map(tool).collect()));
        let format = |schema: &Value| json!({ "format": { "type": "json_schema", "schema": schema } });
        set(&mut body, "output_config", request.json_schema.as_ref().map(format));
        set(&mut body, "stream", ask.streaming.then_some(true));
        body
    }

    fn read(&self, body: &Value) -> Result<Completion> {
        let mut answer = Answer::default();
        for block in list(body, "content")? {
            match block["type"].as_str() {
                Some("text") => answer.choice.text.push_str(text(block, "text")?),
                Some("thinking") => answer.think(block),
                Some("tool_use") => {
                    answer.call(&block["id"], text(block, "name")?, arguments(&block["input"]));
                }
                Some(_) => {} // Such as encrypted thinking: kept in the raw body.
                None => return Err(unreadable("a block of content has no type")),
            }
        }
        answer.choice.finish = finish(&body["stop_reason"]);
        usage(&body["usage"], &mut answer.usage);
        let (choice, usage) = answer.finish();
        Ok(Completion { choices: vec![choice], usage, ..Completion::default() })
    }

    fn framing(&self) -> Framing {
        Framing::Sse
    }

    fn event(&self, event: &Value, answer: &mut Answer) -> Result<()> {
        match event["type"].as_str() {
            Some("message_start") => {
                answer.begun = true;
                usage(&event["message"]["usage"], &mut answer.usage);
            }
            Some("content_block_start") => {
                answer.begun = true;
                let block = &event["content_block"];
                match block["type"].as_str() {
                    Some("tool_use") => {
                        // The input is empty here, and comes in pieces.
                        answer.piece(&event["index"], &block["id"], text(block, "name")?, &Value::Null)?;
                    }
                    Some("thinking") => answer.think(block),
                    _ => answer.choice.text.push_str(text(block, "text")?),
                }
            }
            Some("content_block_delta") => {
                let delta = &event["delta"];
                match delta["type"].as_str() {
                    Some("text_delta") => answer.choice.text.push_str(text(delta, "text")?),
                    Some("thinking_delta") => answer.think(delta),
                    Some("input_json_delta") => {
                        answer.piece(&event["index"], &Value::Null, "", &delta["partial_json"])?;
                    }
                    _ => {}
                }
            }
            Some("message_delta") => {
                answer.choice.finish = finish(&event["delta"]["stop_reason"]);
                answer.finished = event["delta"]["stop_reason"].is_string();
                usage(&event["usage"], &mut answer.usage);
            }
            Some("message_stop") => answer.ended = true,
            _ => {} // "New event types may be added": ignored, as documented.
        }
        Ok(())
    }
}

/// A block of text; Anthropic refuses empty ones.
fn said(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!({ "type": "text", "text": text }))
}

/// A single block of text in its short form: the text.
fn plain(content: Value) -> Value {
    match content.as_array().map(Vec::as_slice) {
        Some([block]) if block["type"] == "text" => block["text"].clone(),
        _ => content,
    }
}

fn turn(message: &Message) -> (&'static str, Vec<Value>) {
    match message.role {
        Role::Assistant => {
            let call = |call: &ToolCall| json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments });
            (
                "assistant",
                said(&message.content).into_iter().chain(message.tool_calls.iter().map(call)).collect(),
            )
        }
        Role::Tool => {
            let result = json!({
                "type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content
            });
            ("user", vec![result])
        }
        _ => ("user", said(&message.content).into_iter().collect()),
    }
}

fn tool(tool: &Tool) -> Value {
    json!({ "name": tool.name, "description": tool.description, "input_schema": parameters(tool) })
}

fn finish(reason: &Value) -> FinishReason {
    match reason.as_str() {
        Some("end_turn" | "stop_sequence") => FinishReason::Stop,
        Some("max_tokens" | "model_context_window_exceeded") => FinishReason::Length,
        Some("tool_use") => FinishReason::ToolCalls,
        Some("refusal") => FinishReason::ContentFilter,
        _ => FinishReason::Other,
    }
}

/// Counts are cumulative: later ones replace earlier ones. Tokens written to a cache or read from it are not among
/// `input_tokens`.
fn usage(reported: &Value, usage: &mut Usage) {
    if reported.get("input_tokens").is_some() {
        let kinds = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
        usage.input_tokens = tokens(reported, &kinds);
    }
    if reported.get("output_tokens").is_some() {
        usage.output_tokens = tokens(reported, &["output_tokens"]);
    }
}
