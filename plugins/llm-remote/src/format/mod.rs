//! What the four wire formats have in common: what is asked of each, and how their answers are gathered.

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

/// A request, with what the configuration adds to it.
pub(crate) struct Ask<'a> {
    pub(crate) model: &'a str,
    pub(crate) request: &'a ChatRequest,
    pub(crate) samples: u32,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) seed: Option<u64>,
    pub(crate) streaming: bool,
}

/// A wire format: JSON to send, JSON to read. Errors of reading say what is wrong; whose answer it was is added later.
pub(crate) trait Format: Send + Sync {
    /// The method's path after the base URL.
    fn path(&self, model: &str, streaming: bool) -> String;
    /// Name of the header that shows the key, and what stands before the key in it.
    fn key_header(&self) -> (&'static str, &'static str);
    /// Further headers that every request has.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
    /// The request's body.
    fn body(&self, ask: &Ask<'_>) -> Value;
    /// A whole answer, its `raw` left empty.
    fn read(&self, body: &Value) -> Result<Completion>;
    /// How a stream is divided.
    fn framing(&self) -> Framing;
    /// Takes in one event of a stream.
    fn event(&self, event: &Value, answer: &mut Answer) -> Result<()>;
}

/// An answer as far as it has come.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) choice: Choice,
    pub(crate) usage: Usage,
    /// The event that says that nothing is missing has come.
    pub(crate) ended: bool,
    /// Arguments of the choice's tool calls, where they come in pieces of text.
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
            .ok_or_else(|| unreadable("arguments of a tool call that was never begun"))?
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
        // Not every format has a reason of its own for it.
        if !self.choice.tool_calls.is_empty() && self.choice.finish == FinishReason::Stop {
            self.choice.finish = FinishReason::ToolCalls;
        }
        (self.choice, self.usage)
    }
}

/// An answer that is not in its documented form. Another attempt may bring one that is.
pub(crate) fn unreadable(what: impl std::fmt::Display) -> Error {
    Error::new(Code::Provider, format!("the answer cannot be read: {what}")).retryable()
}

/// Arguments written as text; none at all are an empty object. What is no JSON is the model's mistake, not the
/// provider's: it is kept as it is, a string, for the tool to refuse.
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
        other => Err(unreadable(format!("`{key}` is no text but {other}"))),
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

/// The token counts under these keys of `usage`, added up. What is no count (negative, missing, text) counts as 0: an
/// answer is not thrown away over it, and whoever keeps accounts sees that nothing was reported.
fn tokens(usage: &Value, keys: &[&str]) -> u64 {
    keys.iter().filter_map(|key| usage[*key].as_u64()).fold(0, u64::saturating_add)
}

/// Log-probabilities of the tokens in `list`, under a format's names for token and logarithm.
fn logprobs<'a>(
    list: impl Iterator<Item = &'a Value>,
    token: &str,
    logprob: &str,
) -> impl Iterator<Item = TokenLogprob> {
    list.filter_map(move |entry| {
        Some(TokenLogprob { token: entry[token].as_str()?.to_owned(), logprob: entry[logprob].as_f64()? })
    })
}

/// The JSON Schema of a tool's arguments; a tool without one takes none.
fn parameters(tool: &Tool) -> Value {
    if tool.parameters.is_null() {
        json!({ "type": "object", "properties": {} })
    } else {
        tool.parameters.clone()
    }
}

/// Name of the tool whose call the message answers: the last of that identifier, for not every format has its own.
fn called<'a>(earlier: &'a [Message], answer: &Message) -> &'a str {
    let mut calls = earlier.iter().rev().flat_map(|message| &message.tool_calls);
    // Every result was checked to answer a call.
    calls.find(|call| Some(&call.id) == answer.tool_call_id.as_ref()).map_or("", |call| &call.name)
}

/// Sets `key` where there is a value for it.
fn set(body: &mut Value, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        body[key] = value.into();
    }
}

/// A list, unless it is empty.
fn some(list: Vec<Value>) -> Option<Value> {
    (!list.is_empty()).then(|| list.into())
}

/// Consecutive messages of one speaker as one: the formats that divide a message into parts want speakers to take
/// turns, and all results of one message's calls together.
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
