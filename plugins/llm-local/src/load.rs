//! A model assembled from its files: the network, the tokenizer, the template, and what ends an answer.

use std::path::Path;

use candle_core::{DType, Device, quantized::gguf_file::Content};
use forethought_candle::{Tensors, device, tokenizer};
use forethought_sdk::{
    prelude::*,
    serde_json::{Value, json},
};
use tokenizers::Tokenizer;

use crate::{
    answer::Sampling,
    architecture::{Architecture, number},
    config::LocalConfig,
    files::{self, Files, Recommended, WeightFiles},
    network::Network,
    template::Template,
    vocabulary::{self, Vocabulary},
    weights::{Gguf, Weights},
};

/// A model in memory.
pub(crate) struct Loaded {
    pub(crate) network: Network,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) template: Template,
    /// Tokens that end an answer.
    pub(crate) ends: Vec<u32>,
    /// For requests that set nothing else.
    pub(crate) sampling: Sampling,
    /// Longest chat including its answer, in tokens.
    pub(crate) context: usize,
    /// Hash of everything that shapes an answer and is not in the request.
    pub(crate) identity: blake3::Hash,
}

impl Loaded {
    pub(crate) fn new(model: &Path, tokenizer_folder: &Path, config: &LocalConfig) -> Result<Self> {
        let mut identity = blake3::Hasher::new();
        let files = Files::find(model, tokenizer_folder, config)?;
        let (network, header) = network(&files, config, &mut identity)?;
        let architecture = network.architecture();
        let context = context(config, architecture)?;

        let path = match (&header.tokenizer, &files.weights) {
            (Some(_), WeightFiles::Gguf(paths)) => paths.first().cloned().unwrap_or_default(),
            _ => files.tokenizer(),
        };
        let bytes = match &header.tokenizer {
            Some(own) => own.as_ref().map(Value::to_string).map_err(Clone::clone).context(format!(
                "the tokenizer in {} cannot be used; set `tokenizer` to a folder or hub repository that has the \
                 model's tokenizer.json",
                path.display()
            ))?.into_bytes(),
            None => files::read(&path)?,
        };
        identity.update(&bytes);
        let tokenizer = tokenizer(&path, &bytes, architecture.vocabulary)?;
        let settings = merged(files.tokenizer_config()?, &header);
        let own = files.template()?;
        identity.update(json!([own, settings]).to_string().as_bytes());
        let template = Template::new(own, &settings, config)
            .context(format!("the model in {} cannot chat", model.display()))?
            .ok_or_else(|| {
                Error::config(format!(
                    "the model in {} has no chat template, so it cannot chat; templates are in \
                     tokenizer_config.json, in chat_template.jinja, or in a GGUF file",
                    model.display()
                ))
            })?;
        let mut ends = architecture.ends.clone();
        ends.extend(files.ends()?);
        ends.extend(header.turn_ends);
        ends.extend(settings["eos_token"].as_str().and_then(|token| tokenizer.token_to_id(token)));
        identity.update(json!(ends).to_string().as_bytes());
        let recommended = files.recommended()?.or(header.recommended);
        let sampling = Sampling {
            temperature: config.temperature.or(recommended.temperature).unwrap_or(1.0),
            top_p: config.top_p.or(recommended.top_p).unwrap_or(1.0),
            top_k: config.top_k.or(recommended.top_k).unwrap_or(0),
        };
        let hashed = LocalConfig {
            model: ConfigPath::default(),
            tokenizer: None,
            parallel: 1,
            cache_mb: 0,
            temperature: Some(sampling.temperature),
            top_p: Some(sampling.top_p),
            top_k: Some(sampling.top_k),
            ..config.clone()
        };
        identity.update(json!(hashed).to_string().as_bytes());
        Ok(Self { network, tokenizer, template, ends, sampling, context, identity: identity.finalize() })
    }
}

/// The network alone.
pub(crate) fn network_alone(folder: &Path, config: &LocalConfig) -> Result<Network> {
    let files = Files::find(folder, folder, config)?;
    Ok(network(&files, config, &mut blake3::Hasher::new())?.0)
}

/// The network, and what else the header of a GGUF file says.
fn network(files: &Files, config: &LocalConfig, identity: &mut blake3::Hasher) -> Result<(Network, Header)> {
    let device = device(&config.device)?;
    let dtype = match (config.dtype.as_str(), &device) {
        ("auto", Device::Cpu) | ("f32", _) => Some(DType::F32),
        ("auto", _) => None,
        ("f16", _) => Some(DType::F16),
        ("bf16", _) => Some(DType::BF16),
        (other, _) => {
            return Err(Error::config(format!(
                "`dtype` is {other:?}; it must be \"auto\", \"f32\", \"f16\" or \"bf16\""
            )));
        }
    };
    match &files.weights {
        WeightFiles::Safetensors { config, shards } => {
            let text = files::read(config)?;
            identity.update(&text);
            let architecture = Architecture::from_config(config, &text)?;
            let mut tensors = Tensors::default();
            for path in shards {
                // One file after the other, so that only one is in memory next to the tensors.
                let bytes = files::read(path)?;
                identity.update(blake3::hash(&bytes).as_bytes());
                tensors.add(path, &bytes, &device)?;
            }
            let weights = Weights::from_safetensors(tensors, dtype, &device);
            Ok((Network::new(architecture, weights)?, Header::default()))
        }
        WeightFiles::Gguf(paths) => {
            let first = paths.first().map(|path| path.display().to_string()).unwrap_or_default();
            if !matches!(config.dtype.as_str(), "auto" | "f32") {
                return Err(Error::config(format!(
                    "`dtype` is {:?}, but {first} is a GGUF file, which has its own; leave `dtype` out",
                    config.dtype,
                )));
            }
            let mut file = Gguf::open(paths, identity)?;
            let factors = file.factors()?;
            // Only then its own tokenizer is made: publishers test the other one.
            let alone = config.tokenizer.is_none() && !files.tokenizer().exists();
            let unusable = || format!("{first} cannot be used");
            let architecture = Architecture::from_gguf(&file, factors).context(unusable())?;
            let header = Header::of(&file.content, alone).context(unusable())?;
            Ok((Network::new(architecture, Weights::from_gguf(file, &device))?, header))
        }
    }
}

/// What a GGUF header says about the tokenizer, used where the tokenizer's own files say nothing.
#[derive(Default)]
struct Header {
    /// Where there is no other: in the form of a `tokenizer.json`, or why it cannot be used.
    tokenizer: Option<Result<Value>>,
    template: Option<String>,
    begin: Option<String>,
    end: Option<String>,
    /// Further tokens that end an answer.
    turn_ends: Vec<u32>,
    recommended: Recommended,
}

impl Header {
    fn of(content: &Content, alone: bool) -> Result<Self> {
        let template = content.metadata.get("tokenizer.chat_template");
        let sampling = |key: &str| content.metadata.get(&format!("general.sampling.{key}")).and_then(number);
        let header = Self {
            template: template.and_then(|text| text.to_string().ok().cloned()),
            recommended: Recommended {
                temperature: sampling("temp"),
                top_p: sampling("top_p"),
                top_k: sampling("top_k").map(|count| count as usize),
            }
            .usable(),
            ..Self::default()
        };
        let Some(vocabulary) = Vocabulary::of(content)? else { return Ok(header) };
        let token = |key: &str| vocabulary.token(vocabulary::id(content, key));
        Ok(Self {
            begin: token("bos_token_id"),
            end: token("eos_token_id"),
            turn_ends: vocabulary.turn_ends(),
            tokenizer: alone.then(|| vocabulary.tokenizer()),
            ..header
        })
    }
}

/// `tokenizer_config.json`, with missing keys taken from the header of a GGUF file.
fn merged(mut settings: Value, header: &Header) -> Value {
    if !settings.is_object() {
        settings = json!({});
    }
    let other =
        [("chat_template", &header.template), ("bos_token", &header.begin), ("eos_token", &header.end)];
    for (key, value) in other {
        if let (true, Some(value)) = (settings[key].is_null(), value) {
            settings[key] = value.as_str().into();
        }
    }
    settings
}

fn context(config: &LocalConfig, architecture: &Architecture) -> Result<usize> {
    let most = architecture.context;
    match config.context {
        Some(context) if !(2..=most).contains(&context) => {
            Err(Error::config(format!("`context` is {context}; the model takes 2 to {most} tokens")))
        }
        context => Ok(context.unwrap_or(most)),
    }
}
