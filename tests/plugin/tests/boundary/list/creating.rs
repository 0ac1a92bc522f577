//! From a file to a component: 1 and 2.

use forethought_plugin_host::{metadata, policy};
use forethought_sdk::{prelude::*, serde_json::json};

use super::items;
use crate::way::{Way, heard, until};

items! {
    "01" describes_components_with_documented_schemas,
    "02" creates_components,
    "02" says_why_a_component_cannot_be_created,
    "02" survives_a_panic_in_create,
}

async fn describes_components_with_documented_schemas(way: Way) {
    let description = way.plugin().await.module.describe().await.unwrap();
    let records = metadata::read(&way.file, &std::fs::read(&way.file).unwrap()).unwrap();
    policy::admit(&way.file, &records).unwrap();
    policy::agree(&way.file, &records, &description).unwrap();
    assert_eq!(description.package, "forethought-test-plugin");
    assert_eq!(description.components.len(), 12, "{description:?}");
    for component in description.components {
        let schema = component.schema;
        assert_eq!(schema["additionalProperties"], false, "{}: {schema}", component.kind);
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let documented = property["description"].is_string() || property["$ref"].is_string();
            assert!(documented, "{}: `{key}` has no description: {schema}", component.kind);
        }
    }
}

async fn creates_components(way: Way) {
    let plugin = way.plugin().await;
    let encoder = plugin.make::<dyn TextEncoder>("axes", json!({ "dimension": 7 })).await;
    assert_eq!(encoder.spec().await.unwrap().dimension, 7);
    let model = plugin.make::<dyn LlmBackend>("count", json!({})).await;
    assert_eq!(model.capabilities().await.unwrap().model, "count");
}

async fn says_why_a_component_cannot_be_created(way: Way) {
    let plugin = way.plugin().await;
    for (kind, config, code, words) in [
        ("works", json!({ "meat": 3 }), Code::Config, "unknown field `meat`"),
        ("works", json!({ "meet": "three" }), Code::Config, "invalid type"),
        ("stress", json!({ "mode": "refuse_create" }), Code::Config, "`mode` says"),
        (
            "stress",
            json!({ "mode": "missing_dependency" }),
            Code::NotFound,
            "nothing is called `nobody` here",
        ),
        ("unheard-of", json!({}), Code::NotFound, "no `unheard-of` of forethought.environment/1"),
    ] {
        let error = plugin.create::<dyn Environment>(kind, config).await.err().expect(words);
        assert_eq!(error.code, code, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

async fn survives_a_panic_in_create(way: Way) {
    let plugin = way.plugin().await;
    let error = plugin.create::<dyn Environment>("stress", json!({ "mode": "panic_in_create" })).await.err();
    let error = error.expect("it panics");
    assert_eq!(error.code, Code::Panic);
    assert!(error.to_string().contains("in the making"), "{error}");
    assert!(error.to_string().contains("stress.rs:"), "the place is missing: {error}");
    until("the panic is logged", || async { heard(&["ERROR", &way.name, "in the making", "stress.rs:"]) })
        .await;
    plugin.make::<dyn Environment>("echo", json!({})).await;
}
