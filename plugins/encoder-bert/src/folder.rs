//! The folder of a sentence-transformers model: its files, and what they say besides the network.

use std::path::{Path, PathBuf};

use forethought_sdk::{
    api::text::unmarked_bytes,
    prelude::*,
    serde::de::DeserializeOwned,
    serde_json::{self, Value},
};
use tokenizers::{Tokenizer, TruncationParams};

use crate::{
    architecture::Architecture,
    modules::{Modules, PoolingConfig},
    prompt::{self, Prompts},
    weights::Weights,
};

pub(crate) const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const SENTENCE: &str = "sentence_bert_config.json";

/// The folder of the model at `source`, with all files that it needs.
pub(crate) async fn fetch(host: &dyn Host, source: String) -> Result<PathBuf> {
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
    let mut request = ModelFiles {
        source,
        required: names(&[CONFIG, TOKENIZER]),
        optional: names(&[Weights::FILE, Modules::FILE, SENTENCE, Modules::POOLING]),
        aside: names(&[Prompts::FILE, TOKENIZER_CONFIG]),
    };
    // Always all files, because a branch may move between two requests.
    let mut folder = host.model_files(request.clone()).await?;
    let modules = Modules::read(&folder)?;
    let further = modules.files();
    if !further.is_empty() {
        request.required.extend(further);
        request.optional.extend(modules.weights().map(|place| join(place, Weights::FILE)));
        folder = host.model_files(request.clone()).await?;
    }
    let places = || std::iter::once("").chain(modules.weights());
    let lacks = |folder: &Path, place: &str, file: &str| !folder.join(place).join(file).is_file();
    let older: Vec<&str> = places().filter(|place| lacks(&folder, place, Weights::FILE)).collect();
    if older.is_empty() {
        return Ok(folder);
    }
    request.optional.extend(older.iter().map(|place| join(place, Weights::PICKLED)));
    folder = host.model_files(request.clone()).await?;
    if let Some(place) = older.iter().find(|place| lacks(&folder, place, Weights::PICKLED)) {
        // The error lists what there is.
        request.required.push(join(place, Weights::FILE));
        folder = host.model_files(request).await?;
    }
    Ok(folder)
}

/// The path of a file in a folder of the model; the model itself is "".
fn join(place: &str, file: &str) -> String {
    if place.is_empty() { file.to_owned() } else { format!("{place}/{file}") }
}

/// A model's folder, read and found to be supported.
pub(crate) struct ModelFolder {
    path: PathBuf,
    tokenizer: Vec<u8>,
    /// The longest text in tokens that the model's files name.
    longest: Option<usize>,
    prompts: Prompts,
    pub(crate) architecture: Architecture,
    pub(crate) modules: Modules,
    pub(crate) pooling: PoolingConfig,
    pub(crate) lowercase: bool,
}

#[data]
#[derive(Debug, Default)]
#[serde(default)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
    do_lower_case: bool,
}

impl ModelFolder {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let config = path.join(CONFIG);
        let architecture =
            Architecture::read(json(&config)?).context(format!("{} is not supported", config.display()))?;
        let modules = Modules::read(path)?;
        let sentence: SentenceConfig = optional_json(&path.join(SENTENCE))?.unwrap_or_default();
        let longest = match sentence.max_seq_length {
            Some(length) => Some(length),
            None => model_max_length(&path.join(TOKENIZER_CONFIG))?,
        };
        Ok(Self {
            tokenizer: read(&path.join(TOKENIZER))?,
            pooling: modules.pooling(path)?,
            modules,
            prompts: Prompts::read(path)?,
            lowercase: sentence.do_lower_case,
            path: path.to_owned(),
            longest,
            architecture,
        })
    }

    /// Longest text in tokens: `configured`, or the model's own limit.
    pub(crate) fn max_length(&self, configured: Option<usize>) -> Result<usize> {
        let most = self.architecture.max_tokens;
        match configured {
            // Fewer than three would cut every text to its special tokens.
            Some(length) if !(3..=most).contains(&length) => Err(Error::config(format!(
                "`max_length` is {length}; the model in {} takes 3 to {most} tokens",
                self.path.display()
            ))),
            Some(length) => Ok(length),
            None => Ok(self.longest.unwrap_or(most).clamp(3.min(most), most)),
        }
    }

    /// What belongs before every text.
    pub(crate) fn prompt(&self, choice: prompt::Choice<'_>) -> Result<String> {
        self.prompts.choose(choice)
    }

    pub(crate) fn tokenizer(&self, max_length: usize) -> Result<Tokenizer> {
        let path = self.path.join(TOKENIZER);
        let mut tokenizer =
            forethought_candle::tokenizer(&path, &self.tokenizer, self.architecture.vocab_size)?;
        let truncation = TruncationParams { max_length, ..Default::default() };
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|error| Error::input(format!("{}: {error}", path.display())))?;
        Ok(tokenizer)
    }

    pub(crate) fn tokenizer_hash(&self) -> blake3::Hash {
        blake3::hash(&self.tokenizer)
    }

    /// A file in the folder of the module at `place`.
    pub(crate) fn file(&self, place: &str, name: &str) -> PathBuf {
        self.path.join(place).join(name)
    }

    /// The weights of the module in the folder `place`, or of the network, whose place is "".
    pub(crate) fn weights(&self, place: &str) -> Result<Weights> {
        Weights::read(&self.path.join(place))
    }
}

/// The tokenizer's limit. Tokenizers without one have a number that is larger than any text.
fn model_max_length(path: &Path) -> Result<Option<usize>> {
    let config: Option<Value> = optional_json(path)?;
    let length = config.and_then(|config| config["model_max_length"].as_u64());
    Ok(length.and_then(|length| usize::try_from(length).ok()))
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::not_found(format!(
            "{} is missing; a model's folder contains {CONFIG}, {TOKENIZER} and {}",
            path.display(),
            Weights::FILE
        )),
        _ => Error::input(format!("{}: {error}", path.display())),
    })
}

pub(crate) fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_slice(unmarked_bytes(&read(path)?))
        .map_err(|error| Error::input(format!("{}: {error}", path.display())))
}

pub(crate) fn optional_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if path.exists() { json(path).map(Some) } else { Ok(None) }
}
