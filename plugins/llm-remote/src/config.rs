//! The configuration of a remote model.

use std::collections::BTreeMap;

use forethought_sdk::{
    prelude::*,
    serde_json::{Map, Value},
};

use crate::{key::looks_like_a_key, provider::Provider};

/// Settings of a remote model.
#[config]
#[derive(Debug, Clone)]
pub struct RemoteConfig {
    /// The API to use: openai, anthropic, gemini, ollama, openrouter, vllm, llama-cpp, openai-compatible.
    pub provider: Provider,
    /// The model's name, as the provider spells it.
    pub model: String,
    /// The provider's address, including the API's version, such as `http://127.0.0.1:8000/v1`; by default the
    /// address in its documentation.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Name of the environment variable that holds the key. The key itself is never written to disk.
    #[serde(default)]
    pub api_key_env: Option<String>,
    /// File that holds only the key.
    #[serde(default)]
    #[schemars(extend("writeOnly" = true))]
    pub api_key_file: Option<ConfigPath>,
    /// Additional headers for every request. Not for keys: headers are written to the run's folder.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Additional headers that hold secrets: the header's name, and the environment variable with its value.
    #[serde(default)]
    pub headers_env: BTreeMap<String, String>,
    /// Additional fields of the request's body, as in the provider's documentation; merged over what is sent.
    #[serde(default)]
    pub extra: Map<String, Value>,
    /// Fields to leave out of the request's body, for servers that refuse them, such as `["seed", "stream_options"]`; a
    /// field within an object is `"options.seed"`. Without `n`, each sample is a request of its own.
    #[serde(default)]
    pub omit: Vec<String>,
    /// Longest answer in tokens, for requests that set no limit. Anthropic requires one: 4096 by default.
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// Whether answers are streamed. They are the same, but a dead connection is noticed after `read_timeout_s` of
    /// silence, however long a whole answer takes, and a call returns one sample.
    #[serde(default)]
    pub streaming: bool,
    /// Seconds to wait for a connection.
    #[serde(default = "connect_timeout")]
    #[schemars(range(min = 0.001))]
    pub connect_timeout_s: f64,
    /// Seconds to wait for the next byte of an answer, including the first.
    #[serde(default = "read_timeout")]
    #[schemars(range(min = 0.001))]
    pub read_timeout_s: f64,
    /// Seconds to wait for a whole answer, from the request to the last byte.
    #[serde(default = "timeout")]
    #[schemars(range(min = 0.001))]
    pub timeout_s: f64,
}

fn connect_timeout() -> f64 {
    10.0
}

/// An answer that is not streamed sends nothing until it is complete.
fn read_timeout() -> f64 {
    300.0
}

fn timeout() -> f64 {
    600.0
}

impl RemoteConfig {
    /// A model with default settings.
    pub fn new(provider: Provider, model: impl Into<String>) -> Self {
        Self {
            provider,
            model: model.into(),
            base_url: None,
            api_key_env: None,
            api_key_file: None,
            headers: BTreeMap::new(),
            headers_env: BTreeMap::new(),
            extra: Map::new(),
            omit: Vec::new(),
            max_tokens: None,
            streaming: false,
            connect_timeout_s: connect_timeout(),
            read_timeout_s: read_timeout(),
            timeout_s: timeout(),
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        // With Gemini it is part of a path.
        let outside = self.model.contains(['?', '#', '%']) || self.model.contains("..");
        if self.model.trim().is_empty() || self.provider == Provider::Gemini && outside {
            return Err(Error::config(format!("model = {:?} is not a valid model name", self.model)));
        }
        for (name, value) in &self.extra {
            no_key(&format!("extra.{name}"), value)?;
        }
        let required = self.provider.traits().format.required();
        for name in &self.omit {
            if name == "stream" {
                return Err(Error::config(
                    "omit = [\"stream\"]: the setting `streaming` decides on this field",
                ));
            }
            if required.contains(&name.as_str()) {
                return Err(Error::config(format!(
                    "omit = [{name:?}]: no request can be without this field"
                )));
            }
            if name.split('.').any(str::is_empty) {
                return Err(Error::config(format!("omit = [{name:?}]: is not the name of a field")));
            }
        }
        let seconds = [
            ("connect_timeout_s", self.connect_timeout_s),
            ("read_timeout_s", self.read_timeout_s),
            ("timeout_s", self.timeout_s),
        ];
        for (key, seconds) in seconds {
            if !(0.001..=1e7).contains(&seconds) {
                return Err(Error::config(format!("{key} = {seconds}: must be from 0.001 to 1e7 seconds")));
            }
        }
        Ok(())
    }
}

/// Refuses a value of the request's body that looks like a key: the body is journaled, and the config written into the
/// run's folder.
fn no_key(place: &str, value: &Value) -> Result<()> {
    match value {
        Value::Object(fields) => {
            fields.iter().try_for_each(|(name, value)| no_key(&format!("{place}.{name}"), value))
        }
        Value::Array(list) => list.iter().try_for_each(|value| no_key(place, value)),
        Value::String(text) if looks_like_a_key(place.rsplit('.').next().unwrap_or_default(), text) => {
            Err(Error::config(format!(
                "{place} looks like a key, and keys are never written in a config; use api_key_env, or headers_env for a \
                 header with another name. If it is a key, consider it disclosed"
            )))
        }
        _ => Ok(()),
    }
}
