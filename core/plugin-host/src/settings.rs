//! The configuration of one plugin.

use std::path::Path;

use forethought_api::registry::ConfigPath;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A plugin, and how far it is trusted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PluginSettings {
    /// A library, a folder of libraries, or a name that is looked for in the search folders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PluginPath>,
    /// Instead of a path: a program and its arguments, which speaks the messages over its standard input and output.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Folder in which the command runs; by default that of the file that names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<ConfigPath>,
    /// The SHA-256 that the library must have, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where a library runs: in this program, or in a process of its own.
    pub isolation: Isolation,
    /// Seconds that a call may take.
    #[schemars(range(min = 0.001))]
    pub deadline_s: f64,
    /// Times in a row that a process that ended is started again. Only failures without a finished episode in between
    /// are counted.
    pub restarts: u32,
    /// The largest answer in MiB.
    #[schemars(range(min = 1))]
    pub max_answer_mb: u64,
    /// Memory that a process may use, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub memory_mb: Option<u64>,
}

impl Default for PluginSettings {
    fn default() -> Self {
        Self {
            path: None,
            command: Vec::new(),
            folder: None,
            sha256: None,
            isolation: Isolation::Library,
            deadline_s: 600.0,
            restarts: 3,
            max_answer_mb: 256,
            memory_mb: None,
        }
    }
}

/// Where a library runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// In this program: fast, and what ends it ends the program.
    #[default]
    Library,
    /// In a process of its own, which may crash.
    Process,
}

/// A path to a library or a folder of libraries; or a bare name such as `tide-pools`, which is found in the search
/// folders. Relative paths resolve against the file that names them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PluginPath(pub String);

impl PluginPath {
    /// Whether this is a name, not a path.
    pub fn is_name(&self) -> bool {
        is_name(&self.0)
    }
}

/// Whether `text` is a plugin's name, not the path of a library or of a script.
pub fn is_name(text: &str) -> bool {
    let library = Path::new(text)
        .extension()
        .is_some_and(|ending| ["so", "dylib", "dll", "py"].contains(&&*ending.to_string_lossy()));
    !library && !text.contains(['/', '\\']) && !text.starts_with('.')
}

impl JsonSchema for PluginPath {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PluginPath".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "plugin", "minLength": 1 })
    }
}
