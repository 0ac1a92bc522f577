//! Schemas put together: one as a part of another.

use serde_json::{Map, Value};

/// Where schemas keep definitions, by draft.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// `schema` as a part of the whole: its definitions move up, under names of its own. Without its `$id`: references
/// within the whole would be relative to that.
pub(super) fn inlined(name: &str, mut schema: Value, definitions: &mut Map<String, Value>) -> Value {
    let id = schema["$id"].as_str().unwrap_or_default().trim_end_matches('#').to_owned();
    let recursive = rename_references(&mut schema, name, &id);
    if let Value::Object(schema) = &mut schema {
        schema.remove("$schema");
        schema.remove("$id");
        for word in DEFINITIONS {
            if let Some(Value::Object(own)) = schema.remove(word) {
                definitions.extend(own.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
        }
    }
    if recursive {
        definitions.insert(name.into(), schema.clone());
    }
    schema
}

/// Whether one of the references is to the schema itself.
fn rename_references(schema: &mut Value, name: &str, id: &str) -> bool {
    match schema {
        Value::Object(table) => {
            let mut itself = false;
            if let Some(Value::String(target)) = table.get_mut("$ref") {
                let local = target.strip_prefix(id).unwrap_or(target);
                let mut definitions = DEFINITIONS.iter();
                itself = local == "#";
                if itself {
                    *target = format!("#/$defs/{name}");
                } else if let Some(definition) =
                    definitions.find_map(|word| local.strip_prefix(&format!("#/{word}/")))
                {
                    *target = format!("#/$defs/{name}.{definition}");
                }
            }
            table.values_mut().fold(itself, |found, value| rename_references(value, name, id) | found)
        }
        Value::Array(list) => {
            list.iter_mut().fold(false, |found, value| rename_references(value, name, id) | found)
        }
        _ => false,
    }
}
