//! How many tokens a call is expected to use, before it is made.

use forethought_api::llm::{ChatRequest, Usage};

/// Expected output tokens of a request that sets no limit.
const UNLIMITED_ANSWER: u64 = 1024;

/// No model reads or writes as many tokens in one call: a count above this is a mistake of the provider's.
const ABSURD: u64 = u32::MAX as u64;

/// What counts of the usage that a provider `reported`. A count that is missing (0) or absurd counts as `expected`.
pub(crate) fn counted(reported: Usage, expected: Usage) -> Usage {
    let known = credible(reported);
    let or = |known: u64, expected| if known == 0 { expected } else { known };
    Usage {
        input_tokens: or(known.input_tokens, expected.input_tokens),
        output_tokens: or(known.output_tokens, expected.output_tokens),
    }
}

/// `reported`, with 0 for counts that cannot be true.
pub(crate) fn credible(reported: Usage) -> Usage {
    let count = |tokens: u64| if tokens > ABSURD { 0 } else { tokens };
    Usage { input_tokens: count(reported.input_tokens), output_tokens: count(reported.output_tokens) }
}

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
