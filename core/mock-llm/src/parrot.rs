//! The built-in answers, which depend on the request alone.

use async_trait::async_trait;
use forethought_api::{
    Result,
    llm::{
        ChatRequest, Choice, Completion, FinishReason, LlmBackend, LlmCapabilities, Role, TokenLogprob,
        ToolCall, Usage,
    },
};
use serde_json::{Value, json};

/// Repeats the last message. Given tools, it calls the first one until it gets a result; given a JSON schema, it returns
/// the simplest value that is valid.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parrot;

#[async_trait]
impl LlmBackend for Parrot {
    async fn capabilities(&self) -> Result<LlmCapabilities> {
        let model = "parrot".to_owned();
        Ok(LlmCapabilities {
            model,
            tools: true,
            json_schema: true,
            logprobs: true,
            ..LlmCapabilities::default()
        })
    }

    async fn complete(&self, request: ChatRequest) -> Result<Completion> {
        let choices: Vec<_> = (0..request.samples.max(1)).map(|sample| answer(&request, sample)).collect();
        let input_tokens =
            request.messages.iter().map(|message| words(&message.content).count() as u64).sum();
        let output_tokens = choices.iter().map(|choice| words(&choice.text).count().max(1) as u64).sum();
        Ok(Completion { choices, usage: Usage { input_tokens, output_tokens }, ..Completion::default() })
    }
}

/// Words with the space after them, which count as tokens here.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}

fn answer(request: &ChatRequest, sample: u32) -> Choice {
    let last = request.messages.last();
    if let (Some(tool), false) =
        (request.tools.first(), last.is_some_and(|message| message.role == Role::Tool))
    {
        let arguments = simplest(&tool.parameters, &tool.parameters, 0);
        // Numbered through the chat, because providers' identifiers are unique within one.
        let made: usize = request.messages.iter().map(|message| message.tool_calls.len()).sum();
        let call = ToolCall { id: format!("call_{made}_{sample}"), name: tool.name.clone(), arguments };
        return Choice { finish: FinishReason::ToolCalls, tool_calls: vec![call], ..Choice::default() };
    }
    let said = last.map_or("", |message| message.content.as_str());
    let mut text = match &request.json_schema {
        Some(schema) => simplest(schema, schema, 0).to_string(),
        None if sample == 0 => format!("You said: {said}"),
        None => format!("You said ({sample}): {said}"),
    };
    if let Some(end) =
        request.stop.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop)).min()
    {
        text.truncate(end);
    }
    let mut finish = FinishReason::Stop;
    if let Some(limit) = request.max_tokens.map(|limit| limit as usize)
        && words(&text).count() > limit
    {
        text = words(&text).take(limit).collect();
        finish = FinishReason::Length;
    }
    let logprob = |token: &str| TokenLogprob {
        token: token.to_owned(),
        logprob: -f64::from(blake3::hash(token.as_bytes()).as_bytes()[0]) / 64.0,
    };
    let logprobs = if request.logprobs { words(&text).map(logprob).collect() } else { Vec::new() };
    Choice { text, finish, logprobs, ..Choice::default() }
}

/// The simplest value that is valid under `schema`, a part of `root`.
fn simplest(schema: &Value, root: &Value, depth: u32) -> Value {
    let part = |schema: &Value| simplest(schema, root, depth + 1);
    if let Some(value) = schema.get("const").or_else(|| schema["enum"].get(0)) {
        return value.clone();
    }
    if let Some(place) = schema["$ref"].as_str().and_then(|place| place.strip_prefix('#'))
        && depth < 16
    {
        return root.pointer(place).map_or(Value::Null, part);
    }
    if let Some(choice) = ["anyOf", "oneOf", "allOf"].iter().find_map(|key| schema[*key].get(0)) {
        return part(choice);
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("string") => "text".into(),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| 0.into()),
        Some("boolean") => false.into(),
        Some("array") => {
            let least = schema["minItems"].as_u64().unwrap_or(0) as usize;
            vec![part(&schema["items"]); least].into()
        }
        Some("null") => Value::Null,
        _ => match schema["properties"].as_object() {
            Some(properties) => {
                properties.iter().map(|(name, schema)| (name.clone(), part(schema))).collect()
            }
            None => json!({}),
        },
    }
}
