//! The wire format of each provider: reads requests, and writes answers (whole or streamed) and errors.

mod anthropic;
mod gemini;
mod ollama;
mod openai;

use axum::http::HeaderMap;
use forethought_api::llm::{ChatRequest, Completion, Message, Role};
use serde_json::Value;

/// A request, read from any format.
pub(crate) struct Parsed {
    pub(crate) model: String,
    pub(crate) request: ChatRequest,
    pub(crate) streaming: bool,
}

/// The token counts to report; JSON, because wrong ones can be anything.
pub(crate) struct Reported {
    pub(crate) input: Value,
    pub(crate) output: Value,
}

/// Why a request cannot be read.
type Reason = String;

#[derive(Clone, Copy)]
pub(crate) enum Format {
    OpenAi,
    Anthropic,
    Gemini,
    Ollama,
}

impl Format {
    /// The format, from the end of the path, so that every base URL works.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let path = path.split('?').next().unwrap_or(path);
        if path.ends_with("/chat/completions") {
            Some(Self::OpenAi)
        } else if path.ends_with("/messages") {
            Some(Self::Anthropic)
        } else if path.ends_with(":generateContent") || path.ends_with(":streamGenerateContent") {
            Some(Self::Gemini)
        } else {
            path.ends_with("/api/chat").then_some(Self::Ollama)
        }
    }

    /// The key that the caller sent.
    pub(crate) fn key(self, headers: &HeaderMap) -> Option<&str> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        match self {
            Self::OpenAi | Self::Ollama => text("authorization")?.strip_prefix("Bearer "),
            Self::Anthropic => text("x-api-key"),
            Self::Gemini => text("x-goog-api-key"),
        }
    }

    pub(crate) fn read(self, path: &str, headers: &HeaderMap, body: &Value) -> Result<Parsed, Reason> {
        let asked = match self {
            Self::OpenAi => openai::read(body),
            Self::Anthropic => anthropic::read(headers, body),
            Self::Gemini => gemini::read(path, body),
            Self::Ollama => ollama::read(body),
        }?;
        if asked.request.messages.is_empty() {
            return Err("there are no messages".into());
        }
        Ok(asked)
    }

    pub(crate) fn whole(self, model: &str, completion: &Completion, reported: &Reported) -> Value {
        match self {
            Self::OpenAi => openai::whole(model, completion, reported),
            Self::Anthropic => anthropic::whole(model, completion, reported),
            Self::Gemini => gemini::whole(model, completion, reported),
            Self::Ollama => ollama::whole(model, completion, reported),
        }
    }

    pub(crate) fn stream(self, model: &str, completion: &Completion, reported: &Reported) -> Vec<String> {
        match self {
            Self::OpenAi => openai::stream(model, completion, reported),
            Self::Anthropic => anthropic::stream(model, completion, reported),
            Self::Gemini => gemini::stream(model, completion, reported),
            Self::Ollama => ollama::stream(model, completion, reported),
        }
    }

    pub(crate) fn stream_kind(self) -> &'static str {
        match self {
            Self::OpenAi | Self::Anthropic | Self::Gemini => "text/event-stream",
            Self::Ollama => "application/x-ndjson",
        }
    }

    pub(crate) fn error(self, status: u16, reason: &str) -> Value {
        match self {
            Self::OpenAi => openai::error(status, reason),
            Self::Anthropic => anthropic::error(status, reason),
            Self::Gemini => gemini::error(status, reason),
            Self::Ollama => ollama::error(reason),
        }
    }
}

/// A string that must be there.
fn string(value: &Value, key: &str) -> Result<String, Reason> {
    value[key].as_str().map(str::to_owned).ok_or_else(|| format!("`{key}` must be a string"))
}

/// A list that must be there.
fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], Reason> {
    value[key].as_array().map(Vec::as_slice).ok_or_else(|| format!("`{key}` must be a list"))
}

/// A list that may be missing.
fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// Strings that end an answer: one, several, or none.
fn stops(value: &Value) -> Vec<String> {
    match value {
        Value::String(stop) => vec![stop.clone()],
        _ => value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

fn tokens(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|count| count.try_into().ok())
}

/// The schema, if there is one.
fn schema(value: &Value) -> Option<Value> {
    (!value.is_null()).then(|| value.clone())
}

/// Text, whole or in parts, or nothing, in `role`'s name.
fn said(role: Role, content: &Value) -> Message {
    match content.as_array() {
        Some(parts) => {
            Message::new(role, parts.iter().filter_map(|part| part["text"].as_str()).collect::<String>())
        }
        None => Message::new(role, content.as_str().unwrap_or_default()),
    }
}
