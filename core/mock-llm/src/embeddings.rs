//! Embeddings: OpenAI's `/embeddings`, and `/embed` of text-embeddings-inference (TEI).
//!
//! A text's vector is made of its words, so texts that share words are near. It is not of unit length, and OpenAI's
//! items come in reverse: a client that relies on either is wrong.

use axum::http::{HeaderMap, header};
use serde_json::{Value, json};

/// Numbers per vector, unless fewer are requested.
const DIMENSION: usize = 24;
/// Most texts of one request, as TEI has it by default.
const MOST: usize = 32;

#[derive(Clone, Copy)]
pub(crate) enum Embeddings {
    OpenAi,
    Tei,
}

/// A request, and how the answer is to be written.
pub(crate) struct Asked {
    /// The model's name, if it is sent.
    pub(crate) model: String,
    pub(crate) texts: Vec<String>,
    dimension: usize,
    base64: bool,
}

impl Embeddings {
    /// The API, from the end of the path.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let path = path.split('?').next().unwrap_or(path);
        if path.ends_with("/embeddings") {
            Some(Self::OpenAi)
        } else {
            path.ends_with("/embed").then_some(Self::Tei)
        }
    }

    /// The key that the caller sent.
    pub(crate) fn key(headers: &HeaderMap) -> Option<&str> {
        headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
    }

    pub(crate) fn read(self, body: &Value) -> Result<Asked, String> {
        let (field, model) = match self {
            Self::OpenAi => ("input", body["model"].as_str().ok_or("`model` must be a string")?),
            Self::Tei => ("inputs", ""),
        };
        let texts: Option<Vec<String>> = match &body[field] {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(list) => list.iter().map(|text| text.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        let texts = texts.ok_or_else(|| format!("`{field}` must be a string or a list of strings"))?;
        if texts.is_empty() || texts.iter().any(String::is_empty) {
            return Err(format!("`{field}` cannot be empty"));
        }
        if texts.len() > MOST {
            return Err(format!("batch size {} > maximum allowed batch size {MOST}", texts.len()));
        }
        let dimension = match &body["dimensions"] {
            Value::Null => DIMENSION,
            number => number
                .as_u64()
                .map(|number| number as usize)
                .filter(|number| (1..=DIMENSION).contains(number))
                .ok_or_else(|| format!("`dimensions` must be from 1 to {DIMENSION}"))?,
        };
        Ok(Asked { model: model.to_owned(), texts, dimension, base64: body["encoding_format"] == "base64" })
    }

    pub(crate) fn answer(self, asked: &Asked) -> Value {
        let written = |vector: Vec<f32>| match asked.base64 {
            true => {
                base64(&vector.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>()).into()
            }
            false => json!(vector),
        };
        let vectors = asked.texts.iter().map(|text| written(vector(text, asked.dimension)));
        match self {
            Self::Tei => vectors.collect::<Vec<Value>>().into(),
            Self::OpenAi => {
                let item = |(index, vector): (usize, Value)| json!({ "object": "embedding", "index": index, "embedding": vector });
                let mut data: Vec<Value> = vectors.enumerate().map(item).collect();
                data.reverse();
                let words: usize = asked.texts.iter().map(|text| text.split_whitespace().count()).sum();
                json!({
                    "object": "list", "data": data, "model": asked.model,
                    "usage": { "prompt_tokens": words, "total_tokens": words },
                })
            }
        }
    }

    pub(crate) fn error(self, status: u16, reason: &str) -> Value {
        match self {
            Self::OpenAi => json!({ "error": { "message": reason, "type": "mock_error", "code": status } }),
            Self::Tei => json!({ "error": reason, "error_type": "Mock" }),
        }
    }
}

/// The sum of the words' vectors, each of which its hash decides.
fn vector(text: &str, dimension: usize) -> Vec<f32> {
    let mut sum = vec![0.1f32; dimension];
    for word in text.split_whitespace() {
        let hash = blake3::hash(word.as_bytes());
        let bytes = hash.as_bytes().iter().map(|byte| f32::from(*byte) / 128.0 - 1.0);
        sum.iter_mut().zip(bytes).for_each(|(sum, number)| *sum += number);
    }
    sum
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let bits =
            three.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        let letter = |place: usize| match place <= three.len() {
            true => char::from(LETTERS[(bits >> (18 - 6 * place) & 63) as usize]),
            false => '=',
        };
        (0..4).map(letter).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_as_in_rfc_4648() {
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("\u{ff}", "w78="),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }
}
