//! The settings of the three backends.

use forethought_sdk::prelude::*;

/// Settings of a backend that records another one.
#[config]
#[derive(Debug, Clone)]
pub struct RecordConfig {
    /// Name of the language model under `[llm]` that answers.
    #[schemars(with = "LlmName")]
    pub llm: String,
    /// The file to which the answers are appended.
    #[schemars(extend("writeOnly" = true))]
    pub cassette: ConfigPath,
}

/// Settings of a backend that replays a cassette.
#[config]
#[derive(Debug, Clone)]
pub struct ReplayConfig {
    /// The file with the answers.
    pub cassette: ConfigPath,
    /// What happens when a request is made more often than it was recorded.
    #[serde(default)]
    pub after: After,
}

/// What happens when a request is made more often than it was recorded.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// An error.
    #[default]
    Error,
    /// Its answers are given again, from the first.
    Cycle,
}

/// Settings of a script.
#[config]
#[derive(Debug, Clone)]
pub struct ScriptConfig {
    /// The answers in the order in which they are given, or a file with one answer per line, as JSON.
    pub answers: Answers,
}

/// Where the answers are.
#[config]
#[derive(Debug, Clone)]
#[serde(untagged)]
pub enum Answers {
    /// In the config.
    Listed(Vec<Line>),
    /// In a file, one per line.
    File(ConfigPath),
}

/// One answer.
#[config]
#[derive(Debug, Clone, PartialEq, Eq)]
#[serde(untagged, deny_unknown_fields)]
pub enum Line {
    /// To any request.
    Text(String),
    /// To a request that contains a text.
    Expecting {
        /// Text that one of the request's messages must contain.
        #[serde(default)]
        expect: String,
        /// The answer.
        text: String,
    },
}
