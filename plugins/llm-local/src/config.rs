//! Configuration of the backend.

use forethought_sdk::{
    prelude::*,
    serde_json::{Map, Value},
};

/// `[llm.<name>]` with `kind = "local"`.
#[config]
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(default)]
pub struct LocalConfig {
    /// A folder with the model's files as they are published, a GGUF file, or `hf:owner/name@revision`.
    pub model: ConfigPath,
    /// The GGUF file to take from `model`; of a model in several, any one. Without it, the folder's safetensors files,
    /// or its only GGUF file.
    pub file: Option<String>,
    /// Where `tokenizer.json` is, if not in `model`: a folder, or `hf:owner/name@revision`. A GGUF file has a tokenizer
    /// of its own, which is used if there is no other.
    pub tokenizer: Option<ConfigPath>,
    /// `auto` (a GPU if there is one), `cpu`, or `cuda:<number>`.
    pub device: String,
    /// Type of the weights while computing: `auto` (f32 on the CPU, as published on a GPU), `f32`, `f16` or `bf16`.
    /// GGUF files keep their own.
    pub dtype: String,
    /// Longest chat including its answer, in tokens; by default the model's own limit.
    #[schemars(range(min = 2))]
    pub context: Option<usize>,
    /// Longest answer in tokens, for requests that set no limit.
    #[schemars(range(min = 1))]
    pub max_tokens: u32,
    /// Sampling temperature, for requests that set none; 0 takes the most likely token. By default what the model's
    /// publisher recommends (`generation_config.json`, or the GGUF file's `general.sampling.temp`), or else 1.
    #[schemars(range(min = 0.0))]
    pub temperature: Option<f64>,
    /// Draw only among the most likely tokens that together have this probability. By default what the model's
    /// publisher recommends, or else 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub top_p: Option<f64>,
    /// Draw only among this many of the most likely tokens; 0 means all of them. By default what the model's
    /// publisher recommends, or else 0.
    pub top_k: Option<usize>,
    /// Seed of every draw, together with the request's text and seed.
    pub seed: u64,
    /// The date that the chat template may write, as `YYYY-MM-DD`. Without it, templates that ask for today's date are
    /// told none, so that the same chat always gives the same prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Additional variables for the chat template, such as `enable_thinking = false`.
    pub template: Map<String, Value>,
    /// Answers generated at the same time; others wait in a queue.
    #[schemars(range(min = 1, max = 4096))]
    pub parallel: usize,
    /// Answers per pass through the network. With 4, each takes about a third of the time. On a GPU, the last bits of a
    /// probability, and so in rare cases a word, can depend on which other answers are being generated.
    #[schemars(range(min = 1, max = 4096))]
    pub batch: usize,
    /// Memory for the beginnings of earlier prompts, in megabytes: a prompt that begins like one of them is read on from
    /// there, with the same result. 0 keeps none. On the CPU only.
    pub cache_mb: usize,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            model: ConfigPath::default(),
            file: None,
            tokenizer: None,
            device: "auto".into(),
            dtype: "auto".into(),
            context: None,
            max_tokens: 1024,
            temperature: None,
            top_p: None,
            top_k: None,
            seed: 0,
            date: None,
            template: Map::new(),
            parallel: 8,
            batch: 8,
            cache_mb: 1024,
        }
    }
}

impl LocalConfig {
    pub(crate) fn check(&self) -> Result<()> {
        self.temperature.map_or(Ok(()), check_temperature)?;
        if let Some(top_p) = self.top_p.filter(|top_p| !(0.0..=1.0).contains(top_p)) {
            return Err(Error::config(format!("`top_p` is {top_p}; it must be within [0, 1]")));
        }
        let counts =
            [("max_tokens", self.max_tokens as usize), ("parallel", self.parallel), ("batch", self.batch)];
        match counts.iter().find(|(_, count)| *count == 0) {
            Some((key, _)) => Err(Error::config(format!("`{key}` is 0; it must be at least 1"))),
            None => Ok(()),
        }
    }
}

pub(crate) fn check_temperature(temperature: f64) -> Result<()> {
    match temperature.is_finite() && temperature >= 0.0 {
        true => Ok(()),
        false => Err(Error::config(format!("the temperature is {temperature}; it must be 0 or more"))),
    }
}
