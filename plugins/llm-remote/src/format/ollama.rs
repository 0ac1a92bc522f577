//! Ollama's own API: "Generate a chat message", "Streaming", "Tool calling", "Structured outputs".

use forethought_sdk::{
    api::llm::ToolCall,
    prelude::*,
    serde_json::{Value, json},
};

use super::{
    Answer, Ask, Format, arguments, called, items, logprobs, openai, set, some, text, tokens, unreadable,
};
use crate::events::Framing;

pub(crate) struct Ollama;

impl Format for Ollama {
    fn path(&self, _: &str, _: bool) -> String {
        "/chat".into()
    }

    /// A local server needs none; ollama.com does.
    fn key_header(&self) -> (&'static str, &'static str) {
        ("authorization", "Bearer ")
    }

    fn marks(&self) -> &'static [&'static str] {
        &["message", "done", "model", "created_at"]
    }

    fn body(&self, ask: &Ask<'_>) -> Value {
        let request = ask.request;
        let messages = request.messages.iter().enumerate();
        let messages: Vec<_> =
            messages.map(|(index, message)| written(&request.messages[..index], message)).collect();
        let mut body = json!({ "model": ask.model, "messages": messages, "stream": ask.streaming });
        set(&mut body, "tools", some(request.tools.iter().map(openai::tool).collect()));
        set(&mut body, "format", request.json_schema.clone());
        set(&mut body, "logprobs", request.logprobs.then_some(true));
        let mut options = json!({});
        set(&mut options, "temperature", request.temperature);
        set(&mut options, "num_predict", ask.max_tokens);
        set(&mut options, "stop", (!request.stop.is_empty()).then(|| request.stop.clone()));
        set(&mut options, "seed", ask.seed);
        set(&mut body, "options", options.as_object().filter(|options| !options.is_empty()).cloned());
        body
    }

    fn read(&self, body: &Value) -> Result<Completion> {
        let mut answer = Answer::default();
        self.event(body, &mut answer)?;
        if !answer.ended {
            return Err(unreadable("`done` is not set"));
        }
        let (choice, usage) = answer.finish();
        Ok(Completion { choices: vec![choice], usage, ..Completion::default() })
    }

    fn framing(&self) -> Framing {
        Framing::Lines
    }

    /// A whole answer is a stream with one event.
    fn event(&self, event: &Value, answer: &mut Answer) -> Result<()> {
        let message = &event["message"];
        answer.begun |= message.is_object();
        answer.say(&message["content"])?;
        answer.think(&message["thinking"]);
        for call in items(message, "tool_calls") {
            let function = &call["function"];
            answer.call(&call["id"], text(function, "name")?, arguments(&function["arguments"]));
        }
        answer.choice.logprobs.extend(logprobs(items(event, "logprobs"), "token", "logprob"));
        if event["done"] == true {
            answer.ended = true;
            answer.choice.finish = match event["done_reason"].as_str() {
                // The server did nothing else.
                Some(reason @ ("load" | "unload")) => {
                    return Err(unreadable(format!("nothing was generated (`done_reason` is {reason:?})")));
                }
                Some("stop") => FinishReason::Stop,
                Some("length") => FinishReason::Length,
                _ => FinishReason::Other,
            };
            answer.usage = Usage {
                input_tokens: tokens(event, &["prompt_eval_count"]),
                output_tokens: tokens(event, &["eval_count"]),
            };
        }
        Ok(())
    }
}

fn written(earlier: &[Message], message: &Message) -> Value {
    let role = match message.role {
        Role::System => "system",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
        _ => "user",
    };
    let mut entry = json!({ "role": role, "content": message.content });
    let call = |(index, call): (usize, &ToolCall)| {
        let function = json!({ "index": index, "name": call.name, "arguments": call.arguments });
        json!({ "type": "function", "function": function })
    };
    set(&mut entry, "tool_calls", some(message.tool_calls.iter().enumerate().map(call).collect()));
    if message.role == Role::Tool {
        entry["tool_name"] = called(earlier, message).into();
    }
    entry
}
