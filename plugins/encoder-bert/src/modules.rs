//! The list of a model's modules: the network, its pooling, and what follows.

use std::path::{Component, Path};

use forethought_sdk::{
    prelude::*,
    serde_json::{Map, Value},
};

use crate::folder::optional_json;

/// What `modules.json` lists after the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Modules {
    /// The folder of the pooling, if it is listed.
    pooling: Option<String>,
    pub(crate) after: Vec<After>,
}

/// A module after the pooling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum After {
    Normalize,
    /// In this folder.
    Dense(String),
}

/// The configuration of a pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolingConfig {
    pub(crate) mode: Pooling,
    /// Whether the tokens of a prompt count.
    pub(crate) include_prompt: bool,
}

/// How the vectors of a text's tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooling {
    Mean,
    Cls,
    Max,
    LastToken,
    /// The mean, weighted by position.
    WeightedMean,
    /// The sum over the square root of the number of tokens.
    MeanSqrtLength,
}

impl Pooling {
    const ALL: [Self; 6] =
        [Self::Mean, Self::Cls, Self::Max, Self::LastToken, Self::WeightedMean, Self::MeanSqrtLength];

    /// As it is written in files and in an encoder's id.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
            Self::Max => "max",
            Self::LastToken => "lasttoken",
            Self::WeightedMean => "weightedmean",
            Self::MeanSqrtLength => "mean_sqrt_len_tokens",
        }
    }

    /// The pooling of this name, which older files write with `_tokens` or `_token` behind it.
    fn named(name: &str) -> Option<Self> {
        let own = |pooling: &&Self| {
            let word = pooling.name();
            [word.to_owned(), format!("{word}_tokens"), format!("{word}_token")].iter().any(|own| own == name)
        };
        Self::ALL.iter().find(own).copied()
    }
}

#[data]
#[derive(Debug)]
struct Entry {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Modules {
    pub(crate) const FILE: &str = "modules.json";
    /// The usual place.
    pub(crate) const POOLING: &str = "1_Pooling/config.json";

    /// The list in `folder`. Without one, only the usual pooling.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(Self::FILE);
        let mut modules = Self { pooling: None, after: Vec::new() };
        for entry in optional_json::<Vec<Entry>>(&path)?.unwrap_or_default() {
            modules.add(&entry).context(format!("{} is not supported", path.display()))?;
        }
        Ok(modules)
    }

    fn add(&mut self, Entry { path, kind }: &Entry) -> Result<()> {
        let plain =
            !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        // Versions differ in the path before the class.
        match kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" if path.is_empty() => {}
            "Transformer" => {
                return Err(Error::config(format!(
                    "the network is in {path:?}, and only the model's own folder is read"
                )));
            }
            "Pooling" if plain && self.pooling.is_none() => self.pooling = Some(path.clone()),
            "Dense" if plain && self.pooling.is_some() => self.after.push(After::Dense(path.clone())),
            "Normalize" => self.after.push(After::Normalize),
            // It changes nothing outside of training.
            "Dropout" => {}
            "Pooling" | "Dense" => {
                return Err(Error::config(format!(
                    "{kind} in {path:?} does not follow the usual order: one pooling, then the layers, each in a folder of \
                     its own"
                )));
            }
            _ => {
                return Err(Error::config(format!(
                    "the module {kind}: only Transformer, Pooling, Dense, Normalize and Dropout are supported"
                )));
            }
        }
        Ok(())
    }

    /// Files that the list requires, besides the usual ones.
    pub(crate) fn files(&self) -> Vec<String> {
        let pooling = self.pooling.iter().map(String::as_str);
        let all = pooling.chain(self.weights()).map(|place| format!("{place}/config.json"));
        all.filter(|file| file != Self::POOLING).collect()
    }

    /// Folders of modules that have weights.
    pub(crate) fn weights(&self) -> impl Iterator<Item = &str> {
        self.after.iter().filter_map(|module| match module {
            After::Dense(place) => Some(place.as_str()),
            After::Normalize => None,
        })
    }

    /// The pooling that `folder` names; by default the mean, as in sentence-transformers.
    pub(crate) fn pooling(&self, folder: &Path) -> Result<PoolingConfig> {
        let path = match &self.pooling {
            Some(place) => folder.join(place).join("config.json"),
            None => folder.join(Self::POOLING),
        };
        let Some(config) = optional_json::<Map<String, Value>>(&path)? else {
            if self.pooling.is_some() {
                return Err(Error::not_found(format!(
                    "{} names a pooling, but {} is missing",
                    folder.join(Self::FILE).display(),
                    path.display()
                )));
            }
            tracing::warn!(
                "{} names no pooling: the mean is assumed, as sentence-transformers does",
                folder.display()
            );
            return Ok(PoolingConfig { mode: Pooling::Mean, include_prompt: true });
        };
        let mut chosen: Vec<String> = config
            .iter()
            .filter(|(_, value)| value.as_bool() == Some(true))
            .filter_map(|(key, _)| key.strip_prefix("pooling_mode_").map(str::to_owned))
            .collect();
        match config.get("pooling_mode") {
            // What is written in the newer way decides.
            Some(Value::String(mode)) => chosen = vec![mode.clone()],
            Some(Value::Array(modes)) => {
                chosen = modes.iter().filter_map(|mode| mode.as_str().map(str::to_owned)).collect();
            }
            _ => {}
        }
        let mode = match &chosen[..] {
            [one] => Pooling::named(one),
            _ => None,
        };
        let mode = mode.ok_or_else(|| {
            Error::config(format!(
                "{}: the pooling {chosen:?} is not supported; one of {} is",
                path.display(),
                Pooling::ALL.map(Pooling::name).join(", ")
            ))
        })?;
        let include_prompt = config.get("include_prompt").and_then(Value::as_bool).unwrap_or(true);
        Ok(PoolingConfig { mode, include_prompt })
    }
}
