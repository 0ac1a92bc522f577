//! The JSON Schema of the data that cross the interfaces, in `types.schema.json`: the types of packages for other
//! languages are generated from it. `UPDATE=1 cargo test -p forethought-api` updates it, and `python3
//! plugins/python/generate.py` what is made from it.

use std::path::Path;

use forethought_api::{checkpoint, critic, encoder, environment, llm, planner, trajectory};
use schemars::generate::SchemaSettings;

#[test]
fn the_schema_of_the_data_is_checked_in() {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    macro_rules! add {
        ($($type:ty),* $(,)?) => { $(generator.subschema_for::<$type>();)* };
    }
    add!(
        environment::EnvironmentSpec,
        environment::Reset,
        environment::Imagine,
        environment::Turn,
        environment::Action,
        environment::Transition,
        planner::DecisionContext,
        planner::Decision,
        planner::Requirements,
        planner::Summary,
        planner::Allowance,
        critic::CriticQuery,
        critic::Estimate,
        critic::StyleCard,
        encoder::EncoderSpec,
        llm::LlmCapabilities,
        llm::ChatRequest,
        llm::Completion,
        trajectory::Trajectory,
        checkpoint::Manifest,
    );
    let schema = serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What crosses Forethought's interfaces",
        "$defs": generator.take_definitions(true),
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/types.schema.json");
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(checked_in == text, "{} is out of date: run this test with UPDATE=1", path.display());
}
