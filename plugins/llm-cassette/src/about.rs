//! Short descriptions of requests, for messages.

use forethought_sdk::prelude::*;

/// The request's purpose and the beginning of its last message.
pub(crate) fn about(request: &ChatRequest) -> String {
    let last = request.messages.last().map_or("", |message| &message.content);
    format!("purpose {}, last message {:?}", word(request.purpose), head(last))
}

fn word(purpose: Purpose) -> String {
    let value = forethought_sdk::serde_json::to_value(purpose).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// The beginning of a text.
pub(crate) fn head(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
