//! Reads a configuration's JSON Schema: its keys, their defaults, and values that follow it.

use serde_json::{Map, Value, json};

/// A schema with its `$ref` resolved.
pub(crate) fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
    target.and_then(|path| root.pointer(path)).unwrap_or(schema)
}

/// The keys of an object's schema.
pub(crate) fn keys<'a>(root: &'a Value, schema: &'a Value) -> impl Iterator<Item = (&'a String, &'a Value)> {
    resolve(root, schema).get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// A configuration with the `given` keys; other required keys get their default, or what `word` returns for the key.
pub(crate) fn required(schema: &Value, given: &Map<String, Value>, word: &dyn Fn(&str) -> String) -> Value {
    let mut config = match sample(schema, schema, "", word) {
        Some(Value::Object(config)) => config,
        _ => Map::new(),
    };
    config.extend(given.clone());
    Value::Object(config)
}

/// `config` with every default of the schema written out.
pub(crate) fn spelled_out(schema: &Value, config: &Value) -> Value {
    let mut whole: Map<String, Value> = keys(schema, schema)
        .filter_map(|(key, value)| Some((key.clone(), value.get("default")?.clone())))
        .collect();
    whole.extend(config.as_object().cloned().unwrap_or_default());
    Value::Object(whole)
}

/// A value that follows `schema`; `None` if none can be invented, such as the path of a file that must exist.
pub(crate) fn sample(
    root: &Value,
    schema: &Value,
    key: &str,
    word: &dyn Fn(&str) -> String,
) -> Option<Value> {
    for keyword in ["default", "const"] {
        if let Some(value) = schema.get(keyword) {
            return Some(value.clone());
        }
    }
    let schema = resolve(root, schema);
    if let Some(value) = schema.get("const").or_else(|| schema.get("enum")?.get(0)) {
        return Some(value.clone());
    }
    for keyword in ["anyOf", "oneOf", "allOf"] {
        if let Some(Value::Array(options)) = schema.get(keyword) {
            return options.iter().find_map(|option| sample(root, option, key, word));
        }
    }
    let number = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    match kind(schema)? {
        "string" if schema.get("format").is_some_and(|format| format == "path") => None,
        "string" => Some(word(key).into()),
        "integer" => {
            let least = number("minimum").or(number("exclusiveMinimum").map(|least| least + 1.0));
            Some(json!(least.unwrap_or(1.0).max(1.0).min(number("maximum").unwrap_or(f64::MAX)) as i64))
        }
        "number" => {
            let least = number("minimum").or(number("exclusiveMinimum")).unwrap_or(0.0);
            let most = number("maximum").or(number("exclusiveMaximum")).unwrap_or(least + 1.0);
            Some(json!((least + most) / 2.0))
        }
        "boolean" => Some(false.into()),
        "array" => {
            let wanted = number("minItems").unwrap_or(0.0) as usize;
            let item = schema.get("items").and_then(|items| sample(root, items, key, word));
            Some(Value::Array(item.into_iter().cycle().take(wanted).collect()))
        }
        "object" => {
            let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
            let pairs = required.filter_map(Value::as_str).filter_map(|key| {
                let schema = schema.get("properties")?.get(key)?;
                Some((key.to_owned(), sample(root, schema, key, word)?))
            });
            Some(Value::Object(pairs.collect()))
        }
        _ => Some(Value::Null),
    }
}

/// The first type that is not null.
fn kind(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_keys_are_filled_and_given_ones_stay() {
        let schema = json!({
            "type": "object",
            "$defs": { "Mode": { "oneOf": [{ "const": "slow" }, { "const": "fast" }] } },
            "properties": {
                "llm": { "type": "string" }, "mode": { "$ref": "#/$defs/Mode" }, "rounds": { "type": "integer", "minimum": 3 },
                "share": { "type": ["number", "null"], "maximum": 0.5 }, "names": { "type": "array", "minItems": 2, "items": { "type": "string" } },
                "model": { "type": "string", "format": "path" }, "optional": { "type": "string", "default": "x" },
            },
            "required": ["llm", "mode", "rounds", "share", "names", "model"],
        });
        let given = json!({ "rounds": 5 });
        let config = required(&schema, given.as_object().unwrap(), &str::to_owned);
        assert_eq!(
            config,
            json!({ "llm": "llm", "mode": "slow", "rounds": 5, "share": 0.25, "names": ["names", "names"] })
        );
        assert_eq!(spelled_out(&schema, &config)["optional"], "x");
        // All except the path, which cannot be invented.
        let mut whole = config;
        whole["model"] = "here".into();
        assert!(jsonschema::is_valid(&schema, &whole));
    }
}
