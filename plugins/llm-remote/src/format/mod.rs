//! What the four wire formats have in common: their trait, and how an answer is put together.

mod anthropic;
mod gemini;
mod ollama;
mod openai;

use forethought_sdk::{
    api::llm::{TokenLogprob, Tool, ToolCall},
    prelude::*,
    serde_json::{self, Value, json},
};

pub(crate) use self::{anthropic::Anthropic, gemini::Gemini, ollama::Ollama, openai::OpenAi};
use crate::events::Framing;

/// A request with the settings from the config.
pub(crate) struct Ask<'a> {
    pub(crate) model: &'a str,
    pub(crate) request: &'a ChatRequest,
    pub(crate) samples: u32,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) seed: Option<u64>,
    pub(crate) streaming: bool,
}

/// A wire format: writes and reads JSON. Its errors say what is wrong; the provider is added to them later.
pub(crate) trait Format: Send + Sync {
    /// The path of the method after the base URL.
    fn path(&self, model: &str, streaming: bool) -> String;
    /// Name of the header that carries the key, and the prefix of its value.
    fn key_header(&self) -> (&'static str, &'static str);
    /// Additional headers of every request.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
    /// The request's body.
    fn body(&self, ask: &Ask<'_>) -> Value;
    /// A whole answer, its `raw` left empty.
    fn read(&self, body: &Value) -> Result<Completion>;
    /// How a stream is split.
    fn framing(&self) -> Framing;
    /// Adds one event of a stream to the answer.
    fn event(&self, event: &Value, answer: &mut Answer) -> Result<()>;
}

/// An answer as far as it has arrived.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) choice: Choice,
    pub(crate) usage: Usage,
    /// Whether the event that ends the stream has arrived.
    pub(crate) ended: bool,
    /// Arguments of the choice's tool calls that arrive in pieces of text.
    arguments: Vec<String>,
}

impl Answer {
    /// A tool call whose arguments are known.
    fn call(&mut self, call: ToolCall) {
        self.arguments.push(String::new());
        self.choice.tool_calls.push(call);
    }

    /// A tool call whose arguments come in pieces.
    fn open(&mut self, id: String, name: String) {
        self.call(ToolCall { id, name, arguments: Value::Null });
    }

    /// A piece of the arguments of the tool call opened as the `index`th.
    fn arguments(&mut self, index: usize, piece: &str) -> Result<()> {
        self.arguments
            .get_mut(index)
            .ok_or_else(|| unreadable("there are arguments for a tool call that was never begun"))?
            .push_str(piece);
        Ok(())
    }

    /// The answer with all of its pieces put together.
    pub(crate) fn finish(mut self) -> (Choice, Usage) {
        for (call, text) in self.choice.tool_calls.iter_mut().zip(&self.arguments) {
            if call.arguments.is_null() {
                call.arguments = arguments(text);
            }
        }
        // Not every format has its own reason for tool calls.
        if !self.choice.tool_calls.is_empty() && self.choice.finish == FinishReason::Stop {
            self.choice.finish = FinishReason::ToolCalls;
        }
        (self.choice, self.usage)
    }
}

/// An answer that is not in its documented form. A retry may bring one that is.
pub(crate) fn unreadable(what: impl std::fmt::Display) -> Error {
    Error::new(Code::Provider, format!("the answer cannot be read: {what}")).retryable()
}

/// Arguments from text; empty text means an empty object. Text that is not JSON is the model's mistake, not the
/// provider's: it is kept as a string, for the tool to refuse.
fn arguments(text: &str) -> Value {
    match text.trim() {
        "" => json!({}),
        text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}

/// Text that may be missing or null, and must not be anything else.
fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    match &value[key] {
        Value::Null => Ok(""),
        Value::String(text) => Ok(text),
        other => Err(unreadable(format!("`{key}` must be text, got {other}"))),
    }
}

/// A list that must be there.
fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key].as_array().ok_or_else(|| unreadable(format!("there is no list `{key}`")))
}

/// A list that may be missing.
fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

/// The sum of the token counts under these keys of `usage`. Invalid counts (negative, missing, text) are 0: they are no
/// reason to discard the answer, and 0 tells the budget that nothing was reported.
fn tokens(usage: &Value, keys: &[&str]) -> u64 {
    keys.iter().filter_map(|key| usage[*key].as_u64()).fold(0, u64::saturating_add)
}

/// Log-probabilities of the tokens in `list`; `token` and `logprob` are the format's keys.
fn logprobs<'a>(
    list: impl Iterator<Item = &'a Value>,
    token: &str,
    logprob: &str,
) -> impl Iterator<Item = TokenLogprob> {
    list.filter_map(move |entry| {
        Some(TokenLogprob { token: entry[token].as_str()?.to_owned(), logprob: entry[logprob].as_f64()? })
    })
}

/// The JSON Schema of a tool's arguments; a tool without a schema takes no arguments.
fn parameters(tool: &Tool) -> Value {
    if tool.parameters.is_null() {
        json!({ "type": "object", "properties": {} })
    } else {
        tool.parameters.clone()
    }
}

/// Name of the tool whose call the message answers: the last call with that identifier, since not every format has
/// unique ones.
fn called<'a>(earlier: &'a [Message], answer: &Message) -> &'a str {
    let mut calls = earlier.iter().rev().flat_map(|message| &message.tool_calls);
    // Every result was checked to answer a call.
    calls.find(|call| Some(&call.id) == answer.tool_call_id.as_ref()).map_or("", |call| &call.name)
}

/// Sets `key` if there is a value for it.
fn set(body: &mut Value, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        body[key] = value.into();
    }
}

/// A list, unless it is empty.
fn some(list: Vec<Value>) -> Option<Value> {
    (!list.is_empty()).then(|| list.into())
}

/// Merges consecutive messages of one speaker: formats that divide a message into parts require alternating speakers,
/// and the results of all calls of a message together.
fn turns(role: &str, content: &str, turns: impl Iterator<Item = (&'static str, Vec<Value>)>) -> Vec<Value> {
    let mut merged: Vec<(&str, Vec<Value>)> = Vec::new();
    for (speaker, parts) in turns {
        match merged.last_mut() {
            Some((last, all)) if *last == speaker => all.extend(parts),
            _ => merged.push((speaker, parts)),
        }
    }
    let filled = merged.into_iter().filter(|(_, parts)| !parts.is_empty());
    filled.map(|(speaker, parts)| json!({ role: speaker, content: parts })).collect()
}
