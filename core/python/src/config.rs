//! What a user writes in the section of a component of `kind = "python"`.

use std::time::Duration;

use forethought_sdk::{
    prelude::*,
    schemars::{JsonSchema, Schema, SchemaGenerator, json_schema},
    serde_json::{Map, Value},
};

/// Settings of a component written in Python. All other keys are the component's own.
#[config(open)]
#[derive(Debug, Clone)]
pub struct PythonConfig {
    /// The module that serves it, such as `forethought_kit.gymnasium`, or a file whose name ends in `.py`.
    pub module: PythonModule,
    /// The component's own kind, if the module serves several of this interface.
    #[serde(default)]
    pub component: Option<String>,
    /// The interpreter: a path, or a name that is looked for in PATH. By default that of the active virtual
    /// environment, then that of `.venv` in the folder, then `python3`.
    #[serde(default)]
    pub python: Option<String>,
    /// Folder in which it runs; by default that of the file that names the module.
    #[serde(default)]
    #[schemars(extend("writeOnly" = true))]
    pub folder: Option<ConfigPath>,
    /// Number of processes that share the work: one Python uses one core. Each is started when the others are busy.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 256))]
    pub workers: u32,
    /// Seconds that a call may take, and that building the component may take.
    #[serde(default = "ten_minutes")]
    #[schemars(range(min = 0.001))]
    pub deadline_s: f64,
    /// Times in a row that a process that ended is started again. Only failures without a finished episode in between
    /// are counted.
    #[serde(default = "three")]
    pub restarts: u32,
    /// The largest answer in MiB.
    #[serde(default = "quarter_gibibyte")]
    #[schemars(range(min = 1))]
    pub max_answer_mb: u64,
    /// Memory that a process may use, in MiB.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub memory_mb: Option<u64>,
    /// The component's own settings.
    #[serde(flatten)]
    pub own: Map<String, Value>,
}

fn one() -> u32 {
    1
}
fn three() -> u32 {
    3
}
fn ten_minutes() -> f64 {
    600.0
}
fn quarter_gibibyte() -> u64 {
    256
}

impl PythonConfig {
    /// The longest that a call may take.
    pub(crate) fn deadline(&self) -> Duration {
        Duration::try_from_secs_f64(self.deadline_s).unwrap_or(Duration::MAX)
    }
}

/// A module's name or a file of Python code. Its schema has the format `python`, by which the runtime finds code that a
/// configuration would run: it runs only where all that wrote the section are trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "forethought_sdk::serde", transparent)]
pub struct PythonModule(pub String);

impl PythonModule {
    /// Whether it is a file.
    pub(crate) fn is_file(&self) -> bool {
        self.0.ends_with(".py")
    }
}

impl JsonSchema for PythonModule {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PythonModule".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "python", "minLength": 1 })
    }
}
