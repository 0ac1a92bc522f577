//! How many tokens a call is expected to use, before it is made.

use forethought_api::llm::{ChatRequest, Usage};

/// Expected output tokens of a request that sets no limit.
const UNLIMITED_ANSWER: u64 = 1024;

/// The most that a request is expected to use.
pub(crate) fn estimate(request: &ChatRequest) -> Usage {
    let characters: usize = request.messages.iter().map(|message| message.content.len()).sum();
    let answer = request.max_tokens.map_or(UNLIMITED_ANSWER, u64::from);
    Usage {
        // A token is about four characters of English; three errs on the safe side.
        input_tokens: characters as u64 / 3,
        output_tokens: answer * u64::from(request.samples.max(1)),
    }
}
