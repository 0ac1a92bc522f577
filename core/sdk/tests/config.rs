//! `#[config]` and `#[data]`, used as by an author who depends on the sdk alone.

use forethought_sdk::{
    config::{self, read},
    prelude::*,
    serde_json::{self, Value, json},
};

/// How the tide moves.
#[config]
#[derive(Debug, Default, PartialEq)]
#[serde(default)]
struct Tide {
    /// Metres between low and high water.
    range: f64,
    /// When it turns.
    turns: Vec<Turning>,
}

/// When the tide turns.
#[config]
#[derive(Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Turning {
    HighWater,
    LowWater,
}

/// A tide table, which may have further columns.
#[config(open)]
struct Table {
    /// Name of the harbour.
    harbour: String,
}

/// A line of a tide table.
#[data]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    water_level: f64,
}

#[test]
fn unknown_keys_are_refused_unless_the_config_is_open() {
    let tide: Tide = read(json!({ "range": 2.5, "turns": ["high_water"] })).unwrap();
    assert_eq!(tide, Tide { range: 2.5, turns: vec![Turning::HighWater] });
    let error = read::<Tide>(json!({ "rnage": 2.5 })).unwrap_err();
    assert_eq!(error.code, Code::Config);
    assert!(error.message.contains("unknown field `rnage`"), "{error}");
    assert!(read::<Tide>(json!({ "turns": ["never"] })).unwrap_err().message.contains("`never`"));
    let table: Table = read(json!({ "harbour": "Husum", "datum": "NHN" })).unwrap();
    assert_eq!(table.harbour, "Husum");
}

#[test]
fn the_schema_has_the_doc_comments_and_whether_it_is_closed() {
    let schema = config::schema::<Tide>().to_value();
    assert_eq!(schema["description"], "How the tide moves.");
    assert_eq!(schema["properties"]["range"]["description"], "Metres between low and high water.");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(config::schema::<Table>().to_value()["additionalProperties"], Value::Null);
}

#[test]
fn data_is_read_and_written_and_ignores_unknown_keys() {
    let line: Line = serde_json::from_value(json!({ "waterLevel": 1.5, "newer": true })).unwrap();
    assert_eq!(serde_json::to_value(&line).unwrap(), json!({ "waterLevel": 1.5 }));
}
