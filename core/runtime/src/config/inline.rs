//! Inline tables: a component that is written where a name is expected becomes a section of its own.
//!
//! `of = ["react", { kind = "random" }]` under `[planner.careful]` becomes `of = ["react", "careful.of[1]"]` and a
//! section `[planner."careful.of[1]"]`. The schema of a component says where: it names the interface as the `format` of
//! a text, as [`PlannerName`](forethought_api::registry::PlannerName) and the names of models, critics and encoders do.
//! The schema for editors is changed likewise.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    layers::{self, NAMED},
    origin::KeyPath,
};
use crate::registry::Registry;

/// The section that gives planners to seats.
const SEATS: &str = "seats";

/// Schemas that are applied to one section at most, and to one value by reference: they may refer to themselves.
const MOST_STEPS: u32 = 10_000;
const DEEPEST: u32 = 32;

/// Moves inline tables into sections. Gives the section of each, and the place where it is written. What a section of
/// that name says already has precedence.
pub(super) fn lift(values: &mut Map<String, Value>, registry: &Registry) -> BTreeMap<KeyPath, KeyPath> {
    let mut places = BTreeMap::new();
    let mut open = layers::sections(values);
    open.push(vec![SEATS.into()]);
    while let Some(section) = open.pop() {
        let Some(mut table) = layers::get(values, &section).cloned() else { continue };
        let word = section[0].as_str();
        let schema = match table["kind"].as_str().map(|kind| registry.find(word, kind)) {
            Some(Ok(component)) => component.schema.clone(),
            _ if word == SEATS => json!({ "additionalProperties": name_of("planner") }),
            _ => continue,
        };
        let (path, found) = Default::default();
        let mut walk = Walk { root: &schema, section: &section, steps: MOST_STEPS, path, found };
        walk.visit(&schema, &mut table, 0);
        let place = places.get(&section).unwrap_or(&section).clone();
        for (word, name, path, below) in walk.found {
            let sections = values.entry(&word).or_insert_with(|| json!({}));
            let Some(sections) = sections.as_object_mut() else { continue };
            if let Value::Object(own) = sections.entry(&name).or_insert_with(|| json!({})) {
                for (key, value) in below {
                    own.entry(key).or_insert(value);
                }
            }
            let inner = vec![word, name];
            places.insert(inner.clone(), [place.clone(), path].concat());
            open.push(inner);
        }
        match &*section {
            [word] => values[word] = table,
            [word, name, ..] => values[word][name] = table,
            [] => {}
        }
    }
    places
}

/// The schema of a component's name.
pub(super) fn name_of(word: &str) -> Value {
    json!({ "type": "string", "format": word })
}

/// A component's interface, where a schema expects the name of one.
pub(super) fn named(schema: &Value) -> Option<&str> {
    schema["format"].as_str().filter(|format| NAMED.contains(format))
}

/// Looks for tables where a schema expects names, and replaces them.
struct Walk<'a> {
    root: &'a Value,
    section: &'a [String],
    steps: u32,
    /// Where it is in the section.
    path: KeyPath,
    /// The interface of each, its name, its place, and the table.
    found: Vec<(String, String, KeyPath, Map<String, Value>)>,
}

impl Walk<'_> {
    fn visit(&mut self, schema: &Value, value: &mut Value, depth: u32) {
        if self.steps == 0 || depth == DEEPEST || !(value.is_object() || value.is_array()) {
            return;
        }
        self.steps -= 1;
        if let (Some(word), Some(_)) = (named(schema), value.get("kind")) {
            let name = self.name();
            if let Value::Object(table) = std::mem::replace(value, name.clone().into()) {
                self.found.push((word.into(), name, self.path.clone(), table));
            }
            return;
        }
        if let Some(target) = schema["$ref"].as_str().and_then(|target| target.strip_prefix('#'))
            && let Some(target) = self.root.pointer(target)
        {
            self.visit(target, value, depth + 1);
        }
        for choices in ["allOf", "anyOf", "oneOf"].map(|keyword| schema[keyword].as_array()) {
            choices.into_iter().flatten().for_each(|schema| self.visit(schema, value, depth + 1));
        }
        match value {
            Value::Object(table) => table.iter_mut().for_each(|(key, value)| {
                let own = schema["properties"].get(key).unwrap_or(&schema["additionalProperties"]);
                self.step(key.clone(), own, value);
            }),
            Value::Array(list) => list.iter_mut().enumerate().for_each(|(index, value)| {
                let own = schema["prefixItems"].get(index).unwrap_or(&schema["items"]);
                self.step(index.to_string(), own, value);
            }),
            _ => {}
        }
    }

    /// The name of a section for the table here: `careful.of[1]`.
    fn name(&self) -> String {
        let start = self.section.last().cloned().unwrap_or_default();
        self.path.iter().fold(start, |name, key| match key.parse::<usize>() {
            Ok(index) => format!("{name}[{index}]"),
            Err(_) => format!("{name}.{key}"),
        })
    }

    fn step(&mut self, key: String, schema: &Value, value: &mut Value) {
        self.path.push(key);
        self.visit(schema, value, 0);
        self.path.pop();
    }
}

/// The same for editors: where `whole`, the schema of a configuration, expects names, it accepts tables, too.
pub(super) fn allow_tables(whole: &mut Value) {
    let mut words = BTreeSet::new();
    allow(whole, &mut words);
    for word in words {
        let section = &mut whole["properties"][&word]["additionalProperties"];
        let own = std::mem::replace(section, json!({ "$ref": format!("#/$defs/{word}") }));
        whole["$defs"][word] = own;
    }
}

fn allow(schema: &mut Value, words: &mut BTreeSet<String>) {
    match (named(schema).map(String::from), &mut *schema) {
        (Some(word), Value::Object(keys)) => {
            let [kind, format] = ["type", "format"].map(|key| keys.remove(key));
            let name = json!({ "type": kind, "format": format });
            keys.insert("anyOf".into(), json!([name, { "$ref": format!("#/$defs/{word}") }]));
            words.insert(word);
        }
        (_, Value::Object(keys)) => keys.values_mut().for_each(|schema| allow(schema, words)),
        (_, Value::Array(list)) => list.iter_mut().for_each(|schema| allow(schema, words)),
        _ => {}
    }
}
