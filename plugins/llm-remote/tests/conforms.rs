//! The rules for language models, checked in every format.

use forethought_conformance::{Options, Outcome, Subject, check};
use forethought_llm_remote as _; // Linked, so that it is found.
use forethought_mock_llm::start;
use forethought_sdk::serde_json::{from_value, json};

#[test]
fn it_conforms_in_every_format() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(start(Default::default())).unwrap();
    let subject = Subject::linked("llm", "remote").unwrap();
    let steps = forethought_testkit::slow(1_000, 10_000);
    for (provider, version) in
        [("openai", "/v1"), ("anthropic", "/v1"), ("gemini", "/v1beta"), ("ollama", "/api")]
    {
        let base_url = server.url() + version;
        let config = json!({ "provider": provider, "model": "m", "base_url": base_url });
        let options = Options { config: from_value(config).unwrap(), steps, ..Options::default() };
        let report = runtime.block_on(check(&subject, &options));
        let answered = report.checked.iter().find(|checked| checked.rule == "common/answered").unwrap();
        assert!(report.passed() && answered.outcome == Outcome::Passed, "{provider}: {report}");
    }
}
