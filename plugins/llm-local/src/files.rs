//! The files of a model: which are requested from the host, which exist, and what each is for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use forethought_sdk::{
    api::text::unmarked_bytes,
    prelude::*,
    serde::de::DeserializeOwned,
    serde_json::{self, Value},
};

use crate::{architecture::Ends, config::LocalConfig};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";
const TEMPLATE_JSON: &str = "chat_template.json";
const GENERATION: &str = "generation_config.json";

/// A model's files on disk.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) weights: WeightFiles,
    /// Where the tokenizer is.
    folder: PathBuf,
}

#[derive(Debug)]
pub(crate) enum WeightFiles {
    Safetensors {
        config: PathBuf,
        shards: Vec<PathBuf>,
    },
    /// One file, or the parts of one model in their order.
    Gguf(Vec<PathBuf>),
}

/// `model` may be a GGUF file itself: then its folder is the model, and `file` its name.
pub(crate) fn file_of_its_own(config: LocalConfig) -> LocalConfig {
    let path = &config.model;
    let hub = path.to_string_lossy().starts_with("hf:");
    let gguf = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    let (Some(name), Some(folder)) = (path.file_name(), path.parent()) else { return config };
    if hub || !gguf || config.file.is_some() || path.is_dir() {
        return config;
    }
    let file = Some(name.to_string_lossy().into_owned());
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    LocalConfig { model: ConfigPath(folder.to_owned()), file, ..config }
}

/// The names of all parts of the model that `file` is a part of, by the scheme of llama.cpp: `X-00001-of-00003.gguf`.
fn parts(file: &str) -> Option<Vec<String>> {
    let (start, of) = file.strip_suffix(".gguf")?.rsplit_once("-of-")?;
    let (start, number) = start.rsplit_once('-')?;
    let digits = |text: &str| (text.len() == 5).then(|| text.parse::<u32>().ok()).flatten();
    let (number, count) = (digits(number)?, digits(of)?);
    (1..=count)
        .contains(&number)
        .then(|| (1..=count).map(|part| format!("{start}-{part:05}-of-{count:05}.gguf")).collect())
}

/// Asks the host for the files that `config` names. Gives the folder of the model, and that of the tokenizer.
pub(crate) async fn fetch(host: &dyn Host, config: &LocalConfig) -> Result<(PathBuf, PathBuf)> {
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let of_tokenizer = names(&[TOKENIZER_CONFIG, TEMPLATE, TEMPLATE_JSON, GENERATION]);
    let source = |path: &ConfigPath| path.to_string_lossy().into_owned();
    let mut request = ModelFiles { source: source(&config.model), ..ModelFiles::default() };
    match &config.file {
        Some(file) => request.required.extend(parts(file).unwrap_or_else(|| vec![file.clone()])),
        None => request.optional = names(&[CONFIG, WEIGHTS, INDEX]),
    }
    if config.tokenizer.is_none() {
        request.optional.push(TOKENIZER.to_owned());
        request.optional.extend(of_tokenizer.clone());
    }
    let mut model = host.model_files(request.clone()).await?;
    if config.file.is_none() && !model.join(WEIGHTS).exists() && model.join(INDEX).exists() {
        let shards = shards(&model.join(INDEX))?;
        // All files again, because a branch may have moved in between.
        model = host
            .model_files(ModelFiles { required: shards.into_iter().collect(), ..request.clone() })
            .await?;
    }
    if config.file.is_none()
        && ![WEIGHTS, INDEX].iter().any(|name| model.join(name).exists())
        && only_gguf(&model).is_err_and(|error| error.code == Code::NotFound)
    {
        // The error lists what there is.
        request.required = names(&[WEIGHTS]);
        model = host.model_files(request).await.context(format!(
            "a model has {CONFIG} and {WEIGHTS} (or {INDEX} and its parts), or a GGUF file, which on the hub `file` names"
        ))?;
    }
    let tokenizer = match &config.tokenizer {
        None => model.clone(),
        Some(path) => {
            let required = names(&[TOKENIZER]);
            host.model_files(ModelFiles {
                source: source(path),
                required,
                optional: of_tokenizer,
                ..Default::default()
            })
            .await?
        }
    };
    Ok((model, tokenizer))
}

/// Names of the files that a model is split into.
fn shards(index: &Path) -> Result<BTreeSet<String>> {
    #[data]
    struct Index {
        weight_map: std::collections::HashMap<String, String>,
    }
    let names: BTreeSet<String> = json::<Index>(index)?.weight_map.into_values().collect();
    match names.iter().find(|name| Path::new(name).file_name() != Some(name.as_ref())) {
        Some(name) => Err(Error::input(format!(
            "{}: {name:?} is not the name of a file in the same folder",
            index.display()
        ))),
        None => Ok(names),
    }
}

impl Files {
    /// Looks for the files of `config` in the folders of the model and of its tokenizer.
    pub(crate) fn find(model: &Path, tokenizer: &Path, config: &LocalConfig) -> Result<Self> {
        let weights = match &config.file {
            Some(file) if file.to_lowercase().ends_with(".gguf") => {
                WeightFiles::Gguf(whole(&model.join(file)))
            }
            Some(file) => {
                return Err(Error::config(format!(
                    "`file` is {file:?}; it must name a GGUF file, which ends in .gguf"
                )));
            }
            None if model.join(CONFIG).exists() => WeightFiles::Safetensors {
                config: model.join(CONFIG),
                shards: match (model.join(WEIGHTS), model.join(INDEX)) {
                    (_, index) if !model.join(WEIGHTS).exists() && index.exists() => {
                        shards(&index)?.iter().map(|name| model.join(name)).collect()
                    }
                    (single, _) => vec![single],
                },
            },
            None => WeightFiles::Gguf(whole(&only_gguf(model)?)),
        };
        Ok(Self { weights, folder: tokenizer.to_owned() })
    }

    pub(crate) fn tokenizer(&self) -> PathBuf {
        self.folder.join(TOKENIZER)
    }

    /// `tokenizer_config.json`; null if there is none.
    pub(crate) fn tokenizer_config(&self) -> Result<Value> {
        Ok(optional(&self.folder.join(TOKENIZER_CONFIG))?.unwrap_or_default())
    }

    /// The template in its own file, which newer models have.
    pub(crate) fn template(&self) -> Result<Option<String>> {
        let path = self.folder.join(TEMPLATE);
        if path.exists() {
            return String::from_utf8(unmarked_bytes(&read(&path)?).into())
                .map(Some)
                .map_err(|_| Error::input(format!("{} is not UTF-8", path.display())));
        }
        let path = self.folder.join(TEMPLATE_JSON);
        let Some(file) = optional::<Value>(&path)? else { return Ok(None) };
        match file["chat_template"].as_str() {
            Some(template) => Ok(Some(template.to_owned())),
            None => Err(Error::input(format!("{} has no text `chat_template`", path.display()))),
        }
    }

    /// Tokens that end an answer, by `generation_config.json`.
    pub(crate) fn ends(&self) -> Result<Vec<u32>> {
        #[data]
        #[derive(Default)]
        #[serde(default)]
        struct Generation {
            eos_token_id: Option<Ends>,
        }
        let generation: Option<Generation> = optional(&self.folder.join(GENERATION))?;
        Ok(generation.and_then(|generation| generation.eos_token_id).map_or_else(Vec::new, Vec::from))
    }

    /// How the publisher recommends to sample, by `generation_config.json`.
    pub(crate) fn recommended(&self) -> Result<Recommended> {
        let generation: Value = optional(&self.folder.join(GENERATION))?.unwrap_or_default();
        let number = |key: &str| generation[key].as_f64();
        Ok(Recommended {
            temperature: number("temperature"),
            top_p: number("top_p"),
            top_k: number("top_k").map(|count| count as usize),
        }
        .usable())
    }
}

/// What a model's publisher recommends for sampling.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Recommended {
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
    pub(crate) top_k: Option<usize>,
}

impl Recommended {
    /// Without values that mean nothing, such as a temperature below 0.
    pub(crate) fn usable(self) -> Self {
        Self {
            temperature: self.temperature.filter(|value| value.is_finite() && *value >= 0.0),
            top_p: self.top_p.filter(|value| (0.0..=1.0).contains(value)),
            ..self
        }
    }

    /// These, and `other` for what is missing.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            temperature: self.temperature.or(other.temperature),
            top_p: self.top_p.or(other.top_p),
            top_k: self.top_k.or(other.top_k),
        }
    }
}

/// All parts of the model that the file at `path` is a part of, in their order.
fn whole(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match parts(&name) {
        Some(parts) => parts.iter().map(|part| path.with_file_name(part)).collect(),
        None => vec![path.to_owned()],
    }
}

fn only_gguf(folder: &Path) -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).context(format!("reading the folder {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "gguf") {
            found.push(path);
        }
    }
    // The parts of one model are one.
    found.sort();
    found.dedup_by_key(|path| whole(path));
    match (found.pop(), found.is_empty()) {
        (Some(path), true) => Ok(path),
        (None, _) => Err(Error::not_found(format!(
            "{} contains neither {CONFIG} nor a .gguf file; for a GGUF file on the hub, set `file` to its name",
            folder.display()
        ))),
        (Some(_), false) => Err(Error::config(format!(
            "{} contains several .gguf files; choose one with `file`",
            folder.display()
        ))),
    }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::not_found(format!(
            "{} is missing; a model has {CONFIG} and {WEIGHTS} (or {INDEX} and its parts), or a GGUF file; next to \
             safetensors also {TOKENIZER}, which may be elsewhere: `tokenizer` says where",
            path.display()
        )),
        _ => Error::input(format!("{}: {error}", path.display())),
    })
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_slice(unmarked_bytes(&read(path)?))
        .map_err(|error| Error::input(format!("{}: {error}", path.display())))
}

fn optional<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if path.exists() { json(path).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gguf_file_is_a_model_of_its_own() {
        let named = |model: &str| {
            let config = LocalConfig { model: ConfigPath(model.into()), ..LocalConfig::default() };
            let LocalConfig { model, file, .. } = file_of_its_own(config);
            (model.to_string_lossy().into_owned(), file)
        };
        assert_eq!(named("models/tiny.gguf"), ("models".into(), Some("tiny.gguf".into())));
        assert_eq!(named("tiny.GGUF"), (".".into(), Some("tiny.GGUF".into())));
        assert_eq!(named("models/tiny"), ("models/tiny".into(), None));
        assert_eq!(named("hf:owner/tiny.gguf"), ("hf:owner/tiny.gguf".into(), None));
    }

    #[test]
    fn any_part_names_all() {
        let all = ["a-00001-of-00002.gguf", "a-00002-of-00002.gguf"];
        assert_eq!(parts(all[1]).unwrap(), all);
        for other in ["a.gguf", "a-00003-of-00002.gguf", "a-1-of-2.gguf", "a-00001-of-00002.bin"] {
            assert_eq!(parts(other), None, "{other}");
        }
    }
}
