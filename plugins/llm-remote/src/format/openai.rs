//! OpenAI's chat completions, which many servers speak: "API Reference: Create chat completion", "Chat completion chunk
//! object", and the guides "Function calling" and "Structured model outputs".

use forethought_sdk::{
    api::{
        llm::{Tool, ToolCall},
        raw::OPENAI_CHAT,
    },
    prelude::*,
    serde_json::{Value, json},
};

use super::{
    Answer, Ask, Format, arguments, items, list, logprobs, parameters, set, some, text, tokens, unreadable,
};
use crate::events::Framing;

pub(crate) struct OpenAi {
    /// Name of the token limit: OpenAI's current or older one.
    pub(crate) max_tokens: &'static str,
}

impl Format for OpenAi {
    fn path(&self, _: &str, _: bool) -> String {
        "/chat/completions".into()
    }

    fn key_header(&self) -> (&'static str, &'static str) {
        ("authorization", "Bearer ")
    }

    fn marks(&self) -> &'static [&'static str] {
        &["choices", "object", "id", "model", "created", "usage"]
    }

    fn body(&self, ask: &Ask<'_>) -> Value {
        let request = ask.request;
        let messages: Vec<_> = request.messages.iter().map(message).collect();
        let mut body = json!({ "model": ask.model, "messages": messages });
        set(&mut body, "n", (ask.samples > 1).then_some(ask.samples));
        set(&mut body, "temperature", request.temperature);
        set(&mut body, self.max_tokens, ask.max_tokens);
        set(&mut body, "stop", (!request.stop.is_empty()).then(|| request.stop.clone()));
        set(&mut body, "seed", ask.seed);
        set(&mut body, "tools", some(request.tools.iter().map(tool).collect()));
        let format = |schema: &Value| json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema, "strict": true } });
        set(&mut body, "response_format", request.json_schema.as_ref().map(format));
        set(&mut body, "logprobs", request.logprobs.then_some(true));
        if ask.streaming {
            body["stream"] = true.into();
            body["stream_options"] = json!({ "include_usage": true });
        }
        body
    }

    fn read(&self, body: &Value) -> Result<Completion> {
        let choices: Vec<_> = list(body, "choices")?.iter().map(choice).collect::<Result<_>>()?;
        if choices.is_empty() {
            return Err(unreadable("there is no choice"));
        }
        Ok(Completion { choices, usage: usage(&body["usage"]), ..Completion::default() })
    }

    fn forwards(&self) -> Option<&'static str> {
        Some(OPENAI_CHAT)
    }

    fn framing(&self) -> Framing {
        Framing::Sse
    }

    /// The end of the stream, `[DONE]`, is not JSON and is handled by the caller.
    fn event(&self, event: &Value, answer: &mut Answer) -> Result<()> {
        if event["usage"].is_object() {
            answer.usage = usage(&event["usage"]);
        }
        for choice in items(event, "choices") {
            answer.begun = true;
            let answer = answer.choice(&choice["index"]);
            said(&choice["delta"], answer)?;
            for call in items(&choice["delta"], "tool_calls") {
                let function = function(call);
                answer.piece(&call["index"], &call["id"], text(function, "name")?, &function["arguments"])?;
            }
            answer.choice.logprobs.extend(tokens_of(choice));
            if let Some(reason) = choice["finish_reason"].as_str().filter(|reason| !reason.is_empty()) {
                answer.choice.finish = finish(reason);
                answer.finished = true;
            }
        }
        Ok(())
    }
}

fn message(message: &Message) -> Value {
    let role = match message.role {
        Role::System => "system",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
        _ => "user",
    };
    let mut entry = json!({ "role": role, "content": message.content });
    if !message.tool_calls.is_empty() {
        if message.content.is_empty() {
            entry["content"] = Value::Null;
        }
        entry["tool_calls"] = message.tool_calls.iter().map(made).collect();
    }
    set(&mut entry, "tool_call_id", message.tool_call_id.clone());
    entry
}

/// A call that was made earlier; its arguments are text.
fn made(call: &ToolCall) -> Value {
    let arguments = call.arguments.as_str().map_or_else(|| call.arguments.to_string(), str::to_owned);
    json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": arguments } })
}

/// A tool that the model can call; Ollama uses the same form.
pub(super) fn tool(tool: &Tool) -> Value {
    let function =
        json!({ "name": tool.name, "description": tool.description, "parameters": parameters(tool) });
    json!({ "type": "function", "function": function })
}

fn choice(choice: &Value) -> Result<Choice> {
    let message = &choice["message"];
    let mut answer = Answer::default();
    answer.choice.finish = finish(choice["finish_reason"].as_str().unwrap_or_default());
    // Before its first word, an answer can be cut by the limit or withheld.
    let empty = matches!(answer.choice.finish, FinishReason::Length | FinishReason::ContentFilter);
    if !message.is_object() && !empty {
        return Err(unreadable("a choice has no message"));
    }
    said(message, &mut answer)?;
    for call in items(message, "tool_calls") {
        let function = function(call);
        answer.call(&call["id"], text(function, "name")?, arguments(&function["arguments"]));
    }
    answer.choice.logprobs.extend(tokens_of(choice));
    Ok(answer.finish().0)
}

/// Adds what a message or a piece of one says. Servers differ in what they call reasoning, and some send it twice.
fn said(message: &Value, answer: &mut Answer) -> Result<()> {
    answer.say(&message["content"])?;
    answer.refusal.push_str(text(message, "refusal")?);
    let reasoning = ["reasoning_content", "reasoning"].map(|key| &message[key]);
    if let Some(reasoning) = reasoning.into_iter().find(|reasoning| !reasoning.is_null()) {
        answer.think(reasoning);
    }
    Ok(())
}

/// The function that is called; some servers leave its frame out.
fn function(call: &Value) -> &Value {
    if call["function"].is_object() { &call["function"] } else { call }
}

fn tokens_of(choice: &Value) -> impl Iterator<Item = forethought_sdk::api::llm::TokenLogprob> {
    logprobs(items(&choice["logprobs"], "content"), "token", "logprob")
}

fn finish(reason: &str) -> FinishReason {
    match reason {
        "stop" | "eos" | "eos_token" | "stop_sequence" | "end_turn" => FinishReason::Stop,
        "length" | "max_tokens" | "model_length" => FinishReason::Length,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolCalls,
        "content_filter" | "refusal" | "safety" => FinishReason::ContentFilter,
        _ => FinishReason::Other,
    }
}

fn usage(usage: &Value) -> Usage {
    Usage {
        input_tokens: tokens(usage, &["prompt_tokens"]),
        output_tokens: tokens(usage, &["completion_tokens"]),
    }
}
