//! Answers in OpenAI's form: completions, chunks of a stream, and errors.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use forethought_api::{Error, error::Code, llm::ToolCall};
use forethought_runtime::{clock, run::summary::CallCount};
use serde_json::{Value, json};

/// An answer to a client.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Answer {
    /// Words, if any.
    pub(crate) content: Option<String>,
    /// Calls, with ids.
    pub(crate) calls: Vec<ToolCall>,
    /// Why it ended, in OpenAI's word.
    pub(crate) finish: &'static str,
    /// The calls of models that it took.
    pub(crate) used: CallCount,
}

impl Answer {
    /// `usage` of everything that the decision took.
    fn usage(&self) -> Value {
        let CallCount { input_tokens, output_tokens, .. } = self.used;
        json!({
            "prompt_tokens": input_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": input_tokens.saturating_add(output_tokens),
        })
    }

    fn tool_calls(&self) -> impl Iterator<Item = Value> {
        self.calls.iter().map(|call| {
            json!({
                "id": call.id,
                "type": "function",
                "function": { "name": call.name, "arguments": arguments(call) },
            })
        })
    }

    /// The message of an assistant that says this.
    pub(crate) fn message(&self) -> Value {
        let mut message = json!({ "role": "assistant", "content": self.content, "refusal": null });
        if !self.calls.is_empty() {
            message["tool_calls"] = self.tool_calls().collect();
        }
        message
    }

    /// The body of an answer that is not streamed.
    pub(crate) fn completion(&self, id: &str, model: &str) -> Value {
        json!({
            "id": id,
            "object": "chat.completion",
            "created": clock::seconds(),
            "model": model,
            "choices": [{ "index": 0, "message": self.message(), "logprobs": null, "finish_reason": self.finish }],
            "usage": self.usage(),
        })
    }

    /// The events of an answer that is streamed.
    pub(crate) fn chunks(&self, id: &str, model: &str, include_usage: bool) -> String {
        let created = clock::seconds();
        let mut events = String::new();
        let mut push = |choices: Value, usage: Option<Value>| {
            let mut chunk = json!({
                "id": id,
                "object": "chat.completion.chunk",
                "created": created,
                "model": model,
                "choices": choices,
            });
            if include_usage {
                chunk["usage"] = usage.into();
            }
            events += &event(&chunk);
        };
        let delta =
            |delta: Value| json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": null }]);
        let opening = if self.calls.is_empty() { json!("") } else { Value::Null };
        push(delta(json!({ "role": "assistant", "content": opening })), None);
        for piece in self.content.as_deref().into_iter().flat_map(pieces) {
            push(delta(json!({ "content": piece })), None);
        }
        for (index, call) in self.calls.iter().enumerate() {
            let function = json!({ "name": call.name, "arguments": "" });
            let begin = json!({ "index": index, "id": call.id, "type": "function", "function": function });
            push(delta(json!({ "tool_calls": [begin] })), None);
            for piece in pieces(&arguments(call)) {
                let more = json!({ "index": index, "function": { "arguments": piece } });
                push(delta(json!({ "tool_calls": [more] })), None);
            }
        }
        push(json!([{ "index": 0, "delta": {}, "logprobs": null, "finish_reason": self.finish }]), None);
        if include_usage {
            push(json!([]), Some(self.usage()));
        }
        events + "data: [DONE]\n\n"
    }
}

/// An event of a stream.
fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

/// A call's arguments as the text that OpenAI makes of them.
pub(crate) fn arguments(call: &ToolCall) -> String {
    match &call.arguments {
        Value::Null => "{}".into(),
        Value::String(text) => text.clone(),
        arguments => arguments.to_string(),
    }
}

/// The characters in a chunk.
const PIECE: usize = 64;

/// A text in pieces.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(PIECE).map_or(rest.len(), |(at, _)| at);
        let (piece, left) = rest.split_at(end);
        rest = left;
        (!piece.is_empty()).then_some(piece)
    })
}

/// An error that a client gets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// The place in the request.
    pub(crate) param: Option<String>,
    /// A word for programs.
    pub(crate) code: Option<&'static str>,
    /// Whole seconds to wait, if the same request may succeed then.
    pub(crate) retry_after: Option<u64>,
    /// Whether the client must not repeat the request by itself.
    pub(crate) last: bool,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None, retry_after: None, last: false }
    }
    pub(crate) fn at(self, param: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..self }
    }
    pub(crate) fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }
    /// There is too much to do.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, message).code("rate_limit_exceeded")
        }
    }

    /// `error.type`, in OpenAI's words.
    fn kind(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            429 if self.code == Some("insufficient_quota") => "insufficient_quota",
            429 => "rate_limit_error",
            400..500 => "invalid_request_error",
            _ => "server_error",
        }
    }

    pub(crate) fn body(&self) -> Value {
        let Self { message, param, code, .. } = self;
        json!({ "error": { "message": message, "type": self.kind(), "param": param, "code": code } })
    }

    /// The same as the last event of a stream that has begun.
    pub(crate) fn event(&self) -> String {
        event(&self.body())
    }
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        let message = error.to_string();
        match error.code {
            // A limit does not go away by waiting.
            Code::Budget => Self {
                last: true,
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, message).code("insufficient_quota")
            },
            Code::NotFound => Self::new(StatusCode::NOT_FOUND, message),
            Code::Cancelled | Code::Shutdown => Self::new(StatusCode::SERVICE_UNAVAILABLE, message),
            Code::Deadline => Self::new(StatusCode::GATEWAY_TIMEOUT, message).code("deadline"),
            Code::Malformed => Self::new(StatusCode::BAD_GATEWAY, message).code("malformed_answer"),
            Code::Provider | Code::BadRequest => Self {
                last: !error.retryable,
                retry_after: error.retry_after_ms.map(|ms| ms.div_ceil(1000)),
                ..Self::new(StatusCode::BAD_GATEWAY, message).code("provider_error")
            },
            _ => Self { last: !error.retryable, ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, message) },
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.last {
            // OpenAI's clients heed it.
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
