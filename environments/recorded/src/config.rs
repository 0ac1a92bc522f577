//! What a user writes under `[environment]` and `[planner.NAME]`.

use forethought_sdk::prelude::*;

/// Settings of the world of recorded episodes.
#[config]
#[derive(Debug, Clone, Default, Serialize)]
#[serde(default)]
pub struct RecordedConfig {
    /// The trajectories: a file of JSON Lines, or a folder of them, as `forethought import` and `collect` write them.
    pub data: ConfigPath,
    /// Only the trajectories of this seat, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seat: Option<usize>,
    /// The rules, as a summariser is told them. By default the instructions of the trajectories, if all have the same.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instructions: String,
    /// Where rewards come from; by default they are those of the file.
    pub reward: RewardConfig,
}

/// Where rewards come from: a script, a judge, or a column. Each gives an episode one reward, at its end.
#[config]
#[derive(Debug, Clone, Serialize)]
#[serde(default)]
pub struct RewardConfig {
    /// A program and its arguments: reads the trajectory as JSON, answers `{"reward": 0.5, "success": true}`. It is started
    /// without a shell.
    #[serde(skip_serializing_if = "ConfigCommand::is_empty")]
    pub script: ConfigCommand,
    /// Folder in which the script runs; by default that of the file that names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("writeOnly" = true))]
    pub folder: Option<ConfigPath>,
    /// Names of the environment variables that the script gets, besides PATH, HOME, LANG and the like.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
    /// Seconds that the script may take for an episode.
    #[schemars(range(min = 0.01, max = 86_400.0))]
    pub timeout_s: f64,
    /// Name of the language model that grades episodes by `rubric`, as in `[llm.<name>]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<LlmName>")]
    pub judge: Option<String>,
    /// What the judge grades by.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rubric: String,
    /// A place in each trajectory, such as `info.score`: a number, or true and false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
}

impl Default for RewardConfig {
    fn default() -> Self {
        Self {
            script: ConfigCommand::default(),
            folder: None,
            variables: Vec::new(),
            timeout_s: 60.0,
            judge: None,
            rubric: String::new(),
            column: None,
        }
    }
}

/// The planner that repeats has no settings.
#[config]
#[derive(Debug, Clone, Default)]
pub struct RepeatConfig {}
