//! JSON with its place, so that errors name the field. Must not know any format.

use std::borrow::Cow;

use forethought_sdk::api::text::unmarked_bytes;
use forethought_sdk::prelude::*;
use forethought_sdk::serde_json::{self, Map, Value};

/// Parses one document. Python writes numbers that are not finite as `NaN` and `Infinity`, which JSON has not: they
/// become null.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value> {
    let bytes = unmarked_bytes(bytes);
    // Only then, because it is looked for in every byte.
    serde_json::from_slice(bytes).or_else(|error| match finite(bytes) {
        Cow::Owned(bytes) => serde_json::from_slice(&bytes).map_err(wrong),
        Cow::Borrowed(_) => Err(wrong(error)),
    })
}

fn wrong(error: serde_json::Error) -> Error {
    Error::input(format!("not JSON: {error}"))
}

/// The same with null for numbers that are not finite.
fn finite(bytes: &[u8]) -> Cow<'_, [u8]> {
    let (mut fixed, mut quoted, mut copied, mut at) = (Vec::new(), false, 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'N' | b'I' | b'-' if !quoted => {
                let words: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
                if let Some(word) = words.into_iter().find(|word| bytes[at..].starts_with(word)) {
                    fixed.extend_from_slice(&bytes[copied..at]);
                    fixed.extend_from_slice(b"null");
                    at += word.len();
                    copied = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(bytes);
    }
    fixed.extend_from_slice(&bytes[copied..]);
    Cow::Owned(fixed)
}

/// A value and its path in the document.
#[derive(Clone)]
pub(crate) struct At<'v> {
    pub(crate) value: &'v Value,
    path: String,
}

impl<'v> At<'v> {
    /// The document itself.
    pub(crate) fn root(value: &'v Value) -> Self {
        Self { value, path: String::new() }
    }

    /// A value that was in another place of the document as text.
    pub(crate) fn in_place_of<'w>(&self, value: &'w Value) -> At<'w> {
        At { value, path: self.path.clone() }
    }

    /// Its path, to be read.
    pub(crate) fn path(&self) -> &str {
        if self.path.is_empty() { "the document" } else { &self.path }
    }

    /// The value of a key; `None` if it is missing or null.
    ///
    /// # Errors
    /// If this is not an object.
    pub(crate) fn get(&self, key: &str) -> Result<Option<At<'v>>> {
        Ok(self.object()?.get(key).filter(|value| !value.is_null()).map(|value| self.below(key, value)))
    }

    /// The value of a key that must be there.
    pub(crate) fn field(&self, key: &str) -> Result<At<'v>> {
        self.get(key)?.ok_or_else(|| {
            let at = self.below(key, self.value);
            Error::input(format!("`{}` is missing", at.path))
        })
    }

    /// The value at a path of keys with dots between them; a key may have dots itself.
    pub(crate) fn find(&self, path: &str) -> Option<At<'v>> {
        let object = self.value.as_object()?;
        if let Some(value) = object.get(path).filter(|value| !value.is_null()) {
            return Some(self.below(path, value));
        }
        path.match_indices('.').find_map(|(dot, _)| {
            let (key, rest) = (&path[..dot], &path[dot + 1..]);
            self.below(key, object.get(key)?).find(rest)
        })
    }

    pub(crate) fn object(&self) -> Result<&'v Map<String, Value>> {
        self.value.as_object().ok_or_else(|| self.wrong("an object"))
    }

    /// The elements of a list.
    pub(crate) fn list(&self) -> Result<Vec<At<'v>>> {
        let list = self.value.as_array().ok_or_else(|| self.wrong("a list"))?;
        let element = |(index, value)| At { value, path: format!("{}[{index}]", self.path) };
        Ok(list.iter().enumerate().map(element).collect())
    }

    pub(crate) fn text(&self) -> Result<&'v str> {
        self.value.as_str().ok_or_else(|| self.wrong("text"))
    }

    pub(crate) fn number(&self) -> Result<f64> {
        self.value.as_f64().ok_or_else(|| self.wrong("a number"))
    }

    pub(crate) fn whole(&self) -> Result<u64> {
        self.value.as_u64().ok_or_else(|| self.wrong("a whole number from 0"))
    }

    pub(crate) fn flag(&self) -> Result<bool> {
        self.value.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    /// Text, or a number as text: ids are either.
    pub(crate) fn id(&self) -> Result<String> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(self.wrong("text or a number")),
        }
    }

    /// The text of a key, if it is there.
    pub(crate) fn get_text(&self, key: &str) -> Result<Option<&'v str>> {
        self.get(key)?.map(|at| at.text()).transpose()
    }

    /// The flag of a key, if it is there.
    pub(crate) fn get_flag(&self, key: &str) -> Result<bool> {
        Ok(self.get(key)?.map(|at| at.flag()).transpose()?.unwrap_or_default())
    }

    /// The elements of the list of a key; none if it is not there.
    pub(crate) fn get_list(&self, key: &str) -> Result<Vec<At<'v>>> {
        Ok(self.get(key)?.map(|at| at.list()).transpose()?.unwrap_or_default())
    }

    /// An error about this value.
    pub(crate) fn wrong(&self, expected: &str) -> Error {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        Error::input(format!("`{}` must be {expected}, and is {found}", self.path()))
    }

    /// An error about this value, in other words.
    pub(crate) fn unfit(&self, why: impl std::fmt::Display) -> Error {
        Error::input(format!("`{}`: {why}", self.path()))
    }

    fn below(&self, key: &str, value: &'v Value) -> At<'v> {
        let dot = if self.path.is_empty() { "" } else { "." };
        At { value, path: format!("{}{dot}{key}", self.path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_writes_instead_of_numbers_is_null() {
        let value =
            parse(b"\xef\xbb\xbf{\"a\": NaN, \"b\": [-Infinity, Infinity, -1], \"c\": \"NaN \\\" NaN\"}")
                .unwrap();
        assert_eq!(value.to_string(), r#"{"a":null,"b":[null,null,-1],"c":"NaN \" NaN"}"#);
        assert!(parse(b"{\"a\": Nan}").unwrap_err().to_string().contains("not JSON"));
    }

    #[test]
    fn errors_name_the_field() {
        let value = parse(br#"{"a": [{"b.c": 1, "d": {"e": "x"}}]}"#).unwrap();
        let first = At::root(&value).field("a").unwrap().list().unwrap().remove(0);
        assert_eq!(first.find("b.c").unwrap().number().unwrap(), 1.0);
        assert_eq!(first.find("d.e").unwrap().text().unwrap(), "x");
        assert!(first.find("d.f").is_none());
        let error = first.field("d").unwrap().field("e").unwrap().number().unwrap_err().to_string();
        assert_eq!(error, "`a[0].d.e` must be a number, and is text");
        assert_eq!(first.field("x").err().unwrap().to_string(), "`a[0].x` is missing");
    }
}
