//! Whole bodies in each wire format: read or refused with a reason, and the same each time.
#![no_main]

use std::sync::LazyLock;

use forethought_fuzz as _;
use forethought_llm_remote::{Provider, fuzzing::Wire};
use forethought_sdk::serde_json::Value;
use libfuzzer_sys::fuzz_target;

static WIRES: LazyLock<[Wire; 4]> = LazyLock::new(|| {
    [Provider::OpenaiCompatible, Provider::Anthropic, Provider::Gemini, Provider::Ollama]
        .map(|provider| Wire::new(provider).expect("a client"))
});

fuzz_target!(|body: &str| {
    for wire in &*WIRES {
        match wire.whole(body) {
            Ok(answer) => {
                assert!(!answer.choices.is_empty());
                for call in answer.choices.iter().flat_map(|choice| &choice.tool_calls) {
                    assert!(!call.id.is_empty() && call.arguments != Value::Null);
                }
            }
            Err(error) => assert!(!error.message.is_empty()),
        }
    }
});
