//! Schemas put together: one as a part of another.

use serde_json::{Map, Value};

/// `schema` as a part of the whole: its definitions move up, under names of its own.
pub(super) fn inlined(name: &str, mut schema: Value, definitions: &mut Map<String, Value>) -> Value {
    rename_references(&mut schema, name);
    if let Value::Object(schema) = &mut schema {
        schema.remove("$schema");
        if let Some(Value::Object(own)) = schema.remove("$defs") {
            definitions.extend(own.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
        }
    }
    schema
}

fn rename_references(schema: &mut Value, name: &str) {
    match schema {
        Value::Object(table) => {
            if let Some(Value::String(target)) = table.get_mut("$ref")
                && let Some(definition) = target.strip_prefix("#/$defs/")
            {
                *target = format!("#/$defs/{name}.{definition}");
            }
            table.values_mut().for_each(|value| rename_references(value, name));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| rename_references(value, name)),
        _ => {}
    }
}
