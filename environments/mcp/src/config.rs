//! What a user writes under `[environment]`.

use std::collections::BTreeMap;

use forethought_sdk::prelude::*;

/// Settings of a world that consists of an MCP server's tools.
#[config]
#[derive(Debug, Clone, Serialize)]
#[serde(default)]
pub struct McpConfig {
    /// The server as a program and its arguments, which speaks MCP over its standard input and output. It is started
    /// without a shell.
    #[serde(skip_serializing_if = "ConfigCommand::is_empty")]
    pub command: ConfigCommand,
    /// Folder in which the command runs; by default that of the file that names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("writeOnly" = true))]
    pub folder: Option<ConfigPath>,
    /// Names of the environment variables that the command gets, besides PATH, HOME, LANG and the like.
    pub variables: Vec<String>,
    /// Instead of a command: the address of a server that speaks streamable HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Name of the environment variable that holds the token for `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// Whether all episodes use one server, which keeps what they change. By default each episode starts its own.
    pub shared: bool,
    /// The tools that are offered; by default all that the server has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// The tasks: JSON Lines, each with a `prompt`, and with `setup`, `check`, `scorer` and `data` if needed.
    pub tasks: ConfigPath,
    /// What words without a call do.
    pub words: Words,
    /// Tools whose call ends the episode.
    pub ends_with: Vec<String>,
    /// Actions after which an episode is cut off; 0 for no limit.
    pub max_steps: u32,
    /// Seconds that the server may take for each answer, and for its start.
    #[schemars(range(min = 0.01, max = 86_400.0))]
    pub timeout_s: f64,
    /// The most that the server may send between two requests, in bytes.
    #[schemars(range(min = 1024))]
    pub max_answer_bytes: u64,
    /// Programs that score tasks, by the names that tasks use.
    pub scripts: BTreeMap<String, ScriptConfig>,
    /// Name of the language model that grades tasks with a rubric, as in `[llm.<name>]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<LlmName>")]
    pub judge: Option<String>,
}

impl Default for McpConfig {
    fn default() -> Self {
        Self {
            command: ConfigCommand::default(),
            folder: None,
            variables: Vec::new(),
            url: None,
            token_env: None,
            shared: false,
            tools: None,
            tasks: ConfigPath::default(),
            words: Words::Answer,
            ends_with: Vec::new(),
            max_steps: 30,
            timeout_s: 60.0,
            max_answer_bytes: 4 << 20,
            scripts: BTreeMap::new(),
            judge: None,
        }
    }
}

/// What words without a call do.
#[config]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Words {
    /// They are the final answer, and end the episode.
    #[default]
    Answer,
    /// Nothing: the episode goes on.
    Continue,
}

/// A program that scores: JSON on its standard input, `{"reward": 0.5, "success": true}` on its standard output.
#[config]
#[derive(Debug, Clone, Serialize)]
pub struct ScriptConfig {
    /// The program and its arguments. It is started without a shell.
    pub command: ConfigCommand,
    /// Folder in which it runs; by default that of the file that names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("writeOnly" = true))]
    pub folder: Option<ConfigPath>,
    /// Names of the environment variables that it gets, besides PATH, HOME, LANG and the like.
    #[serde(default)]
    pub variables: Vec<String>,
    /// Seconds that it may take.
    #[serde(default = "minute")]
    #[schemars(range(min = 0.01, max = 86_400.0))]
    pub timeout_s: f64,
}

fn minute() -> f64 {
    60.0
}
