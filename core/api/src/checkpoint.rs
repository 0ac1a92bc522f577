//! What a trained critic's checkpoint states, whichever trainer wrote it.
//!
//! A checkpoint is a folder laid out as on the Hugging Face Hub: [`WEIGHTS`], [`CONFIG`] and [`CARD`]. The
//! [`Manifest`] is part of `config.json`; everything else there belongs to the trainer and its critic.
//!
//! ```json
//! { "format": "my-critic/1", "split": { "train": ["episode-1"], "validation": [], "test": ["episode-2"] } }
//! ```

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result, critic::Vocabulary, error::Context};

/// The file of the weights.
pub const WEIGHTS: &str = "model.safetensors";
/// The file of the configuration, with the [`Manifest`] in it.
pub const CONFIG: &str = "config.json";
/// The model card.
pub const CARD: &str = "README.md";

/// The keys that `config.json` of every checkpoint has, at the top level.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// Name and version of the rest of the file, such as `forethought-goal-q/1`. A critic refuses formats that it does
    /// not know. Empty in checkpoints of release 0.1 that do not state it.
    pub format: String,
    /// Which episodes were used for what.
    pub split: Split,
    /// Which tasks were learned from; `None` in checkpoints of release 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_on: Option<TrainedOn>,
}

/// Episode ids by part. An evaluation must leave out `train`, and should leave out `validation`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Split {
    /// Learned from.
    pub train: Vec<String>,
    /// Used to choose the step and to fit the calibration.
    #[serde(default)]
    pub validation: Vec<String>,
    /// Only measured on.
    #[serde(default)]
    pub test: Vec<String>,
}

/// The tasks that a critic has learned from, as [`TrainingRequest::trained_on`](crate::critic::TrainingRequest::trained_on)
/// lists them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrainedOn {
    /// Hash of the environment's configuration: in another world, the same number is another task.
    pub configuration: String,
    /// Task ids by the environment's name.
    pub tasks: BTreeMap<String, BTreeSet<u64>>,
}

/// How a critic groups sentences by what they mean, where a `config.json` says so: under `vocabulary`, or as `goal-q`
/// has it under `understanding`.
pub fn vocabulary(config: &Value) -> Option<Vocabulary> {
    let found = config.get("vocabulary").or_else(|| config.pointer("/understanding/vocabulary"))?;
    Vocabulary::deserialize(found).ok()
}

impl Manifest {
    /// The manifest in a `config.json`. Release 0.1 wrote some splits under `training`; they are found there.
    ///
    /// # Errors
    /// If there is no split, or not in this form.
    pub fn of(config: &Value) -> Result<Self> {
        let format = config["format"].as_str().unwrap_or_default().to_owned();
        let split = config.get("split").or_else(|| config.pointer("/training/split")).ok_or_else(|| {
            Error::input(
                "no key `split`: it does not say which episodes the critic has seen, so no episode can be called \
                 held out",
            )
        })?;
        let split = Split::deserialize(split).context("`split`")?;
        let trained_on = config.get("trained_on").and_then(|tasks| TrainedOn::deserialize(tasks).ok());
        Ok(Self { format, split, trained_on })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(config: Value, format: &str, [train, validation, test]: [&[&str]; 3]) {
        let part = |ids: &[&str]| ids.iter().map(|id| id.to_string()).collect();
        let split = Split { train: part(train), validation: part(validation), test: part(test) };
        let expected = Manifest { format: format.into(), split, trained_on: None };
        assert_eq!(Manifest::of(&config).unwrap(), expected);
    }

    #[test]
    fn the_split_is_found_where_it_is_and_where_it_was() {
        let split = json!({ "train": ["e1", "e2"], "validation": ["e3"], "test": ["e4"] });
        let all: [&[&str]; 3] = [&["e1", "e2"], &["e3"], &["e4"]];
        check(json!({ "format": "mine/2", "split": split, "more": 1 }), "mine/2", all);
        // Release 0.1: goal-q, acts, and the trainer that `plugin new` wrote.
        check(
            json!({ "format": "forethought-goal-q/1", "training": { "split": split } }),
            "forethought-goal-q/1",
            all,
        );
        check(
            json!({ "format": "forethought-acts/1", "split": { "train": ["e1", "e2"], "test": ["e4"] } }),
            "forethought-acts/1",
            [&["e1", "e2"], &[], &["e4"]],
        );
        check(
            json!({ "outcomes": [], "training": { "split": { "train": ["e1"], "validation": [] } } }),
            "",
            [&["e1"], &[], &[]],
        );
    }

    #[test]
    fn a_checkpoint_without_a_split_is_refused() {
        for (config, part) in [
            (json!({ "format": "mine/1", "training": {} }), "no key `split`"),
            (json!([]), "no key `split`"),
            (json!({ "split": { "test": [] } }), "missing field `train`"),
            (json!({ "split": { "train": [1] } }), "invalid type"),
        ] {
            let error = Manifest::of(&config).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
