//! Checks a document against its JSON Schema, in words for whoever wrote the document.
//!
//! A general validator says that none of twelve alternatives matched; this one goes by `kind`, and names the nearest
//! known key. It knows the keywords that schemars writes. On its way it notes which values are paths.

use std::cell::Cell;

use forethought_plugin_host::settings::is_name;
use serde_json::{Map, Value};

use super::origin::KeyPath;
use crate::registry::suggestion;

/// Something wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key at fault.
    pub path: KeyPath,
    /// What is wrong, and the way out.
    pub message: String,
}

/// What a check found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Everything wrong; empty for a valid document.
    pub problems: Vec<Problem>,
    /// Keys whose values are paths.
    pub paths: Vec<KeyPath>,
}

/// Checks `document` against `schema`, whose `$ref`s point into itself.
pub fn check(document: &Value, schema: &Value) -> Findings {
    let mut findings = Findings::default();
    let checker = Checker { root: schema, visits: Cell::new(0), depth: Cell::new(0) };
    checker.visit(document, schema, &mut KeyPath::new(), &mut findings);
    findings
}

/// More than any sensible schema takes; one of a plugin may refer to itself in a circle, or unfold without end.
const MOST_VISITS: u32 = 100_000;
const GREATEST_DEPTH: u32 = 128;

struct Checker<'a> {
    root: &'a Value,
    visits: Cell<u32>,
    depth: Cell<u32>,
}

impl<'a> Checker<'a> {
    fn visit(&self, value: &Value, schema: &'a Value, path: &mut KeyPath, found: &mut Findings) {
        let depth = self.depth.get();
        self.visits.set(self.visits.get() + 1);
        if depth == GREATEST_DEPTH || self.visits.get() > MOST_VISITS {
            return found
                .problem(path, "cannot be checked, for its schema never ends; who brings it must mend it");
        }
        self.depth.set(depth + 1);
        self.compare(value, schema, path, found);
        self.depth.set(depth);
    }

    fn compare(&self, value: &Value, schema: &'a Value, path: &mut KeyPath, found: &mut Findings) {
        let schema = match schema {
            Value::Object(schema) => schema,
            Value::Bool(false) => return found.problem(path, "no value is allowed here"),
            _ => return,
        };
        if let Some(target) = schema.get("$ref") {
            self.visit(value, self.resolve(target), path, found);
        }
        if let Some(expected) = mismatch(value, schema) {
            return found.problem(path, format!("expected {expected}, found {}", name(value)));
        }
        if let Some(constants) = constants(schema)
            && !constants.contains(&value)
        {
            return found.problem(path, not_among(value, &constants));
        }
        match value {
            Value::Number(number) => {
                if let Some(bound) = out_of_range(number.as_f64().unwrap_or(f64::NAN), schema) {
                    found.problem(path, format!("{number} is out of range: it must be {bound}"));
                }
            }
            Value::String(text) => {
                let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0);
                if (text.chars().count() as u64) < least {
                    found.problem(path, format!("the text must have at least {least} characters"));
                }
                let path_of = |format: &Value| format == "path" || (format == "plugin" && !is_name(text));
                if schema.get("format").is_some_and(path_of) {
                    found.paths.push(path.clone());
                }
            }
            Value::Array(list) => self.list(list, schema, path, found),
            Value::Object(table) => self.table(table, schema, path, found),
            _ => {}
        }
        for part in alternatives(schema, "allOf") {
            self.visit(value, part, path, found);
        }
        for keyword in ["oneOf", "anyOf"] {
            let choices: Vec<&Value> = alternatives(schema, keyword).collect();
            if !choices.is_empty() {
                self.choose(value, &choices, path, found);
            }
        }
    }

    fn list(&self, list: &[Value], schema: &'a Map<String, Value>, path: &mut KeyPath, found: &mut Findings) {
        let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
        let length = list.len() as u64;
        if bound("minItems").is_some_and(|least| length < least)
            || bound("maxItems").is_some_and(|most| length > most)
        {
            let expected = match (bound("minItems"), bound("maxItems")) {
                (Some(least), Some(most)) if least == most => format!("{least}"),
                (Some(least), Some(most)) => format!("{least} to {most}"),
                (Some(least), None) => format!("at least {least}"),
                (None, most) => format!("at most {}", most.unwrap_or(0)),
            };
            found.problem(path, format!("expected {expected} elements, found {length}"));
        }
        let mut heads = alternatives(schema, "prefixItems");
        for (index, element) in list.iter().enumerate() {
            if let Some(schema) = heads.next().or(schema.get("items")) {
                path.push(index.to_string());
                self.visit(element, schema, path, found);
                path.pop();
            }
        }
    }

    fn table(
        &self,
        table: &Map<String, Value>,
        schema: &'a Map<String, Value>,
        path: &mut KeyPath,
        found: &mut Findings,
    ) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let known = || properties.into_iter().flatten().map(|(key, _)| key.as_str());
        for (key, value) in table {
            path.push(key.clone());
            match (properties.and_then(|all| all.get(key)), schema.get("additionalProperties")) {
                (Some(schema), _) => self.visit(value, schema, path, found),
                (None, Some(Value::Bool(false))) => {
                    let way_out = suggestion(key, known());
                    found.problem(path, format!("unknown key; {way_out}"));
                }
                (None, Some(schema)) => self.visit(value, schema, path, found),
                (None, None) => {}
            }
            path.pop();
        }
        for key in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if let Some(key) = key.as_str().filter(|key| !table.contains_key(*key)) {
                let about =
                    properties.and_then(|all| all.get(key)).and_then(|schema| schema["description"].as_str());
                let about = about.map(|text| format!(" ({})", text.replace('\n', " "))).unwrap_or_default();
                found.problem(path, format!("the key `{key}` is missing{about}"));
            }
        }
    }

    /// One of several schemas must hold: the one whose constant key (`kind`) agrees, else the first that does.
    fn choose(&self, value: &Value, choices: &[&'a Value], path: &mut KeyPath, found: &mut Findings) {
        let choices: Vec<&'a Value> = choices.iter().map(|choice| self.follow(choice)).collect();
        if let (Value::Object(table), Some(tag)) = (value, tag(&choices)) {
            return self.choose_by_tag(tag, table, &choices, path, found);
        }
        let mut trials: Vec<Findings> = Vec::new();
        for choice in &choices {
            let mut trial = Findings::default();
            self.visit(value, choice, path, &mut trial);
            trials.push(trial);
        }
        trials.sort_by_key(|trial| !trial.problems.is_empty());
        // A word such as "synthetic" beside a path: the word is meant.
        let valid = trials.iter().take_while(|trial| trial.problems.is_empty());
        if let Some(best) = valid.min_by_key(|trial| trial.paths.len()) {
            return found.paths.extend(best.paths.iter().cloned());
        }
        // A choice that objects further down agreed so far: its objection is the useful one.
        let deeper = |trial: &&Findings| trial.problems.iter().all(|problem| problem.path.len() > path.len());
        if let Some(best) = trials.iter().find(deeper) {
            return found.problems.extend(best.problems.iter().cloned());
        }
        let words: Option<Vec<&Value>> = choices
            .iter()
            .map(|choice| constants(choice.as_object()?))
            .collect::<Option<Vec<_>>>()
            .map(|all| all.concat());
        match words.filter(|_| value.is_string()) {
            Some(words) => found.problem(path, not_among(value, &words)),
            None => {
                let expected: Vec<_> = choices.iter().map(|choice| described(choice)).collect();
                found.problem(path, format!("expected {}, found {}", expected.join(" or "), name(value)));
            }
        }
    }

    fn choose_by_tag(
        &self,
        tag: &str,
        table: &Map<String, Value>,
        choices: &[&'a Value],
        path: &mut KeyPath,
        found: &mut Findings,
    ) {
        let property = |choice: &'a Value, keyword: &str| choice["properties"][tag].get(keyword);
        let matching = choices.iter().find(|choice| match table.get(tag) {
            Some(given) => property(choice, "const") == Some(given),
            None => property(choice, "default").is_some(),
        });
        if let Some(choice) = matching {
            return self.visit(&Value::Object(table.clone()), choice, path, found);
        }
        let words: Vec<&Value> = choices.iter().filter_map(|choice| property(choice, "const")).collect();
        let Some(given) = table.get(tag) else {
            let known: Vec<_> = words.iter().map(|word| literal(word)).collect();
            return found
                .problem(path, format!("the key `{tag}` is missing; known are {}", known.join(", ")));
        };
        path.push(tag.into());
        found.problem(path, not_among(given, &words));
        path.pop();
    }

    fn follow(&self, schema: &'a Value) -> &'a Value {
        match schema.get("$ref") {
            Some(target) if schema.as_object().is_some_and(only_refers) => self.resolve(target),
            _ => schema,
        }
    }

    fn resolve(&self, target: &Value) -> &'a Value {
        let pointer = target.as_str().and_then(|target| target.strip_prefix('#'));
        pointer.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(&Value::Bool(true))
    }
}

impl Findings {
    fn problem(&mut self, path: &[String], message: impl Into<String>) {
        self.problems.push(Problem { path: path.to_vec(), message: message.into() });
    }
}

fn alternatives<'a>(
    schema: &'a Map<String, Value>,
    keyword: &str,
) -> impl Iterator<Item = &'a Value> + use<'a> {
    schema.get(keyword).and_then(Value::as_array).into_iter().flatten()
}

fn only_refers(schema: &Map<String, Value>) -> bool {
    schema.keys().all(|key| key == "$ref" || key == "description")
}

/// The key by whose constant all of the choices can be told apart.
fn tag<'a>(choices: &[&'a Value]) -> Option<&'a str> {
    let properties = choices.first()?["properties"].as_object()?;
    let constant = |choice: &Value, key: &str| choice["properties"][key].get("const").is_some();
    properties.keys().map(String::as_str).find(|key| choices.iter().all(|choice| constant(choice, key)))
}

fn constants(schema: &Map<String, Value>) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(word), _) => Some(vec![word]),
        (None, Some(Value::Array(words))) => Some(words.iter().collect()),
        _ => None,
    }
}

fn not_among(value: &Value, words: &[&Value]) -> String {
    match value.as_str() {
        Some(typed) => {
            let known: Vec<&str> = words.iter().filter_map(|word| word.as_str()).collect();
            format!("`{typed}` is not known here; {}", suggestion(typed, known.into_iter()))
        }
        None => {
            let known: Vec<_> = words.iter().map(|word| literal(word)).collect();
            format!("expected {}, found {}", known.join(" or "), name(value))
        }
    }
}

/// What the schema's `type` expects, if the value is not of it.
fn mismatch(value: &Value, schema: &Map<String, Value>) -> Option<String> {
    let types = types(schema);
    let fits = |wanted: &&str| match *wanted {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    (!types.is_empty() && !types.iter().any(fits)).then(|| expected(&types, schema))
}

fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn expected(types: &[&str], schema: &Map<String, Value>) -> String {
    let path = schema.get("format").is_some_and(|format| format == "path" || format == "plugin");
    let words = types.iter().filter(|word| **word != "null").map(|word| match *word {
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" if path => "a path",
        "string" => "a text",
        "array" => "a list",
        "object" => "a table",
        other => other,
    });
    words.collect::<Vec<_>>().join(" or ")
}

fn described(schema: &Value) -> String {
    let Some(schema) = schema.as_object() else { return "anything".into() };
    match constants(schema) {
        Some(words) => words.iter().map(|word| literal(word)).collect::<Vec<_>>().join(" or "),
        None => match types(schema) {
            none if none.is_empty() => {
                schema.get("title").and_then(Value::as_str).unwrap_or("another form").into()
            }
            types => expected(&types, schema),
        },
    }
}

fn literal(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| format!("`{text}`"))
}

fn name(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {text:?}"),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a table".into(),
    }
}

fn out_of_range(number: f64, schema: &Map<String, Value>) -> Option<String> {
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let checks = [
        (bound("minimum").filter(|least| number < *least), "at least"),
        (bound("maximum").filter(|most| number > *most), "at most"),
        (bound("exclusiveMinimum").filter(|least| number <= *least), "above"),
        (bound("exclusiveMaximum").filter(|most| number >= *most), "below"),
    ];
    checks.into_iter().find_map(|(bound, word)| bound.map(|bound| format!("{word} {bound}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::dotted;

    /// The complaints about `document`, as `key: message` lines.
    fn complaints(document: Value, schema: &Value) -> Vec<String> {
        let problems = check(&document, schema).problems;
        problems
            .into_iter()
            .map(|problem| format!("{}: {}", dotted(&problem.path), problem.message))
            .collect()
    }

    fn schema() -> Value {
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "rounds": { "type": "integer", "minimum": 1 },
                "rate": { "type": ["number", "null"], "exclusiveMaximum": 1.0 },
                "catalogue": { "anyOf": [{ "const": "synthetic" }, { "type": "string", "format": "path" }] },
                "device": { "oneOf": [{ "const": "auto" }, { "const": "cpu" }] },
                "layers": { "type": "array", "items": { "$ref": "#/$defs/Layer" } },
            },
            "required": ["rounds"],
            "$defs": { "Layer": { "type": "object", "properties": { "width": { "type": "integer" } } } },
        })
    }

    #[test]
    fn complaints_name_key_expectation_and_nearest_word() {
        let schema = schema();
        assert!(complaints(json!({ "rounds": 2, "rate": 0, "device": "cpu" }), &schema).is_empty());
        for (document, complaint) in [
            (json!({}), ": the key `rounds` is missing"),
            (json!({ "rounds": 2.5 }), "rounds: expected a whole number, found the number 2.5"),
            (json!({ "rounds": 0 }), "rounds: 0 is out of range: it must be at least 1"),
            (json!({ "rounds": 1, "rate": 1.0 }), "rate: 1.0 is out of range: it must be below 1"),
            (json!({ "rounds": 1, "rtae": 1 }), "rtae: unknown key; the nearest is `rate`"),
            (
                json!({ "rounds": 1, "device": "gpu" }),
                "device: `gpu` is not known here; the nearest is `cpu`",
            ),
            (json!({ "rounds": 1, "device": 3 }), "device: expected `auto` or `cpu`, found the number 3"),
            (
                json!({ "rounds": 1, "catalogue": 3 }),
                "catalogue: expected `synthetic` or a path, found the number 3",
            ),
            (
                json!({ "rounds": 1, "layers": [{ "width": "x" }] }),
                "layers.0.width: expected a whole number, found the text \"x\"",
            ),
        ] {
            assert_eq!(complaints(document, &schema), [complaint]);
        }
    }

    #[test]
    fn a_schema_that_never_ends_is_a_complaint() {
        for endless in [
            json!({ "$ref": "#" }),
            json!({ "allOf": [{ "$ref": "#" }, { "$ref": "#" }] }),
            json!({ "oneOf": [{ "$ref": "#", "title": "a" }, { "$ref": "#", "title": "b" }] }),
        ] {
            assert!(!complaints(json!({ "rounds": 1 }), &endless).is_empty(), "{endless}");
        }
        let message = &complaints(json!({}), &json!({ "$ref": "#" }))[0];
        assert!(message.contains("its schema never ends"), "{message}");
    }

    #[test]
    fn a_known_word_is_not_a_path() {
        let paths = |catalogue: &str| check(&json!({ "rounds": 1, "catalogue": catalogue }), &schema()).paths;
        assert!(paths("synthetic").is_empty());
        assert_eq!(paths("goods.json"), [vec!["catalogue".to_string()]]);
    }
}
