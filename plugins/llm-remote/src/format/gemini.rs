//! Gemini's `generateContent`: "Generating content" and "Caching" (the API reference of contents and tools), "Function
//! calling with the Gemini API", "Structured outputs", "Thought signatures".

use forethought_sdk::{
    api::llm::{Tool, ToolCall},
    prelude::*,
    serde_json::{self, Map, Value, json},
};

use super::{
    Answer, Ask, Format, arguments, called, items, logprobs, parameters, set, some, text, tokens, turns,
    unreadable,
};
use crate::events::Framing;

pub(crate) struct Gemini;

impl Format for Gemini {
    fn path(&self, model: &str, streaming: bool) -> String {
        // Names of tuned models include a folder.
        let folder = if model.contains('/') { "" } else { "models/" };
        let method = if streaming { "streamGenerateContent?alt=sse" } else { "generateContent" };
        format!("/{folder}{model}:{method}")
    }

    fn key_header(&self) -> (&'static str, &'static str) {
        ("x-goog-api-key", "")
    }

    fn required(&self) -> &'static [&'static str] {
        &["contents"]
    }

    fn marks(&self) -> &'static [&'static str] {
        &["candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId"]
    }

    fn body(&self, ask: &Ask<'_>) -> Value {
        let request = ask.request;
        let system = request.messages.iter().filter(|message| message.role == Role::System);
        let system = some(system.map(|message| json!({ "text": message.content })).collect());
        let messages = request.messages.iter().enumerate();
        let messages = messages.filter(|(_, message)| message.role != Role::System);
        let messages = messages.map(|(index, message)| turn(&request.messages[..index], message));
        let messages = turns("role", "parts", messages);
        let mut body = json!({ "contents": messages });
        set(&mut body, "systemInstruction", system.map(|parts| json!({ "parts": parts })));
        let tools = some(request.tools.iter().map(tool).collect());
        set(&mut body, "tools", tools.map(|tools| json!([{ "functionDeclarations": tools }])));
        let mut config = json!({});
        set(&mut config, "temperature", request.temperature);
        set(&mut config, "maxOutputTokens", ask.max_tokens);
        set(&mut config, "stopSequences", (!request.stop.is_empty()).then(|| request.stop.clone()));
        set(&mut config, "seed", ask.seed);
        set(&mut config, "candidateCount", (ask.samples > 1).then_some(ask.samples));
        if let Some(schema) = &request.json_schema {
            config["responseMimeType"] = "application/json".into();
            config["responseJsonSchema"] = schema.clone();
        }
        set(&mut config, "responseLogprobs", request.logprobs.then_some(true));
        set(&mut body, "generationConfig", config.as_object().filter(|config| !config.is_empty()).cloned());
        body
    }

    fn read(&self, body: &Value) -> Result<Completion> {
        let mut choices = Vec::new();
        for candidate in items(body, "candidates") {
            let mut answer = Answer::default();
            take(candidate, &mut answer)?;
            choices.push(answer.finish().0);
        }
        if choices.is_empty() {
            choices.push(blocked(body).ok_or_else(|| unreadable("there is no candidate"))?);
        }
        Ok(Completion { choices, usage: usage(&body["usageMetadata"]), ..Completion::default() })
    }

    fn framing(&self) -> Framing {
        Framing::Sse
    }

    /// A stream has no closing event: the piece with the finish reason is the last.
    fn event(&self, event: &Value, answer: &mut Answer) -> Result<()> {
        if event["usageMetadata"].is_object() {
            answer.usage = usage(&event["usageMetadata"]);
        }
        if let Some(choice) = blocked(event) {
            answer.choice = choice;
            (answer.begun, answer.ended) = (true, true);
        }
        items(event, "candidates").try_for_each(|candidate| take(candidate, answer))
    }
}

/// Prefix of the identifier of calls without one; a number makes it unique within an answer.
pub(crate) const UNNAMED: &str = "unnamed-";

/// A thought signature must be sent back with its call. The identifier, which is opaque to all others, is the only
/// place for it in a [`ToolCall`].
fn identifier(part: &Value, index: usize) -> String {
    let id = super::identifier(&part["functionCall"]["id"]).unwrap_or_else(|| format!("{UNNAMED}{index}"));
    match part["thoughtSignature"].as_str() {
        Some(signature) => format!("{id}:{signature}"),
        None => id,
    }
}

/// Splits it into the provider's identifier and the signature.
fn divided(id: &str) -> (Option<&str>, Option<&str>) {
    let (id, signature) = id.split_once(':').map_or((id, None), |(id, signature)| (id, Some(signature)));
    ((!id.starts_with(UNNAMED)).then_some(id), signature)
}

/// Adds a candidate, or a piece of one, to the answer.
fn take(candidate: &Value, answer: &mut Answer) -> Result<()> {
    answer.begun = true;
    for part in items(&candidate["content"], "parts") {
        if part["functionCall"].is_object() {
            let call = &part["functionCall"];
            let id = identifier(part, answer.choice.tool_calls.len());
            answer.call(&id.into(), text(call, "name")?, arguments(&call["args"]));
        } else if part["thought"] == true {
            answer.think(part);
        } else {
            answer.choice.text.push_str(text(part, "text")?);
        }
    }
    let chosen = items(&candidate["logprobsResult"], "chosenCandidates");
    answer.choice.logprobs.extend(logprobs(chosen, "token", "logProbability"));
    if let Some(reason) = candidate["finishReason"].as_str() {
        answer.choice.finish = finish(reason);
        answer.ended = true;
    }
    Ok(())
}

/// A refused prompt has no candidates.
fn blocked(body: &Value) -> Option<Choice> {
    body["promptFeedback"]["blockReason"].as_str()?;
    Some(Choice { finish: FinishReason::ContentFilter, ..Choice::default() })
}

fn turn(earlier: &[Message], message: &Message) -> (&'static str, Vec<Value>) {
    let said = || (!message.content.is_empty()).then(|| json!({ "text": message.content }));
    match message.role {
        Role::Assistant => ("model", said().into_iter().chain(message.tool_calls.iter().map(made)).collect()),
        Role::Tool => {
            // It must be an object.
            let response = serde_json::from_str::<Map<_, _>>(&message.content)
                .map_or_else(|_| json!({ "result": message.content }), Value::Object);
            let mut result = json!({ "name": called(earlier, message), "response": response });
            set(&mut result, "id", divided(message.tool_call_id.as_deref().unwrap_or_default()).0);
            ("user", vec![json!({ "functionResponse": result })])
        }
        _ => ("user", said().into_iter().collect()),
    }
}

/// A call that was made earlier.
fn made(call: &ToolCall) -> Value {
    let (id, signature) = divided(&call.id);
    let mut called = json!({ "name": call.name, "args": call.arguments });
    set(&mut called, "id", id);
    let mut part = json!({ "functionCall": called });
    set(&mut part, "thoughtSignature", signature);
    part
}

fn tool(tool: &Tool) -> Value {
    json!({ "name": tool.name, "description": tool.description, "parametersJsonSchema": parameters(tool) })
}

fn finish(reason: &str) -> FinishReason {
    match reason {
        "STOP" => FinishReason::Stop,
        "MAX_TOKENS" => FinishReason::Length,
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "IMAGE_SAFETY" => {
            FinishReason::ContentFilter
        }
        _ => FinishReason::Other,
    }
}

/// Thinking is billed as output.
fn usage(usage: &Value) -> Usage {
    Usage {
        input_tokens: tokens(usage, &["promptTokenCount", "toolUsePromptTokenCount"]),
        output_tokens: tokens(usage, &["candidatesTokenCount", "thoughtsTokenCount"]),
    }
}
