//! Requests and answers in a provider's own wire format, passed on byte for byte.
//!
//! [`LlmBackend::forward`](crate::llm::LlmBackend::forward) takes what a client wrote and returns what the provider
//! answers. The layers between read what they need (tokens, errors) and change nothing.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    Error, Result,
    error::Code,
    interface,
    llm::{ChatRequest, Completion},
    wire::message,
};

/// OpenAI's chat completions: `POST /chat/completions`.
pub const OPENAI_CHAT: &str = "openai.chat";

/// The error of backends that do not pass on requests in this format.
pub fn not_passed_on(format: &str) -> Error {
    Error::new(
        Code::Unimplemented,
        format!("this model cannot pass on a request in the format {format:?}; use `complete`"),
    )
}

/// A request as a client wrote it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RawRequest {
    /// The wire format of the body, such as [`OPENAI_CHAT`].
    pub format: String,
    /// The body, to the byte. The backend puts its own model's name into it.
    pub body: String,
    /// Whether the body asks for a stream.
    pub streaming: bool,
    /// What the body asks, as far as it could be read: for routes, rates, budgets and records. Never sent.
    pub request: ChatRequest,
}

/// The head of an answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RawHead {
    /// HTTP status.
    pub status: u16,
    /// Media type of the body; empty if the provider names none.
    pub content_type: String,
    /// Other headers that say something about the answer, by lower-case name: request ids, rate limits, times. Never
    /// cookies, or what belongs to one connection.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// What the status means, if the provider refused the request or failed. The body then is the provider's account of
    /// it, and [`RawStream::finish`] returns this error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Error>,
}

/// An answer as it arrives. Pull-based: the caller sets the pace, and cancels by dropping it.
#[interface("forethought.raw_stream/1")]
pub trait RawStream: Send + Sync {
    /// The head, which has arrived.
    async fn head(&self) -> Result<RawHead>;
    /// The next bytes of the body; empty only at its end.
    ///
    /// # Errors
    /// If the answer breaks off: the connection is lost, or a stream ends before its answer does.
    async fn next(&self) -> Result<RawBytes>;
    /// The answer that was read from the bytes, with its usage. Waits for the end. The answer is moved out: a second call
    /// is an error.
    ///
    /// # Errors
    /// [`RawHead::failure`], an answer that broke off, or one that cannot be read.
    async fn finish(&self) -> Result<Completion>;
}

/// Bytes of a body. They travel next to a message; elsewhere they are text with one character per byte (ISO 8859-1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawBytes(pub Bytes);

#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blob: Option<usize>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    text: String,
}

impl Serialize for RawBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let blob = message::attach_blob(|| self.0.clone());
        let text =
            if blob.is_some() { String::new() } else { self.0.iter().map(|byte| *byte as char).collect() };
        Written { blob, text }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RawBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { blob, text } = Written::deserialize(deserializer)?;
        let bytes = match blob {
            Some(blob) => message::blob(blob),
            None => text.chars().map(u8::try_from).collect::<Result<Bytes, _>>().map_err(|_| {
                Error::malformed("the text of bytes has a character above U+00FF, which is not a byte")
            }),
        };
        bytes.map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_as_text() {
        let bytes = RawBytes((0..=255).collect());
        let text = serde_json::to_string(&bytes).unwrap();
        assert_eq!(serde_json::from_str::<RawBytes>(&text).unwrap(), bytes);
        let error = serde_json::from_str::<RawBytes>(r#"{ "text": "大" }"#).unwrap_err().to_string();
        assert!(error.contains("not a byte"), "{error}");
    }
}
