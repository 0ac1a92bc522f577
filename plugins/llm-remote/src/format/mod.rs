//! What the four wire formats have in common: their trait, and how an answer is put together.

mod anthropic;
mod gemini;
mod ollama;
mod openai;

use std::collections::BTreeMap;

use forethought_sdk::{
    api::llm::{TokenLogprob, Tool, ToolCall},
    prelude::*,
    serde::de::IgnoredAny,
    serde_json::{self, Value, json},
};

pub(crate) use self::{
    anthropic::Anthropic,
    gemini::{Gemini, UNNAMED},
    ollama::Ollama,
    openai::OpenAi,
};
use crate::events::Framing;

/// The highest number of a choice that is believed.
const MOST_CHOICES: u64 = 127;

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
    /// Fields of the body that no request can be without.
    fn required(&self) -> &'static [&'static str] {
        &["model", "messages"]
    }
    /// Fields of which every answer has at least one: JSON without any of them is not from this API.
    fn marks(&self) -> &'static [&'static str];
    /// The request's body.
    fn body(&self, ask: &Ask<'_>) -> Value;
    /// A whole answer, its `raw` left empty.
    fn read(&self, body: &Value) -> Result<Completion>;
    /// The name of this format for requests that are passed on, if they are.
    fn forwards(&self) -> Option<&'static str> {
        None
    }
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
    /// Whether anything of an answer has arrived, if only its beginning.
    pub(crate) begun: bool,
    /// Whether the reason for the end has arrived: nothing is missing, though more may come, such as the usage.
    pub(crate) finished: bool,
    /// Whether the event that ends the stream has arrived.
    pub(crate) ended: bool,
    /// Arguments of the choice's tool calls that arrive in pieces of text.
    arguments: Vec<String>,
    /// What a stream calls the tool calls, each: null if it has no name for it.
    indices: Vec<Value>,
    /// Why the model does not answer.
    refusal: String,
    /// Whether several choices arrive in one stream. Else all that arrives belongs to one, whatever it is called.
    pub(crate) many: bool,
    /// The choices after the first, by their number.
    pub(crate) others: BTreeMap<u64, Answer>,
}

impl Answer {
    /// The choice of this number.
    fn choice(&mut self, index: &Value) -> &mut Self {
        match index.as_u64() {
            Some(number @ 1..=MOST_CHOICES) if self.many => self.others.entry(number).or_default(),
            _ => self,
        }
    }

    /// Whether nothing of any choice is missing.
    pub(crate) fn complete(&self) -> bool {
        self.finished && self.others.values().all(|other| other.finished)
    }

    /// Adds content: text, or a list of parts.
    fn say(&mut self, content: &Value) -> Result<()> {
        match content {
            Value::Null => {}
            Value::String(text) => self.choice.text.push_str(text),
            Value::Array(parts) => parts.iter().try_for_each(|part| self.say(part))?,
            Value::Object(part) => match part.get("type").and_then(Value::as_str) {
                Some("thinking" | "reasoning" | "reasoning_text") => self.think(content),
                Some("refusal") => self.refusal.push_str(text(content, "refusal")?),
                // Such as an image.
                Some(_) if !part.contains_key("text") => {}
                _ => self.choice.text.push_str(text(content, "text")?),
            },
            other => return Err(unreadable(format!("`content` must be text, got {other}"))),
        }
        Ok(())
    }

    /// Adds reasoning, in any of its forms.
    fn think(&mut self, reasoning: &Value) {
        match reasoning {
            Value::String(text) => self.choice.reasoning.push_str(text),
            Value::Array(parts) => parts.iter().for_each(|part| self.think(part)),
            Value::Object(part) => {
                let keys = ["thinking", "reasoning", "text", "content", "summary"];
                if let Some(text) = keys.iter().find_map(|key| part.get(*key)) {
                    self.think(text);
                }
            }
            _ => {}
        }
    }

    /// A tool call whose arguments are known.
    fn call(&mut self, id: &Value, name: &str, arguments: Value) {
        let id = identifier(id).unwrap_or_else(|| format!("call_{}", self.choice.tool_calls.len()));
        self.arguments.push(String::new());
        self.indices.push(Value::Null);
        self.choice.tool_calls.push(ToolCall { id, name: name.into(), arguments });
    }

    /// A piece of a tool call. `index` and `id` are names of the call, and either may be missing or be repeated: a new
    /// one is a new call, and so is a tool's name after arguments that are complete.
    fn piece(&mut self, index: &Value, id: &Value, name: &str, arguments: &Value) -> Result<()> {
        let calls = &self.choice.tool_calls;
        let given = identifier(id);
        let complete = |at: usize| serde_json::from_str::<IgnoredAny>(&self.arguments[at]).is_ok();
        let same_index =
            |at: &usize| index.is_null() || self.indices[*at].is_null() || self.indices[*at] == *index;
        let by_id =
            given.as_ref().and_then(|id| calls.iter().rposition(|call| call.id == *id)).filter(same_index);
        let by_index = || self.indices.iter().rposition(|known| !index.is_null() && known == index);
        let last = calls.len().checked_sub(1);
        // A piece without a tool's name continues a call, even if it has a new identifier: some servers invent one for
        // every piece.
        let open =
            by_id.or_else(by_index).or(last.filter(|_| index.is_null() || name.is_empty())).filter(|at| {
                let call = &calls[*at];
                let other_id = given.is_some() && by_id.is_none() && !call.id.is_empty();
                let other_name = index.is_null() && given.is_none() && call.name != name;
                let begun = !call.name.is_empty() && !name.is_empty();
                !(begun && (other_id || by_id.is_none() && (other_name || complete(*at))))
            });
        let at = match open {
            Some(at) => at,
            None if given.is_none() && name.is_empty() => {
                return Err(unreadable("there are arguments for a tool call that was never begun"));
            }
            None => {
                self.arguments.push(String::new());
                self.indices.push(index.clone());
                // Without an identifier until the end, because a later piece may have it.
                self.choice.tool_calls.push(ToolCall::default());
                self.choice.tool_calls.len() - 1
            }
        };
        let call = &mut self.choice.tool_calls[at];
        if call.id.is_empty() {
            call.id = given.unwrap_or_default();
        }
        if call.name.is_empty() {
            call.name = name.into();
        }
        match arguments {
            Value::Null => {}
            Value::String(text) => self.arguments[at].push_str(text),
            whole => self.arguments[at] = whole.to_string(),
        }
        Ok(())
    }

    /// The answer with all of its pieces put together.
    pub(crate) fn finish(mut self) -> (Choice, Usage) {
        for (index, (call, text)) in self.choice.tool_calls.iter_mut().zip(self.arguments).enumerate() {
            if call.arguments.is_null() {
                call.arguments = arguments(&text.into());
            }
            if call.id.is_empty() {
                call.id = format!("call_{index}");
            }
        }
        if !self.refusal.is_empty() {
            self.choice.finish = FinishReason::ContentFilter;
            if self.choice.text.is_empty() {
                self.choice.text = self.refusal;
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

/// Arguments, as an object or as text, which may be encoded twice; none are an empty object. Text that is not JSON is the
/// model's mistake, not the provider's: it is kept as a string, for the tool to refuse.
fn arguments(given: &Value) -> Value {
    match given {
        Value::Null => json!({}),
        Value::String(text) => match text.trim() {
            "" => json!({}),
            text => match serde_json::from_str(text) {
                Ok(Value::Null) => json!({}),
                Ok(inner @ Value::String(_)) => arguments(&inner),
                Ok(arguments) => arguments,
                Err(_) => text.into(),
            },
        },
        other => other.clone(),
    }
}

/// The identifier of a call, unless it is missing or empty.
fn identifier(id: &Value) -> Option<String> {
    match id {
        Value::String(id) => Some(id.clone()).filter(|id| !id.is_empty()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
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
