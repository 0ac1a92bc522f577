//! The configuration of a remote model.

use std::collections::BTreeMap;

use forethought_sdk::{
    prelude::*,
    serde_json::{Map, Value},
};

use crate::Provider;

/// Settings of a remote model.
#[config]
#[derive(Debug, Clone)]
pub struct RemoteConfig {
    /// Who serves the model: openai, anthropic, gemini, ollama, openrouter, vllm, llama-cpp, openai-compatible.
    pub provider: Provider,
    /// The model's name, as the provider spells it.
    pub model: String,
    /// Where the provider is, up to and with the API's version, such as `http://127.0.0.1:8000/v1`; by default the
    /// address in its documentation.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Name of the environment variable that holds the key. The key itself is never written in a config.
    #[serde(default)]
    pub api_key_env: Option<String>,
    /// File that holds the key, and nothing else.
    #[serde(default)]
    pub api_key_file: Option<ConfigPath>,
    /// Further headers, the same in every request. Not for keys: they are written into the run's folder.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Further fields of the request's body, as in the provider's documentation; they are merged over what is sent.
    #[serde(default)]
    pub extra: Map<String, Value>,
    /// Longest answer in tokens, for requests that name none. Anthropic always wants one: 4096 there by default.
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// Whether answers are asked for in pieces. They are the same, but a connection that died is noticed after
    /// `read_timeout_s` of silence, however long a whole answer may take; and a call gives one sample.
    #[serde(default)]
    pub streaming: bool,
    /// Seconds to wait for a connection.
    #[serde(default = "connect_timeout")]
    #[schemars(range(min = 0.001))]
    pub connect_timeout_s: f64,
    /// Seconds to wait for the next byte of an answer, the first one included.
    #[serde(default = "read_timeout")]
    #[schemars(range(min = 0.001))]
    pub read_timeout_s: f64,
    /// Seconds to wait for a whole answer, from the request to its last byte.
    #[serde(default = "timeout")]
    #[schemars(range(min = 0.001))]
    pub timeout_s: f64,
}

fn connect_timeout() -> f64 {
    10.0
}

/// Answers that are not streamed stay silent until all of it has been thought.
fn read_timeout() -> f64 {
    300.0
}

fn timeout() -> f64 {
    600.0
}

impl RemoteConfig {
    /// A model, with all else at its default.
    pub fn new(provider: Provider, model: impl Into<String>) -> Self {
        Self {
            provider,
            model: model.into(),
            base_url: None,
            api_key_env: None,
            api_key_file: None,
            headers: BTreeMap::new(),
            extra: Map::new(),
            max_tokens: None,
            streaming: false,
            connect_timeout_s: connect_timeout(),
            read_timeout_s: read_timeout(),
            timeout_s: timeout(),
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        // It stands in a path with some providers.
        if self.model.trim().is_empty() || self.model.contains(['?', '#', '%']) || self.model.contains("..") {
            return Err(Error::config(format!("model = {:?} is no model's name", self.model)));
        }
        let seconds = [
            ("connect_timeout_s", self.connect_timeout_s),
            ("read_timeout_s", self.read_timeout_s),
            ("timeout_s", self.timeout_s),
        ];
        for (key, seconds) in seconds {
            if !(0.001..=1e7).contains(&seconds) {
                return Err(Error::config(format!("{key} = {seconds}: seconds, from 0.001 to 1e7")));
            }
        }
        Ok(())
    }
}
