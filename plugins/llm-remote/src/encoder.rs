//! Text encoders behind an HTTP API: OpenAI's `/embeddings`, which many servers speak, and `/embed` of Hugging Face's
//! text-embeddings-inference (TEI).
//!
//! Language models are retried by the layers around them. Encoders have none, so a request is repeated here.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use forethought_sdk::{
    encoder_id::escaped,
    futures::{StreamExt, TryStreamExt, stream},
    prelude::*,
    serde_json::{Map, Value, json},
};
use tokio::sync::OnceCell;

use crate::{
    config::RemoteConfig,
    events::Framing,
    format::unreadable,
    http::{Http, Place},
    merge,
    provider::Provider,
};

/// Longest pause before a request is repeated, in milliseconds: longer ones that a server asks for are an error.
const LONGEST_PAUSE_MS: u64 = 60_000;

/// Who serves the encoder.
#[config]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncoderProvider {
    /// OpenAI.
    Openai,
    /// Another server that speaks OpenAI's `/embeddings`, such as vLLM, Ollama or llama.cpp; needs `base_url`.
    OpenaiCompatible,
    /// text-embeddings-inference, with its own `/embed`; needs `base_url`.
    Tei,
}

/// `[encoder.<name>]` with `kind = "remote"`.
#[config]
#[derive(Debug, Clone)]
pub struct EncoderConfig {
    /// The API to use: openai, openai-compatible, tei.
    pub provider: EncoderProvider,
    /// The model's name, as the provider spells it. It is the encoder's identity: a checkpoint that was trained with it is
    /// used with any server that has a model of this name. TEI is not sent it; name what it serves, with its revision.
    pub model: String,
    /// The server's address, including the API's version if it has one, such as `http://127.0.0.1:8000/v1`
    /// (`http://127.0.0.1:8080` for TEI); by default OpenAI's.
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
    /// Numbers per vector, for models that can shorten their vectors. By default as many as the server gives.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub dimensions: Option<usize>,
    /// What is put before every text, such as "query: " for e5.
    #[serde(default)]
    pub prompt: String,
    /// Additional fields of the request's body; merged over what is sent. They are part of the encoder's identity.
    #[serde(default)]
    pub extra: Map<String, Value>,
    /// Texts per request. Servers have their own limits: 2048 (OpenAI), 32 (TEI by default).
    #[serde(default = "batch")]
    #[schemars(range(min = 1))]
    pub batch: usize,
    /// Requests in flight at the same time.
    #[serde(default = "concurrency")]
    #[schemars(range(min = 1))]
    pub concurrency: usize,
    /// How often a request is repeated after a fault that may pass.
    #[serde(default = "retries")]
    pub retries: u32,
    /// Seconds to wait for a connection.
    #[serde(default = "connect_timeout")]
    #[schemars(range(min = 0.001))]
    pub connect_timeout_s: f64,
    /// Seconds to wait for a whole answer.
    #[serde(default = "timeout")]
    #[schemars(range(min = 0.001))]
    pub timeout_s: f64,
}

fn batch() -> usize {
    32
}

fn concurrency() -> usize {
    4
}

fn retries() -> u32 {
    6
}

fn connect_timeout() -> f64 {
    10.0
}

fn timeout() -> f64 {
    120.0
}

/// A text encoder of a provider.
pub struct RemoteEncoder {
    config: EncoderConfig,
    http: Http,
    /// Known from the first answer, unless it is configured.
    dimension: OnceCell<usize>,
}

impl RemoteEncoder {
    /// The encoder that `config` names. Reads the key; sends nothing.
    ///
    /// # Errors
    /// If no base URL is known, the key cannot be read, or a setting cannot be used.
    pub fn new(config: EncoderConfig) -> Result<Self> {
        for (key, number) in [
            ("batch", config.batch),
            ("concurrency", config.concurrency),
            ("dimensions", config.dimensions.unwrap_or(1)),
        ] {
            if number == 0 {
                return Err(Error::config(format!("{key} = 0: must be at least 1")));
            }
        }
        let (provider, place) = match config.provider {
            EncoderProvider::Openai => (Provider::Openai, None),
            EncoderProvider::OpenaiCompatible => (Provider::OpenaiCompatible, None),
            EncoderProvider::Tei => (Provider::OpenaiCompatible, Some(Place { name: "tei", path: "" })),
        };
        let remote = RemoteConfig {
            base_url: config.base_url.clone(),
            api_key_env: config.api_key_env.clone(),
            api_key_file: config.api_key_file.clone(),
            headers: config.headers.clone(),
            headers_env: config.headers_env.clone(),
            extra: config.extra.clone(),
            connect_timeout_s: config.connect_timeout_s,
            read_timeout_s: config.timeout_s,
            timeout_s: config.timeout_s,
            ..RemoteConfig::new(provider, config.model.clone())
        };
        remote.check()?;
        let http = Http::at(&remote, place)?;
        let dimension = OnceCell::new_with(config.dimensions);
        Ok(Self { config, http, dimension })
    }

    /// Model and settings that decide vectors; not where the server is, or how it is asked.
    fn id(&self) -> String {
        let EncoderConfig { model, dimensions, prompt, extra, .. } = &self.config;
        let mut id = format!("remote/v1?model={}", escaped(model));
        if let Some(dimensions) = dimensions {
            id += &format!("&dimensions={dimensions}");
        }
        if !extra.is_empty() {
            let sorted: BTreeMap<_, _> = extra.iter().collect();
            id += &format!("&extra={}", escaped(&json!(sorted).to_string()));
        }
        if !prompt.is_empty() {
            id += &format!("&prompt={}", escaped(prompt));
        }
        id
    }

    fn body(&self, texts: &[String]) -> Value {
        let prompted = |text: &String| match format!("{}{text}", self.config.prompt) {
            // No server takes an empty text.
            text if text.is_empty() => " ".to_owned(),
            text => text,
        };
        let texts: Vec<String> = texts.iter().map(prompted).collect();
        let mut body = match self.config.provider {
            EncoderProvider::Tei => json!({ "inputs": texts, "normalize": true, "truncate": true }),
            EncoderProvider::Openai | EncoderProvider::OpenaiCompatible => {
                json!({ "model": self.config.model, "input": texts, "encoding_format": "float" })
            }
        };
        if let Some(dimensions) = self.config.dimensions {
            body["dimensions"] = dimensions.into();
        }
        merge(&mut body, &Value::Object(self.config.extra.clone()));
        body
    }

    /// The vectors of one request, repeated after faults that may pass.
    async fn ask(&self, texts: &[String]) -> Result<Vec<Vec<f32>>> {
        let body = self.body(texts);
        let mut repeats = 0;
        loop {
            let error = match self.attempt(&body, texts.len()).await {
                Ok(rows) => return Ok(rows),
                Err(error) => error,
            };
            let pause = error.retry_after_ms.unwrap_or(500 << repeats.min(4));
            if !error.retryable || repeats == self.config.retries || pause > LONGEST_PAUSE_MS {
                return Err(self.advised(error));
            }
            tracing::debug!(%error, pause, "a request for vectors is repeated");
            tokio::time::sleep(Duration::from_millis(pause)).await;
            repeats += 1;
        }
    }

    async fn attempt(&self, body: &Value, count: usize) -> Result<Vec<Vec<f32>>> {
        let path = match self.config.provider {
            EncoderProvider::Tei => "/embed",
            EncoderProvider::Openai | EncoderProvider::OpenaiCompatible => "/embeddings",
        };
        let answer = self.http.ask(path, body, Framing::Whole).await?;
        let answer = self.http.json(&answer)?;
        let rows = match self.config.provider {
            EncoderProvider::Tei => {
                answer.as_array().ok_or_else(|| unreadable("it is not a list of vectors"))
            }
            EncoderProvider::Openai | EncoderProvider::OpenaiCompatible => {
                self.http.recognise(&answer, &["data", "object", "model", "usage"])?;
                answer["data"].as_array().ok_or_else(|| unreadable("there is no list `data`"))
            }
        };
        rows.and_then(|rows| vectors(rows, count)).map_err(|error| self.http.place(error))
    }

    /// An error about the size of a request, with the setting that decides it.
    fn advised(&self, mut error: Error) -> Error {
        if error.message.to_lowercase().contains("batch") {
            error.message += &format!(" (batch = {} texts are sent per request)", self.config.batch);
        }
        error
    }

    /// Numbers per vector; asks the server once if nothing says it.
    async fn dimension(&self) -> Result<usize> {
        let ask = async || Ok(self.ask(&["dimension".to_owned()]).await?[0].len());
        self.dimension.get_or_try_init(ask).await.copied()
    }
}

/// The unit vectors in the items of an answer about `count` texts, in the order of the texts.
fn vectors(items: &[Value], count: usize) -> Result<Vec<Vec<f32>>> {
    if items.len() != count {
        return Err(unreadable(format!("there are {} vectors for {count} texts", items.len())));
    }
    let mut rows: Vec<Option<Vec<f32>>> = vec![None; count];
    for (place, item) in items.iter().enumerate() {
        // OpenAI's items say which text they are for. TEI's are the vectors themselves.
        let place = item.get("index").and_then(Value::as_u64).map_or(place, |index| index as usize);
        let row = rows.get_mut(place).filter(|row| row.is_none());
        let row =
            row.ok_or_else(|| unreadable(format!("`index` {place} is not one of {count}, or occurs twice")))?;
        *row = Some(unit(numbers(item.get("embedding").unwrap_or(item))?)?);
    }
    // As many as texts, and none twice.
    let rows: Vec<Vec<f32>> = rows.into_iter().flatten().collect();
    match rows.iter().find(|row| row.len() != rows[0].len()) {
        Some(row) => Err(unreadable(format!("vectors have {} and {} numbers", rows[0].len(), row.len()))),
        None => Ok(rows),
    }
}

/// A vector, as a list or in base64: 32-bit floats, the lowest byte first.
fn numbers(vector: &Value) -> Result<Vec<f32>> {
    match vector {
        Value::Array(list) => list
            .iter()
            .map(|number| number.as_f64().map(|number| number as f32))
            .collect::<Option<_>>()
            .ok_or_else(|| unreadable("a vector has something other than numbers")),
        Value::String(text) => {
            let bytes = STANDARD
                .decode(text)
                .map_err(|error| unreadable(format!("a vector is not base64: {error}")))?;
            let (parts, rest) = bytes.as_chunks::<4>();
            match rest {
                [] => Ok(parts.iter().map(|part| f32::from_le_bytes(*part)).collect()),
                _ => {
                    Err(unreadable(format!("a vector has {} bytes, which are no whole floats", bytes.len())))
                }
            }
        }
        _ => Err(unreadable("a vector is neither a list nor base64")),
    }
}

/// A vector with its length made 1.
fn unit(mut vector: Vec<f32>) -> Result<Vec<f32>> {
    let norm = vector.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    if !norm.is_finite() || norm == 0.0 {
        return Err(unreadable("a vector has no direction: its numbers are all 0, or one is not finite"));
    }
    vector.iter_mut().for_each(|number| *number = (f64::from(*number) / norm) as f32);
    Ok(vector)
}

#[async_trait]
impl TextEncoder for RemoteEncoder {
    async fn spec(&self) -> Result<EncoderSpec> {
        Ok(EncoderSpec { id: self.id(), revision: None, dimension: self.dimension().await? })
    }

    async fn encode(&self, texts: Vec<String>) -> Result<Matrix> {
        let requests: Vec<_> = texts.chunks(self.config.batch).map(|batch| self.ask(batch)).collect();
        let batches: Vec<Vec<Vec<f32>>> =
            stream::iter(requests).buffered(self.config.concurrency).try_collect().await?;
        let first = batches.first().and_then(|rows| rows.first()).map(Vec::len);
        let dimension = match first {
            Some(first) => *self.dimension.get_or_init(async || first).await,
            None => self.dimension().await?,
        };
        let rows: Vec<Vec<f32>> = batches.into_iter().flatten().collect();
        if let Some(row) = rows.iter().find(|row| row.len() != dimension) {
            return Err(self.http.place(Error::new(
                Code::Provider,
                format!(
                    "a vector has {} numbers instead of {dimension}; does the server serve {:?}?",
                    row.len(),
                    self.config.model
                ),
            )));
        }
        Matrix::new(rows.len(), dimension, rows.concat())
    }
}

register! {
    interface: dyn TextEncoder, kind: "remote",
    summary: "an embeddings server: OpenAI and compatible ones, text-embeddings-inference",
    config: EncoderConfig,
    new: |config, _host| async move { Ok(Arc::new(RemoteEncoder::new(config)?) as _) },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_read_in_every_form_and_order() {
        let half = std::f32::consts::FRAC_1_SQRT_2;
        let encoded = STANDARD.encode([2.0f32, 2.0].map(f32::to_le_bytes).concat());
        for items in [
            json!([[3, 0], [0.5, 0.5]]),
            json!([{ "embedding": [3, 0] }, { "embedding": [0.5, 0.5] }]),
            json!([{ "index": 1, "embedding": encoded }, { "index": 0, "embedding": [1, 0] }]),
        ] {
            let rows = vectors(items.as_array().unwrap(), 2).unwrap();
            assert_eq!(rows, [vec![1.0, 0.0], vec![half, half]], "{items}");
        }
    }

    #[test]
    fn what_is_no_vector_is_refused() {
        for (items, part) in [
            (json!([[1.0]]), "1 vectors for 2 texts"),
            (json!([[1.0], [1.0, 2.0]]), "1 and 2 numbers"),
            (json!([{ "index": 0, "embedding": [1] }, { "index": 0, "embedding": [1] }]), "occurs twice"),
            (json!([{ "index": 0, "embedding": [1] }, { "index": 2, "embedding": [1] }]), "`index` 2"),
            (json!([[1.0], [null]]), "something other than numbers"),
            (json!([[1.0], [0.0]]), "no direction"),
            (json!([[1.0], [1e39]]), "no direction"),
            (json!([[1.0], []]), "no direction"),
            (json!([[1.0], "AAA="]), "no whole floats"),
            (json!([[1.0], "?"]), "not base64"),
            (json!([[1.0], {}]), "neither a list nor base64"),
        ] {
            let error = vectors(items.as_array().unwrap(), 2).unwrap_err();
            assert!(error.message.contains(part) && error.retryable, "{items}: {error}");
        }
    }
}
