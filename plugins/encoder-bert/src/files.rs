//! The folder of a sentence-transformers model: what it says, and refusals of what is not supported.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use forethought_sdk::{api::text::unmarked_bytes, prelude::*, serde::de::DeserializeOwned, serde_json};
use tokenizers::{Tokenizer, TruncationParams};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const WEIGHTS: &str = "model.safetensors";
const MODULES: &str = "modules.json";
const SENTENCE: &str = "sentence_bert_config.json";
const POOLING: &str = "1_Pooling/config.json";
const PROMPTS: &str = "config_sentence_transformers.json";

/// The request to the host.
pub(crate) fn request(source: String) -> ModelFiles {
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    ModelFiles {
        source,
        required: names(&[CONFIG, TOKENIZER, WEIGHTS]),
        optional: names(&[MODULES, SENTENCE, POOLING]),
    }
}

/// A model's folder, read and found to be supported.
pub(crate) struct ModelFolder {
    path: PathBuf,
    tokenizer: Vec<u8>,
    sentence: SentenceConfig,
    pub(crate) bert: BertFile,
    pub(crate) pooling: Pooling,
    pub(crate) lowercase: bool,
}

/// The weights as they are on disk.
pub(crate) struct Weights {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: blake3::Hash,
}

/// How the vectors of a text's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooling {
    Mean,
    Cls,
}

impl Pooling {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
        }
    }
}

/// `config.json`, as far as the network depends on it.
#[data]
#[derive(Debug, Clone)]
pub(crate) struct BertFile {
    model_type: String,
    #[serde(default)]
    position_embedding_type: Option<String>,
    hidden_act: String,
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) max_position_embeddings: usize,
    pub(crate) type_vocab_size: usize,
    pub(crate) layer_norm_eps: f32,
    #[serde(skip)]
    pub(crate) activation: Activation,
}

/// The activation between the two layers of a feed-forward block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Activation {
    #[default]
    Gelu,
    GeluTanh,
    Relu,
}

#[data]
#[derive(Debug, Default)]
#[serde(default)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
    do_lower_case: bool,
}

#[data]
#[derive(Debug, Default)]
#[serde(default)]
struct Prompts {
    prompts: BTreeMap<String, String>,
    default_prompt_name: Option<String>,
}

impl Prompts {
    /// The prompt that belongs before every text, and its name.
    fn leading(&self) -> Option<(&str, &str)> {
        let (name, prompt) = self.prompts.get_key_value(self.default_prompt_name.as_ref()?)?;
        Some((name.as_str(), prompt.as_str())).filter(|_| !prompt.is_empty())
    }
}

#[data]
#[derive(Debug)]
struct ModuleEntry {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

impl ModelFolder {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut bert: BertFile = json(&path.join(CONFIG))?;
        bert.check().context(format!("{} is not supported", path.join(CONFIG).display()))?;
        let sentence: SentenceConfig = optional_json(&path.join(SENTENCE))?.unwrap_or_default();
        // Not requested from the hub: the files of an encoder decide the ids of episodes.
        let prompts: Option<Prompts> = optional_json(&path.join(PROMPTS)).unwrap_or_default();
        if let Some((name, prompt)) = prompts.as_ref().and_then(Prompts::leading) {
            tracing::warn!(
                "{}: the model's default prompt {name:?} ({prompt:?}) is not put before texts, unlike in \
                 sentence-transformers",
                path.join(PROMPTS).display()
            );
        }
        Ok(Self {
            tokenizer: read(&path.join(TOKENIZER))?,
            pooling: pooling(path)?,
            lowercase: sentence.do_lower_case,
            path: path.to_owned(),
            sentence,
            bert,
        })
    }

    /// Longest text in tokens: `configured`, or the model's own limit.
    pub(crate) fn max_length(&self, configured: Option<usize>) -> Result<usize> {
        let most = self.bert.max_position_embeddings;
        match configured {
            // Fewer than three would cut every text to its special tokens.
            Some(length) if !(3..=most).contains(&length) => Err(Error::config(format!(
                "`max_length` is {length}; the model in {} takes 3 to {most} tokens",
                self.path.display()
            ))),
            Some(length) => Ok(length),
            None => Ok(self.sentence.max_seq_length.unwrap_or(most).clamp(3.min(most), most)),
        }
    }

    pub(crate) fn tokenizer(&self, max_length: usize) -> Result<Tokenizer> {
        let path = self.path.join(TOKENIZER);
        let mut tokenizer = forethought_candle::tokenizer(&path, &self.tokenizer, self.bert.vocab_size)?;
        let truncation = TruncationParams { max_length, ..Default::default() };
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|error| Error::input(format!("{}: {error}", path.display())))?;
        Ok(tokenizer)
    }

    pub(crate) fn tokenizer_hash(&self) -> blake3::Hash {
        blake3::hash(&self.tokenizer)
    }

    pub(crate) fn weights(&self) -> Result<Weights> {
        let path = self.path.join(WEIGHTS);
        let bytes = read(&path)?;
        Ok(Weights { hash: blake3::hash(&bytes), path, bytes })
    }
}

impl BertFile {
    fn check(&mut self) -> Result<()> {
        if self.model_type != "bert" {
            return Err(Error::config(format!(
                "`model_type` is {:?}; this encoder runs \"bert\" models, such as sentence-transformers/all-MiniLM-L6-v2",
                self.model_type
            )));
        }
        if let Some(kind) = self.position_embedding_type.as_deref().filter(|kind| *kind != "absolute") {
            return Err(Error::config(format!("`position_embedding_type` is {kind:?}, not \"absolute\"")));
        }
        if self.num_attention_heads == 0 || !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(Error::input(format!(
                "`hidden_size` {} cannot be split among {} attention heads",
                self.hidden_size, self.num_attention_heads
            )));
        }
        if self.max_position_embeddings == 0 {
            return Err(Error::input("`max_position_embeddings` is 0"));
        }
        self.activation = match self.hidden_act.as_str() {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            other => {
                return Err(Error::config(format!("`hidden_act` is {other:?}, not \"gelu\" or \"relu\"")));
            }
        };
        Ok(())
    }
}

/// The pooling that the folder names; by default the mean, as in sentence-transformers.
fn pooling(folder: &Path) -> Result<Pooling> {
    let modules_path = folder.join(MODULES);
    let modules: Option<Vec<ModuleEntry>> = optional_json(&modules_path)?;
    for module in modules.iter().flatten() {
        // Older and newer versions differ in the path before the class.
        let class = module.kind.rsplit('.').next().unwrap_or_default();
        match class {
            "Transformer" if module.path.is_empty() => {}
            "Pooling" if module.path == "1_Pooling" => {}
            "Normalize" => {}
            "Transformer" | "Pooling" => {
                return Err(Error::config(format!(
                    "{}: the module {class} is in {:?}; only the usual places (\"\" and \"1_Pooling\") are supported",
                    modules_path.display(),
                    module.path
                )));
            }
            _ => {
                return Err(Error::config(format!(
                    "{}: the module {} is not supported; only Transformer, Pooling and Normalize are",
                    modules_path.display(),
                    module.kind
                )));
            }
        }
    }
    let path = folder.join(POOLING);
    let Some(modes) = optional_json::<serde_json::Map<String, serde_json::Value>>(&path)? else {
        let named = modules.iter().flatten().any(|module| module.path == "1_Pooling");
        return match named {
            true => Err(Error::not_found(format!(
                "{} names a pooling, but {} is missing",
                modules_path.display(),
                path.display()
            ))),
            false => {
                tracing::warn!(
                    "{} names no pooling: the mean is assumed, as sentence-transformers does",
                    folder.display()
                );
                Ok(Pooling::Mean)
            }
        };
    };
    let mut chosen: Vec<&str> = modes
        .iter()
        .filter(|(_, value)| value.as_bool() == Some(true))
        .filter_map(|(key, _)| key.strip_prefix("pooling_mode_"))
        .collect();
    chosen.extend(modes.get("pooling_mode").and_then(|mode| mode.as_str()));
    match chosen[..] {
        ["mean_tokens" | "mean"] => Ok(Pooling::Mean),
        ["cls_token" | "cls"] => Ok(Pooling::Cls),
        _ => Err(Error::config(format!(
            "{}: the pooling {chosen:?} is not supported; only mean_tokens or cls_token are",
            path.display()
        ))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::not_found(format!(
            "{} is missing; a model's folder contains {CONFIG}, {TOKENIZER} and {WEIGHTS}",
            path.display()
        )),
        _ => Error::input(format!("{}: {error}", path.display())),
    })
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_slice(unmarked_bytes(&read(path)?))
        .map_err(|error| Error::input(format!("{}: {error}", path.display())))
}

fn optional_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if path.exists() { json(path).map(Some) } else { Ok(None) }
}
