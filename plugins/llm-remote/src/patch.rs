//! Changes members of a JSON object in its text, and leaves every other byte as it is.

use std::collections::BTreeMap;

use forethought_sdk::{
    prelude::*,
    serde::de::{DeserializeOwned, IgnoredAny},
    serde_json::{self, Deserializer, Map, Value},
};

/// What changes, by the member's name.
#[derive(Debug, Default)]
pub(crate) struct Changes(BTreeMap<String, Change>);

#[derive(Debug)]
enum Change {
    Set(Value),
    Remove,
    /// Changes within an object. Where there is no object, it is the second, if any.
    Within(Changes, Option<Value>),
}

impl Changes {
    /// The model's name, then what is left out, then what is added: as in a body that is written from scratch.
    pub(crate) fn new(model: &str, omit: &[String], extra: &Map<String, Value>) -> Self {
        let mut changes = Self(BTreeMap::from([("model".into(), Change::Set(model.into()))]));
        omit.iter().for_each(|name| changes.remove(name));
        extra.iter().for_each(|(name, value)| changes.add(name, value));
        changes
    }

    fn remove(&mut self, name: &str) {
        match name.split_once('.') {
            None => drop(self.0.insert(name.into(), Change::Remove)),
            Some((outer, name)) => {
                let outer = self.0.entry(outer.into());
                if let Change::Within(inner, _) = outer.or_insert(Change::Within(Self::default(), None)) {
                    inner.remove(name);
                }
            }
        }
    }

    fn add(&mut self, name: &str, value: &Value) {
        let change = match (value, self.0.remove(name)) {
            (Value::Object(fields), earlier @ (None | Some(Change::Within(..)))) => {
                let mut inner = match earlier {
                    Some(Change::Within(inner, _)) => inner,
                    _ => Self::default(),
                };
                fields.iter().for_each(|(name, value)| inner.add(name, value));
                Change::Within(inner, Some(value.clone()))
            }
            _ => Change::Set(value.clone()),
        };
        self.0.insert(name.into(), change);
    }

    /// `text`, an object, with these changes. A name that occurs twice is changed twice: readers differ in which counts.
    ///
    /// # Errors
    /// If it is not an object.
    pub(crate) fn apply(&self, text: &str) -> Result<String> {
        let members = members(text)?;
        let mut changed = String::with_capacity(text.len() + 64);
        // Up to the first member, or to the closing brace.
        let first =
            members.first().map_or_else(|| text.rfind('}').unwrap_or_default(), |member| member.start);
        changed += &text[..first];
        let (mut before, mut empty) = (first, true);
        for Member { name, start, value, end } in &members {
            let change = self.0.get(name);
            if !matches!(change, Some(Change::Remove)) {
                if !empty {
                    changed += &text[before..*start];
                }
                empty = false;
                changed += &text[*start..*value];
                let old = &text[*value..*end];
                match change {
                    Some(Change::Set(new)) => changed += &new.to_string(),
                    Some(Change::Within(inner, _)) if old.starts_with('{') => changed += &inner.apply(old)?,
                    Some(Change::Within(_, Some(whole))) => changed += &whole.to_string(),
                    _ => changed += old,
                }
            }
            before = *end;
        }
        for (name, change) in &self.0 {
            if let Change::Set(new) | Change::Within(_, Some(new)) = change
                && members.iter().all(|member| member.name != *name)
            {
                changed += if empty { "" } else { "," };
                changed += &format!("{}:{new}", Value::from(name.as_str()));
                empty = false;
            }
        }
        changed += &text[before..];
        Ok(changed)
    }
}

/// A member of an object: its name, and where its name, its value and what follows it begin.
struct Member {
    name: String,
    start: usize,
    value: usize,
    end: usize,
}

fn members(text: &str) -> Result<Vec<Member>> {
    let wrong = |what: &str| Error::input(format!("the body of the request is not a JSON object: {what}"));
    let skip = |at: usize| {
        let rest = &text[at..];
        at + rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len()
    };
    let sign = |at: usize, sign: char| match text[at..].starts_with(sign) {
        true => Ok(skip(at + 1)),
        false => Err(wrong(&format!("`{sign}` is missing at byte {at}"))),
    };
    let mut at = sign(skip(0), '{')?;
    let mut members = Vec::new();
    while !text[at..].starts_with('}') {
        if !members.is_empty() {
            at = sign(at, ',')?;
        }
        let (name, after) = read::<String>(text, at).map_err(|error| wrong(&error.to_string()))?;
        let value = sign(skip(after), ':')?;
        let (_, end) = read::<IgnoredAny>(text, value).map_err(|error| wrong(&error.to_string()))?;
        members.push(Member { name, start: at, value, end });
        at = skip(end);
    }
    match skip(at + 1) == text.len() {
        true => Ok(members),
        false => Err(wrong("something follows it")),
    }
}

/// The value at this place, and where it ends.
fn read<T: DeserializeOwned>(text: &str, at: usize) -> serde_json::Result<(T, usize)> {
    let mut values = Deserializer::from_str(&text[at..]).into_iter();
    let value = values.next().unwrap_or_else(|| serde_json::from_str(""))?;
    Ok((value, at + values.byte_offset()))
}

#[cfg(test)]
mod tests {
    use forethought_sdk::serde_json::json;
    use proptest::prelude::*;

    use super::*;

    fn apply(text: &str, omit: &[&str], extra: Value) -> String {
        let Value::Object(extra) = extra else { panic!("an object") };
        let omit: Vec<_> = omit.iter().map(|name| String::from(*name)).collect();
        Changes::new("new", &omit, &extra).apply(text).unwrap()
    }

    #[test]
    fn only_the_value_of_the_model_changes() {
        for (text, expected) in [
            (r#"{"model":"a","x":1.50}"#, r#"{"model":"new","x":1.50}"#),
            // White space, another member of that name deeper down, the name within text, in escapes and twice.
            (
                " { \"x\" : {\"model\":\"a\"},\r\n\t\"model\" : \"\\u0061\\\"}\" } \n",
                " { \"x\" : {\"model\":\"a\"},\r\n\t\"model\" : \"new\" } \n",
            ),
            (r#"{"y":"\"model\":\"b\"","mod\u0065l":"a"}"#, r#"{"y":"\"model\":\"b\"","mod\u0065l":"new"}"#),
            (r#"{"model":"a","n":1,"model":{"b":[]}}"#, r#"{"model":"new","n":1,"model":"new"}"#),
            (r#"{"x":1e3}"#, r#"{"x":1e3,"model":"new"}"#),
            ("{ }", r#"{ "model":"new"}"#),
        ] {
            assert_eq!(apply(text, &[], json!({})), expected);
        }
        let quoted = Changes::new("a\"大", &[], &Map::new()).apply(r#"{"model":1}"#).unwrap();
        assert_eq!(quoted, r#"{"model":"a\"大"}"#);
    }

    #[test]
    fn what_the_configuration_says_is_added_and_left_out() {
        let text = r#"{"seed":1, "model":"a", "o":{"a":1,"b":2}, "n":2}"#;
        assert_eq!(apply(text, &["seed", "n"], json!({})), r#"{"model":"new", "o":{"a":1,"b":2}}"#);
        assert_eq!(apply(text, &["o.a"], json!({})), r#"{"seed":1, "model":"new", "o":{"b":2}, "n":2}"#);
        assert_eq!(
            apply(text, &["seed"], json!({ "o": { "b": 3, "c": {} }, "n": 5, "seed": 7, "p": { "q": 1 } })),
            r#"{"seed":7, "model":"new", "o":{"a":1,"b":3,"c":{}}, "n":5,"p":{"q":1}}"#
        );
        assert_eq!(apply(r#"{"o":1,"model":2}"#, &["o.x"], json!({})), r#"{"o":1,"model":"new"}"#);
        assert_eq!(apply(r#"{"o":1}"#, &["o"], json!({})), r#"{"model":"new"}"#);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in
            ["", "[]", "{", r#"{"a"}"#, r#"{"a":1,}"#, r#"{"a":1}{}"#, r#"{"a":01}"#, r#"{a:1}"#, "null"]
        {
            let error = Changes::new("m", &[], &Map::new()).apply(text).expect_err(text);
            assert!(error.message.contains("not a JSON object"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn the_rest_means_what_it_meant(fields in prop::collection::btree_map("[a-c\"\\\\é{]{0,3}", any::<f64>(), 0..5)) {
            let mut object: Map<_, _> = fields.into_iter().map(|(name, value)| (name, json!([value]))).collect();
            let text = serde_json::to_string_pretty(&object).unwrap();
            object.insert("model".into(), "new".into());
            let changed = apply(&text, &[], json!({}));
            prop_assert_eq!(serde_json::from_str::<Value>(&changed).unwrap(), Value::Object(object));
        }
    }
}
