//! Streams in pieces: where the bytes are cut does not matter, and a stream is read like a whole body.
#![no_main]

use std::sync::LazyLock;

use forethought_fuzz as _;
use forethought_llm_remote::{Provider, fuzzing::Wire};
use libfuzzer_sys::fuzz_target;

static WIRES: LazyLock<[Wire; 4]> = LazyLock::new(|| {
    [Provider::OpenaiCompatible, Provider::Anthropic, Provider::Gemini, Provider::Ollama]
        .map(|provider| Wire::new(provider).expect("a client"))
});

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    for wire in &*WIRES {
        let read = |pieces: &[&[u8]]| wire.streamed(pieces).map_err(|error| (error.code, error.message));
        let once = read(&[bytes]);
        for size in [1, usize::from(step).max(1)] {
            assert_eq!(read(&bytes.chunks(size).collect::<Vec<_>>()), once);
        }
        if let Ok(text) = std::str::from_utf8(bytes)
            && text.starts_with(|c: char| c.is_ascii_graphic())
            && wire.is_stream(text)
        {
            assert_eq!(wire.whole(text).map_err(|error| (error.code, error.message)), once);
        }
    }
});
