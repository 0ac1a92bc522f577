//! Checks a document against a JSON Schema: `jsonschema` decides, and this file words the errors.
//!
//! A general validator says that none of twelve alternatives matched. The words here follow the key (`kind`) by which
//! the alternatives differ, and name the nearest known key.

use std::panic::{AssertUnwindSafe, catch_unwind};

use forethought_plugin_host::settings::is_name;
use jsonschema::{ValidationError, error::ValidationErrorKind as Kind};
use serde_json::{Map, Value};

use super::{inline, origin::KeyPath};
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
    /// Keys whose values are paths; empty for an invalid document.
    pub paths: Vec<KeyPath>,
    /// Those of them that name what is written or secret (`"writeOnly": true`): their contents decide no answer.
    pub unread: Vec<KeyPath>,
    /// Keys whose values are commands.
    pub commands: Vec<KeyPath>,
}

/// Checks `document` against `schema`, whose `$ref`s must point into itself: nothing is fetched.
pub fn check(document: &Value, schema: &Value) -> Findings {
    check_part(document, schema, &[], &[])
}

/// Checks the part of a document at `place`; `others` are keys that are allowed there besides those of the schema.
pub(super) fn check_part(part: &Value, schema: &Value, place: &[String], others: &[&str]) -> Findings {
    let wording = Wording { root: schema, place, others };
    // `jsonschema` panics on some uses of `$id` and anchors.
    let judged = catch_unwind(AssertUnwindSafe(|| wording.judge(part)))
        .unwrap_or_else(|_| Err("is not valid: its schema cannot be used".into()));
    judged.unwrap_or_else(|why| {
        let message =
            format!("cannot be validated: its JSON Schema {why} (a bug in the plugin that provides it)");
        Findings { problems: vec![Problem { path: place.to_vec(), message }], ..Findings::default() }
    })
}

/// Whether every part of a schema applies a bounded number of schemas to one value. `jsonschema` accepts a circle, and
/// takes exponential time if each definition refers to the next one twice.
fn ends(root: &Value, part: &Value) -> bool {
    fn steps(root: &Value, schema: &Value, level: u32, left: &mut u32) -> bool {
        let Some(table) = schema.as_object() else { return true };
        if level == 128 || *left == 0 {
            return false;
        }
        *left -= 1;
        let target = table.get("$ref").and_then(|target| resolve(root, target));
        let same = ["not", "if", "then", "else"].iter().filter_map(|keyword| table.get(*keyword));
        let lists = ["allOf", "anyOf", "oneOf"].iter().flat_map(|keyword| list(schema, keyword));
        let dependent = schema["dependentSchemas"].as_object().into_iter().flat_map(Map::values);
        target
            .into_iter()
            .chain(same)
            .chain(lists)
            .chain(dependent)
            .all(|schema| steps(root, schema, level + 1, left))
    }
    steps(root, part, 0, &mut 10_000)
        && match part {
            Value::Object(table) => table.values().all(|part| ends(root, part)),
            Value::Array(list) => list.iter().all(|part| ends(root, part)),
            _ => true,
        }
}

/// Words what is wrong with the part of a document at `place`.
struct Wording<'a> {
    root: &'a Value,
    place: &'a [String],
    others: &'a [&'a str],
}

impl<'a> Wording<'a> {
    fn judge(&self, part: &Value) -> Result<Findings, String> {
        if !ends(self.root, self.root) {
            return Err("recurses without end".into());
        }
        // Older drafts ignore formats that they do not know.
        let options = ["path", "plugin", "command"]
            .iter()
            .fold(jsonschema::options(), |options, format| options.with_format(*format, |_| true));
        let validator = options.offline().build(self.root).map_err(|error| {
            let place = error.instance_path().as_str();
            let place = if place.is_empty() { String::new() } else { format!(" at `{place}`") };
            format!("is not valid{place}: {}", cut(&error.to_string()))
        })?;
        let evaluation = validator.evaluate(part);
        if evaluation.is_valid() {
            let output = serde_json::to_value(evaluation.list()).map_err(|error| error.to_string())?;
            return Ok(self.read(part, list(&output, "details")));
        }
        let problems: Vec<_> = validator.iter_errors(part).flat_map(|error| self.word(&error)).collect();
        if problems.is_empty() {
            Err("refuses it without a reason".into())
        } else {
            Ok(Findings { problems, ..Findings::default() })
        }
    }

    /// What the evaluation of a valid part shows, by its units: paths, and fractions where whole numbers are expected.
    fn read<'b>(&self, part: &'b Value, units: impl Iterator<Item = &'b Value> + Clone) -> Findings {
        // The values that a keyword judged, each with what the schema says there.
        let of = |keyword: &'static str| {
            units.clone().filter_map(move |unit| {
                let place = unit["instanceLocation"].as_str()?;
                let pointer = unit["schemaLocation"].as_str()?.rsplit('#').next()?;
                let said = unit.get("annotations").or_else(|| self.root.pointer(pointer))?;
                let judged = unit["evaluationPath"].as_str()?.ends_with(keyword);
                judged.then_some((place, part.pointer(place)?, said))
            })
        };
        let is_word = |place: &str, text: &Value| {
            of("/const").chain(of("/enum")).any(|(at, _, said)| {
                at == place && (said == text || said.as_array().is_some_and(|words| words.contains(text)))
            })
        };
        // A text that is also among the known words, such as "synthetic", is not a path.
        let is_path = |(place, value, format): &(&str, &Value, &Value)| {
            value.as_str().is_some_and(|text| *format == "path" || *format == "plugin" && !is_name(text))
                && !is_word(place, value)
        };
        // JSON Schema accepts 2.0 as a whole number; the components that read it do not.
        let whole = |(_, value, types): &(&str, &Value, &Value)| {
            value.is_f64() && words(types).contains(&"integer") && !words(types).contains(&"number")
        };
        let problem = |(place, value, _)| Problem {
            path: self.path(place),
            message: format!("expected a whole number, found {}", name(value)),
        };
        let unread = units.clone().filter_map(|unit| {
            let schema = unit["schemaLocation"].as_str()?.rsplit('#').next()?.strip_suffix("/format")?;
            let written = self.root.pointer(schema)?.get("writeOnly")? == true;
            written.then_some(self.path(unit["instanceLocation"].as_str()?))
        });
        // Each word of a command has the format, and the one word that names code in Python.
        let command = |(place, _, format): (&str, &Value, &Value)| {
            if *format == "python" {
                return Some(self.path(place));
            }
            let (command, word) = place.rsplit_once('/')?;
            (*format == "command" && word == "0").then(|| self.path(command))
        };
        Findings {
            commands: of("/format").filter_map(command).collect(),
            problems: of("/type").filter(whole).map(problem).collect(),
            paths: of("/format").filter(is_path).map(|(place, ..)| self.path(place)).collect(),
            unread: unread.collect(),
        }
    }

    fn path(&self, pointer: &str) -> KeyPath {
        let keys = pointer.split('/').skip(1).map(|key| key.replace("~1", "/").replace("~0", "~"));
        self.place.iter().cloned().chain(keys).collect()
    }

    fn word(&self, error: &ValidationError) -> Vec<Problem> {
        let mut path = self.path(error.instance_path().as_str());
        let value: &Value = error.instance();
        // The schema with the keyword that fails.
        let (parent, _) = error.schema_path().as_str().rsplit_once('/').unwrap_or_default();
        let schema = self.root.pointer(parent).unwrap_or(&Value::Null);
        let message = match error.kind() {
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
                return self.choose(error, context, path);
            }
            Kind::AdditionalProperties { unexpected } => return self.unknown(unexpected, schema, 0, &path),
            Kind::UnevaluatedProperties { unexpected } => return self.unknown(unexpected, schema, 8, &path),
            Kind::Type { .. } => {
                format!("expected {}, found {}", expected(schema), name(value))
            }
            Kind::Enum { .. } | Kind::Constant { .. } => {
                not_among(value, &constants(schema).unwrap_or_default())
            }
            Kind::Minimum { limit } => out_of_range(value, "at least", limit),
            Kind::Maximum { limit } => out_of_range(value, "at most", limit),
            Kind::ExclusiveMinimum { limit } => out_of_range(value, "above", limit),
            Kind::ExclusiveMaximum { limit } => out_of_range(value, "below", limit),
            Kind::MultipleOf { multiple_of } => format!("{value} must be a multiple of {multiple_of}"),
            Kind::MinLength { limit } => format!("{} must have at least {limit} characters", name(value)),
            Kind::MaxLength { limit } => format!("{} must have at most {limit} characters", name(value)),
            Kind::Pattern { pattern } => format!("{} does not match the pattern `{pattern}`", name(value)),
            Kind::MinItems { .. } | Kind::MaxItems { .. } => {
                format!("expected {} elements, found {}", range(schema, "Items"), size(value))
            }
            Kind::MinProperties { .. } | Kind::MaxProperties { .. } => {
                format!("expected {} keys, found {}", range(schema, "Properties"), size(value))
            }
            Kind::UniqueItems => format!("the elements must differ, found {}", literal(value)),
            Kind::Contains => {
                let (range, form) = (range(schema, "Contains"), form(&schema["contains"]));
                format!("expected {range} elements of the form {form}, found {}", literal(value))
            }
            Kind::Required { property } => missing(property.as_str().unwrap_or_default(), value, schema),
            Kind::PropertyNames { error } => {
                path.push(error.instance().as_str().unwrap_or_default().into());
                let why: Vec<_> = self.word(error).into_iter().map(|problem| problem.message).collect();
                format!("this key is not allowed: {}", why.join("; "))
            }
            Kind::Not { schema } => {
                format!("{} is not allowed: it must not be {}", literal(value), form(schema))
            }
            Kind::FalseSchema => format!("no value is allowed here, found {}", name(value)),
            Kind::OneOfMultipleValid { .. } => {
                let forms: Vec<_> = list(schema, "oneOf").map(|choice| form(self.follow(choice))).collect();
                format!("{} must fit only one of {}", literal(value), forms.join(", "))
            }
            _ => cut(&error.to_string()),
        };
        vec![Problem { path, message }]
    }

    fn unknown(
        &self,
        unexpected: &[String],
        schema: &'a Value,
        depth: u32,
        table: &[String],
    ) -> Vec<Problem> {
        let mut known = if table.len() == self.place.len() { self.others.to_vec() } else { Vec::new() };
        self.properties(schema, depth, &mut known);
        let problem = |key: &String| {
            let message = format!("unknown key; {}", suggestion(key, known.iter().copied()));
            Problem { path: [table, std::slice::from_ref(key)].concat(), message }
        };
        unexpected.iter().map(problem).collect()
    }

    /// None of several schemas fits. The errors are those of the schema whose constant key (`kind`) agrees, else of the
    /// first that agrees on this level.
    fn choose(
        &self,
        error: &ValidationError,
        trials: &[Vec<ValidationError>],
        mut path: KeyPath,
    ) -> Vec<Problem> {
        let choices = self.root.pointer(error.schema_path().as_str()).and_then(Value::as_array);
        let choices: Vec<&Value> = choices.into_iter().flatten().map(|choice| self.follow(choice)).collect();
        let mut trials = trials.iter().map(|trial| trial.iter().flat_map(|error| self.word(error)).collect());
        let value: &Value = error.instance();
        let message = if let (Value::Object(table), Some(tag)) = (value, tag(&choices)) {
            let property = |choice: &'a Value, keyword: &str| choice["properties"][tag].get(keyword);
            let given = table.get(tag);
            let fits = |choice: &&'a Value| match given {
                Some(given) => property(choice, "const") == Some(given),
                None => property(choice, "default").is_some(),
            };
            if let Some(trial) = choices.iter().position(fits).and_then(|index| trials.nth(index)) {
                return trial;
            }
            let known: Vec<&Value> = choices.iter().filter_map(|choice| property(choice, "const")).collect();
            match given {
                Some(given) => {
                    path.push(tag.into());
                    not_among(given, &known)
                }
                None => format!("the key `{tag}` is missing; known are {}", literals(&known, ", ")),
            }
        } else {
            let deeper = |trial: &Vec<Problem>| trial.iter().all(|problem| problem.path.len() > path.len());
            if let Some(trial) = trials.find(deeper) {
                return trial;
            }
            let words: Option<Vec<_>> = choices.iter().map(|choice| constants(choice)).collect();
            match words.filter(|_| value.is_string()) {
                Some(words) => not_among(value, &words.concat()),
                None => {
                    let mut expected: Vec<_> = choices.iter().map(|choice| described(choice)).collect();
                    expected.dedup();
                    format!("expected {}, found {}", expected.join(" or "), name(value))
                }
            }
        };
        vec![Problem { path, message }]
    }

    fn follow(&self, schema: &'a Value) -> &'a Value {
        let only_refers =
            |table: &Map<String, Value>| table.keys().all(|key| key == "$ref" || key == "description");
        match schema.as_object().filter(|table| only_refers(table)).and_then(|table| table.get("$ref")) {
            Some(target) => resolve(self.root, target).unwrap_or(schema),
            None => schema,
        }
    }

    /// The keys that `schema` names, also in schemas up to `depth` steps away that apply to the same table.
    fn properties(&self, schema: &'a Value, depth: u32, known: &mut Vec<&'a str>) {
        known.extend(schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()));
        if depth > 0 {
            let target = schema.get("$ref").and_then(|target| resolve(self.root, target));
            let parts = ["allOf", "anyOf", "oneOf"].iter().flat_map(|keyword| list(schema, keyword));
            target.into_iter().chain(parts).for_each(|schema| self.properties(schema, depth - 1, known));
        }
    }
}

fn resolve<'a>(root: &'a Value, target: &Value) -> Option<&'a Value> {
    root.pointer(target.as_str()?.strip_prefix('#')?)
}

fn list<'a>(schema: &'a Value, keyword: &str) -> impl Iterator<Item = &'a Value> + Clone + use<'a> {
    schema.get(keyword).and_then(Value::as_array).into_iter().flatten()
}

/// One word or several, as `type` names them.
fn words(value: &Value) -> Vec<&str> {
    let all = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    all.iter().filter_map(Value::as_str).collect()
}

/// The key by whose constant all of the choices differ.
fn tag<'a>(choices: &[&'a Value]) -> Option<&'a str> {
    let properties = choices.first()?["properties"].as_object()?;
    let constant = |choice: &Value, key: &str| choice["properties"][key].get("const").is_some();
    properties.keys().map(String::as_str).find(|key| choices.iter().all(|choice| constant(choice, key)))
}

fn constants(schema: &Value) -> Option<Vec<&Value>> {
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
        None => format!("expected {}, found {}", literals(words, " or "), name(value)),
    }
}

fn missing(key: &str, table: &Value, schema: &Value) -> String {
    let property = &schema["properties"][key];
    let about = property["description"].as_str().map(|text| format!(" ({})", text.replace('\n', " ")));
    let known = constants(property).map(|words| format!("; known are {}", literals(&words, ", ")));
    let dependent = schema["dependentRequired"].as_object().into_iter().flatten();
    let needs = |(by, needed): &(&String, &Value)| table.get(by).is_some() && words(needed).contains(&key);
    let by = dependent.filter(needs).map(|(by, _)| format!("; `{by}` needs it")).next();
    let more: String = [about, known, by].into_iter().flatten().collect();
    format!("the key `{key}` is missing{more}")
}

/// What the schema's `type` expects.
fn expected(schema: &Value) -> String {
    let path = ["path", "plugin"].iter().any(|format| schema["format"] == *format);
    let types = words(&schema["type"]);
    let words = types.iter().filter(|word| **word != "null").map(|word| match *word {
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" if path => "a path",
        "string" if inline::named(schema).is_some() => "a name, or a table with the key `kind`",
        "string" => "a text",
        "array" => "a list",
        "object" => "a table",
        other => other,
    });
    words.collect::<Vec<_>>().join(" or ")
}

/// A choice, by the values or the types that it takes.
fn described(schema: &Value) -> String {
    match constants(schema) {
        Some(words) => literals(&words, " or "),
        None if !schema["type"].is_null() => expected(schema),
        None => schema["title"].as_str().unwrap_or("another form").into(),
    }
}

/// A schema that is only named in a sentence, exactly.
fn form(schema: &Value) -> String {
    match (schema["title"].as_str(), constants(schema)) {
        (Some(title), _) => title.into(),
        (None, Some(words)) => literals(&words, " or "),
        (None, None) => format!("`{}`", literal(schema)),
    }
}

/// How many elements or keys are allowed, by the keywords `min..` and `max..`.
fn range(schema: &Value, of: &str) -> String {
    let bound = |end: &str| schema.get(format!("{end}{of}")).and_then(Value::as_u64);
    match (bound("min"), bound("max")) {
        (Some(least), Some(most)) if least == most => format!("{least}"),
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (None, Some(most)) => format!("at most {most}"),
        (least, None) => format!("at least {}", least.unwrap_or(1)),
    }
}

fn size(value: &Value) -> usize {
    value.as_array().map(Vec::len).or(value.as_object().map(Map::len)).unwrap_or(0)
}

fn out_of_range(value: &Value, word: &str, limit: &Value) -> String {
    // 1.0 and 1 are the same bound.
    let limit = limit.as_f64().map_or_else(|| limit.to_string(), |limit| limit.to_string());
    format!("{value} is out of range: it must be {word} {limit}")
}

fn literal(value: &Value) -> String {
    cut(&value.as_str().map_or_else(|| value.to_string(), |text| format!("`{text}`")))
}

fn literals(values: &[&Value], between: &str) -> String {
    values.iter().map(|value| literal(value)).collect::<Vec<_>>().join(between)
}

fn name(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => cut(&format!("the text {text:?}")),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a table".into(),
    }
}

/// The beginning of a long text.
fn cut(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::dotted;

    /// The complaints about `document`, as `key: message` lines.
    fn complaints(document: &Value, schema: &Value) -> Vec<String> {
        let problems = check(document, schema).problems;
        let line = |problem: Problem| format!("{}: {}", dotted(&problem.path), problem.message);
        problems.into_iter().map(line).collect()
    }

    fn schema() -> Value {
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "rounds": { "type": "integer", "minimum": 1 },
                "rate": { "type": ["number", "null"], "exclusiveMaximum": 1.0 },
                "catalogue": { "anyOf": [{ "$ref": "#/$defs/Known" }, { "$ref": "#/$defs/File" }] },
                "device": { "oneOf": [{ "const": "auto" }, { "const": "cpu" }] },
                "layers": { "type": "array", "items": { "$ref": "#/$defs/Layer" } },
            },
            "required": ["rounds"],
            "$defs": {
                "Layer": { "type": "object", "properties": { "width": { "type": "integer" } } },
                "Known": { "const": "synthetic" },
                "File": { "type": "string", "format": "path" },
            },
        })
    }

    #[test]
    fn complaints_name_key_expectation_and_nearest_word() {
        let schema = schema();
        assert!(complaints(&json!({ "rounds": 2, "rate": 0, "device": "cpu" }), &schema).is_empty());
        for (document, complaint) in [
            (json!({}), ": the key `rounds` is missing"),
            (json!({ "rounds": 2.5 }), "rounds: expected a whole number, found the number 2.5"),
            (json!({ "rounds": 2.0 }), "rounds: expected a whole number, found the number 2.0"),
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
            assert_eq!(complaints(&document, &schema), [complaint]);
        }
    }

    /// What a plugin may write in its schema and schemars does not: schema, good value, bad value, complaint.
    const KEYWORDS: &str = r#"
{"pattern": "^[a-z]+$"} | "abc" | "A1" | x: the text "A1" does not match the pattern `^[a-z]+$`
{"minLength": 2} | "ab" | "a" | x: the text "a" must have at least 2 characters
{"maxLength": 2} | "äö" | "abc" | x: the text "abc" must have at most 2 characters
{"multipleOf": 8} | 64 | 60 | x: 60 must be a multiple of 8
{"enum": [1, "auto"]} | 1 | 2 | x: expected 1 or `auto`, found the number 2
{"uniqueItems": true} | [1, 2] | [1, 2, 1] | x: the elements must differ, found [1,2,1]
{"maxItems": 1} | [1] | [1, 2] | x: expected at most 1 elements, found 2
{"minItems": 2, "maxItems": 2} | [1, 2] | [1] | x: expected 2 elements, found 1
{"items": {"type": "integer"}} | [1] | [1.0] | x.0: expected a whole number, found the number 1.0
{"prefixItems": [{}], "items": false} | ["a"] | ["a", 1] | x.1: no value is allowed here, found the number 1
{"contains": {"const": "a"}} | ["a"] | ["b"] | x: expected at least 1 elements of the form `a`, found ["b"]
{"contains": {"minimum": 5}, "maxContains": 1} | [5, 1] | [5, 6] | x: expected at most 1 elements of the form `{"minimum":5}`, found [5,6]
{"minProperties": 1} | {"a": 1} | {} | x: expected at least 1 keys, found 0
{"maxProperties": 1} | {"a": 1} | {"a": 1, "b": 2} | x: expected at most 1 keys, found 2
{"not": {"const": "root"}} | "me" | "root" | x: `root` is not allowed: it must not be `root`
{"if": {"required": ["a"]}, "then": {"required": ["b"]}} | {"a": 1, "b": 1} | {"a": 1} | x: the key `b` is missing
{"if": {"const": 1}, "else": {"minimum": 5}} | 1 | 2 | x: 2 is out of range: it must be at least 5
{"dependentRequired": {"a": ["b"]}} | {"b": 1} | {"a": 1} | x: the key `b` is missing; `a` needs it
{"dependentSchemas": {"a": {"maxProperties": 1}}} | {"a": 1} | {"a": 1, "b": 2} | x: expected at most 1 keys, found 2
{"propertyNames": {"pattern": "^[a-z]$"}} | {"a": 1} | {"A": 1} | x.A: this key is not allowed: the text "A" does not match the pattern `^[a-z]$`
{"patternProperties": {"^n_": {"type": "integer"}}} | {"m": "a"} | {"n_a": "a"} | x.n_a: expected a whole number, found the text "a"
{"allOf": [{"properties": {"rate": {}}}], "unevaluatedProperties": false} | {"rate": 1} | {"rtae": 1} | x.rtae: unknown key; the nearest is `rate`
{"oneOf": [{"title": "a small one", "maximum": 5}, {"title": "an even one", "multipleOf": 2}]} | 3 | 4 | x: 4 must fit only one of a small one, an even one
"#;

    #[test]
    fn every_keyword_is_enforced() {
        for line in KEYWORDS.trim().lines() {
            let [schema, good, bad, complaint] = line.split(" | ").collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let json = |text: &str| serde_json::from_str::<Value>(text).expect(line);
            let whole = json!({ "properties": { "x": json(schema) } });
            assert_eq!(complaints(&json!({ "x": json(good) }), &whole), [""; 0], "{line}");
            assert_eq!(complaints(&json!({ "x": json(bad) }), &whole), [complaint], "{line}");
        }
    }

    #[test]
    fn the_kind_decides_whose_complaint_is_shown() {
        let kind = |kind: &str, key: &str| {
            json!({ "type": "object", "properties": { "kind": { "const": kind }, key: { "type": "integer" } }, "required": ["kind"],
                "additionalProperties": false })
        };
        let whole = json!({ "properties": { "x": { "oneOf": [kind("disk", "size"), { "$ref": "#/$defs/net" }] } },
            "$defs": { "net": kind("net", "port") } });
        for (x, complaint) in [
            (json!({ "kind": "net", "prot": 1 }), "x.prot: unknown key; the nearest is `port`"),
            (json!({ "kind": "net", "port": "a" }), "x.port: expected a whole number, found the text \"a\""),
            (json!({ "kind": "dsik" }), "x.kind: `dsik` is not known here; the nearest is `disk`"),
            (json!({ "size": 1 }), "x: the key `kind` is missing; known are `disk`, `net`"),
            (json!(1), "x: expected a table, found the number 1"),
        ] {
            assert_eq!(complaints(&json!({ "x": x }), &whole), [complaint]);
        }
    }

    #[test]
    fn a_schema_that_cannot_judge_is_a_complaint() {
        let twice = |next: String| json!({ "allOf": [{ "$ref": next }, { "$ref": next }] });
        let mut doubling: Map<String, Value> =
            (0..40).map(|level| (level.to_string(), twice(format!("#/$defs/{}", level + 1)))).collect();
        doubling.insert("40".into(), json!({}));
        for (schema, why) in [
            (json!({ "$ref": "#" }), "recurses without end"),
            (json!({ "allOf": [{ "$ref": "#" }, { "$ref": "#" }] }), "recurses without end"),
            (json!({ "oneOf": [{ "$ref": "#", "title": "a" }, { "title": "b" }] }), "recurses without end"),
            (
                json!({ "properties": { "rounds": { "not": { "$ref": "#/properties/rounds" } } } }),
                "recurses without end",
            ),
            (json!({ "$ref": "#/$defs/0", "$defs": doubling }), "recurses without end"),
            (json!({ "$ref": "https://example.com/schema.json" }), "is not valid: "),
            (json!({ "$ref": "file:///etc/hostname" }), "is not valid: "),
            (json!({ "$ref": "#/$defs/none" }), "is not valid: "),
            (
                json!({ "properties": {
                    "a": { "$id": "a.json", "$anchor": "x" }, "b": { "$id": "a.json", "$ref": "#x" },
                } }),
                "is not valid: ",
            ),
            (
                json!({ "properties": { "rounds": { "type": "whole" } } }),
                "is not valid at `/properties/rounds/type`: ",
            ),
            (
                json!({ "properties": { "rounds": { "pattern": "(" } } }),
                "is not valid at `/properties/rounds/pattern`: ",
            ),
        ] {
            let found = complaints(&json!({ "rounds": 1 }), &schema);
            let [complaint] = &found[..] else { panic!("{schema}: {found:?}") };
            assert!(
                complaint.starts_with(&format!(": cannot be validated: its JSON Schema {why}")),
                "{complaint}"
            );
            assert!(complaint.ends_with(" (a bug in the plugin that provides it)"), "{complaint}");
        }
        // A tree is no circle.
        let tree =
            json!({ "properties": { "name": { "type": "string" }, "below": { "items": { "$ref": "#" } } } });
        let found = complaints(&json!({ "below": [{ "below": [{ "name": 1 }] }] }), &tree);
        assert_eq!(found, ["below.0.below.0.name: expected a text, found the number 1"]);
    }

    #[test]
    fn a_known_word_is_not_a_path() {
        let paths = |catalogue: &str| check(&json!({ "rounds": 1, "catalogue": catalogue }), &schema()).paths;
        assert!(paths("synthetic").is_empty());
        assert_eq!(paths("goods.json"), [vec!["catalogue".to_string()]]);
    }
}
