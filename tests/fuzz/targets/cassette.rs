//! Cassettes: a line that cannot be read is named, and a torn last line changes nothing before it.
#![no_main]

use std::path::Path;

use forethought_fuzz as _;
use forethought_llm_cassette::cassette::Cassette;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("x.jsonl");
    match Cassette::parse(bytes, path) {
        Ok(read) => {
            let mut torn = bytes.to_vec();
            if torn.last().is_none_or(|byte| *byte == b'\n') {
                torn.extend(b"{\"nth\": 1");
                assert_eq!(Cassette::parse(&torn, path).expect("a torn line is ignored"), read);
            }
        }
        Err(error) => assert!(error.to_string().contains("x.jsonl:"), "{error}"),
    }
});
