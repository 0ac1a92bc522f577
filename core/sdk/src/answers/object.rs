//! JSON in an answer: in a fence, after words, as a tool call that was written instead of made.

use serde_json::{Map, Value};

use super::{dress, labels::line_of_action};

/// Objects that are tried, at most: an answer full of braces must not take long.
const MOST: usize = 64;
/// Where a written tool call keeps its arguments.
const ARGUMENTS: [&str; 4] = ["arguments", "parameters", "input", "args"];

/// The fields of a JSON object, whose keys are compared without case, blanks, hyphens and underscores.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// The fields of `arguments`: an object, or one written as text, once or twice.
    pub fn of(arguments: &Value) -> Option<Self> {
        match arguments {
            Value::Object(fields) => Some(Self(fields.clone())),
            Value::String(text) => Self::of(&lenient(text)?),
            _ => None,
        }
    }

    /// The value of `key`; null counts as absent.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let wanted = plain(key);
        let found = self.0.iter().find(|(name, _)| plain(name) == wanted);
        found.map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// The text of `key`; numbers and truth values are texts too.
    pub fn text(&self, key: &str) -> Option<String> {
        match self.get(key)? {
            Value::String(text) => Some(text.trim().to_owned()),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
            _ => None,
        }
    }

    /// The text of `key` as an action: without quotes around it, or a remark after it.
    pub fn action(&self, key: &str, legal: &[String]) -> Option<String> {
        Some(line_of_action(&dress::undress(&self.text(key)?), legal)).filter(|action| !action.is_empty())
    }

    /// The texts of `key`: a list, or one text.
    pub fn texts(&self, key: &str) -> Option<Vec<String>> {
        match self.get(key)? {
            Value::Array(list) => {
                list.iter().map(|one| one.as_str().map(|text| text.trim().to_owned())).collect()
            }
            _ => self.text(key).map(|text| vec![text]),
        }
    }
}

fn plain(key: &str) -> String {
    key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The first object that holds all of `keys`, or else the one that holds most of them.
pub(super) fn read(text: &str, keys: &[&str]) -> Option<Fields> {
    let mut best: Option<(usize, Fields)> = None;
    for candidate in candidates(text) {
        let Some(fields) = lenient(candidate).as_ref().and_then(arguments) else { continue };
        let held = keys.iter().filter(|key| fields.get(key).is_some()).count();
        if held > best.as_ref().map_or(0, |(most, _)| *most) {
            best = Some((held, fields));
        }
    }
    best.map(|(_, fields)| fields)
}

/// The object itself, or the arguments of the tool call that it describes.
fn arguments(value: &Value) -> Option<Fields> {
    let fields = Fields::of(value)?;
    let named = ["name", "tool", "function", "type"].iter().any(|key| fields.get(key).is_some());
    let inner = named.then(|| ARGUMENTS.iter().find_map(|key| fields.get(key))).flatten();
    // `{"function": {"name": ..., "arguments": ...}}` nests once more.
    match (inner, fields.get("function")) {
        (Some(inner), _) => Fields::of(inner),
        (None, Some(function @ Value::Object(_))) => arguments(function),
        _ => Some(fields),
    }
}

/// Outermost `{...}` of a text, in order.
fn candidates(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut depth, mut start, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            // Quotes outside of objects are prose.
            b'"' if depth > 0 => quoted = !quoted,
            b'{' if !quoted => {
                if depth == 0 {
                    start = at;
                }
                depth += 1;
            }
            b'}' if !quoted && depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    found.push(&text[start..=at]);
                    if found.len() == MOST {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// JSON, with commas before closing brackets and line ends within texts forgiven.
fn lenient(text: &str) -> Option<Value> {
    let text = text.trim();
    serde_json::from_str(text).ok().or_else(|| serde_json::from_str(&repaired(text)).ok())
}

fn repaired(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '\n' if quoted => {
                out.push_str("\\n");
                continue;
            }
            '\r' | '\t' if quoted => {
                out.push(' ');
                continue;
            }
            '}' | ']' if !quoted => {
                let kept = out.trim_end().len();
                if out[..kept].ends_with(',') {
                    out.truncate(kept - 1);
                }
            }
            _ => {}
        }
        out.push(c);
    }
    out
}
