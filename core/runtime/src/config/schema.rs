//! One JSON Schema for a whole configuration, with every registered component in it.

use forethought_api::{llm::LlmBackend, registry::Pluggable as _};
use schemars::schema_for;
use serde_json::{Map, Value, json};

use super::{
    EmbeddingsConfig, RunConfig, ServeConfig,
    compose::inlined,
    inline,
    layers::{NAMED, SINGLE},
};
use crate::budget::prices::Price;
use crate::layers::CallConfig;
use crate::registry::{Registry, RegistryEntry};

/// Name of the definition of `[llm.<name>.calls]`.
const CALLS: &str = "llm.calls";

/// The kind of `[summariser]` if no kind is given.
pub(super) const DEFAULT_SUMMARISER: &str = "llm";

/// The schema of a configuration made of `registry`'s components. Editors check TOML against it as it is typed.
pub fn schema(registry: &Registry) -> Value {
    let mut whole = whole(|word, definitions| {
        let choices: Vec<Value> = registry
            .list()
            .filter(|component| component.word == word)
            .map(|component| section(component, definitions))
            .collect();
        if choices.is_empty() { Value::Bool(false) } else { json!({ "oneOf": choices }) }
    });
    inline::allow_tables(&mut whole);
    whole
}

/// The same without the keys that components read: those are checked against each component's own schema.
pub(super) fn frame(registry: &Registry) -> Value {
    whole(|word, definitions| {
        let kinds: Vec<&str> = registry
            .list()
            .filter(|component| component.word == word)
            .map(|component| &*component.kind)
            .collect();
        let mut schema = json!({ "type": "object" });
        add_key(&mut schema, "kind", &json!({ "enum": kinds }), true);
        add_calls(&mut schema, word, definitions);
        schema
    })
}

/// The keys that the program reads in the section of a component.
pub(super) fn program_keys(word: &str) -> &'static [&'static str] {
    if word == <dyn LlmBackend>::WORD { &["kind", "calls"] } else { &["kind"] }
}

fn whole(mut section: impl FnMut(&str, &mut Map<String, Value>) -> Value) -> Value {
    let mut definitions = Map::new();
    let mut properties = Map::new();
    let mut describe = |name: &str, description: &str, mut schema: Value| {
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".into(), description.into());
        }
        properties.insert(name.into(), schema);
    };
    describe(
        "preset",
        "Name of the preset that this configuration starts from.",
        json!({ "type": "string" }),
    );
    describe("seed", "Seed of everything random.", json!({ "type": "integer", "minimum": 0 }));
    for (word, description) in NAMED.iter().zip([
        "Language models, by name.",
        "Text encoders, by name.",
        "Critics, by name.",
        "Trainers of critics, by name.",
        "Planners, by name. Each may take a seat.",
    ]) {
        let schema = json!({ "type": "object", "additionalProperties": section(word, &mut definitions) });
        describe(word, description, schema);
    }
    for (word, description) in SINGLE.iter().zip([
        "Summarises histories when episodes are recorded; by default the only language model does.",
        "The environment in which episodes are played.",
    ]) {
        describe(word, description, section(word, &mut definitions));
    }
    describe(
        "roles",
        "Which model answers for a role that planners name, and which purposes go to another model.",
        super::roles::schema(&mut definitions),
    );
    let price = inlined("prices", schema_for!(Price).to_value(), &mut definitions);
    describe(
        "prices",
        "What models cost, by model or by provider/model. These come before the shipped table.",
        json!({ "type": "object", "additionalProperties": price }),
    );
    let seats = json!({ "type": "object", "additionalProperties": inline::name_of("planner") });
    describe("seats", "Which planner takes which of the environment's seats.", seats);
    describe(
        "run",
        "How many episodes are run, how, and within which limits.",
        inlined("run", schema_for!(RunConfig).to_value(), &mut definitions),
    );
    describe(
        "serve",
        "Where and how `forethought serve` answers.",
        inlined("serve", schema_for!(ServeConfig).to_value(), &mut definitions),
    );
    describe(
        "embeddings",
        "Where vectors of texts are kept across runs.",
        inlined("embeddings", schema_for!(EmbeddingsConfig).to_value(), &mut definitions),
    );
    describe(
        "plugins",
        "Plugins to load, in addition to what is linked into the program.",
        super::plugins::schema(&mut definitions),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Forethought configuration",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "$defs": definitions,
    })
}

/// A component's own schema with the program's keys added: `kind`, and for language models `calls`.
fn section(component: &RegistryEntry, definitions: &mut Map<String, Value>) -> Value {
    let name = format!("{}.{}", component.word, component.kind);
    let mut schema = inlined(&name, component.schema.clone(), definitions);
    let mut kind = json!({ "const": component.kind, "description": component.summary });
    let optional = component.word == "summariser" && component.kind == DEFAULT_SUMMARISER;
    if optional {
        kind["default"] = kind["const"].clone();
    }
    add_key(&mut schema, "kind", &kind, !optional);
    add_calls(&mut schema, component.word, definitions);
    if let Value::Object(schema) = &mut schema {
        schema.insert("title".into(), name.into());
    }
    schema
}

fn add_calls(schema: &mut Value, word: &str, definitions: &mut Map<String, Value>) {
    if program_keys(word).contains(&"calls") {
        let calls = inlined(CALLS, schema_for!(CallConfig).to_value(), definitions);
        definitions.insert(CALLS.into(), calls);
        add_key(schema, "calls", &json!({ "$ref": format!("#/$defs/{CALLS}") }), false);
    }
}

/// A configuration may itself be a choice of tables: each of them then takes the key.
fn add_key(schema: &mut Value, key: &str, value: &Value, required: bool) {
    let Value::Object(schema) = schema else { return };
    let choices = ["oneOf", "anyOf"].iter().find(|keyword| schema.contains_key(**keyword));
    if let Some(Value::Array(choices)) = choices.and_then(|keyword| schema.get_mut(*keyword)) {
        choices.iter_mut().for_each(|choice| add_key(choice, key, value, required));
    }
    schema.insert("type".into(), "object".into());
    // The schema of a plugin may be anything.
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    if let Value::Object(properties) = properties {
        properties.insert(key.into(), value.clone());
    }
    if required && let Value::Array(required) = schema.entry("required").or_insert_with(|| json!([])) {
        required.insert(0, key.into());
    }
}
