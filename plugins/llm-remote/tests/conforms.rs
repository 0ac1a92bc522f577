//! The rules that every language model must keep, kept in every format.

use forethought_conformance::assert_conforms;
use forethought_llm_remote as _; // Linked, so that it is found.
use forethought_mock_llm::{Options, start};
use forethought_sdk::serde_json::json;

#[test]
fn it_conforms_in_every_format() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(start(Options::default())).unwrap();
    for (provider, version) in
        [("openai", "/v1"), ("anthropic", "/v1"), ("gemini", "/v1beta"), ("ollama", "/api")]
    {
        let base_url = server.url() + version;
        assert_conforms("llm", "remote", json!({ "provider": provider, "model": "m", "base_url": base_url }));
    }
}
