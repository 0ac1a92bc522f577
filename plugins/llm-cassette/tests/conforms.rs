//! The rules for language models.

use forethought_conformance::assert_conforms;
use forethought_llm_cassette as _; // Linked, so that it is found.
use forethought_sdk::serde_json::json;

#[test]
fn what_was_recorded_under_the_rules_replays_under_them() {
    let folder = tempfile::tempdir().unwrap();
    let cassette = folder.path().join("tape.jsonl");
    assert_conforms("llm", "record", json!({ "cassette": cassette }));
    assert_conforms("llm", "replay", json!({ "cassette": cassette, "after": "cycle" }));
}

#[test]
fn a_script_conforms_for_as_long_as_it_lasts() {
    assert_conforms("llm", "script", json!({ "answers": vec!["Thought: Go north."; 50_000] }));
}
