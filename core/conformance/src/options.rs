//! How thoroughly to check, and with what settings.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::Checked;

/// Settings of a check; the defaults are what `forethought plugin check` uses.
#[derive(Clone)]
pub struct Options {
    /// Keys of the component's configuration. Required keys that are missing get a default of the schema, or a word of
    /// the kit's own where any name will do.
    pub config: Map<String, Value>,
    /// Steps after which memory must not have grown; 0 leaves that rule out.
    pub steps: u64,
    /// Episodes, or other pieces of work, that the rules compare.
    pub episodes: u64,
    /// Seed of everything that the kit draws.
    pub seed: u64,
    /// How long one call may take.
    pub timeout: Duration,
    /// Actions worth trying in an environment that does not list its legal ones. Without them the kit tries what it
    /// finds in the instructions, such as `search[...]`, filled with words of the observation.
    pub actions: Vec<String>,
    /// Most calls of models that one decision may take.
    pub calls: u64,
    /// Memory of the process in which the component runs, in bytes; this process's own by default. For a child, see
    /// [`resident`](crate::resident).
    pub memory: Arc<dyn Fn() -> Option<u64> + Send + Sync>,
    /// Told of every rule when it has been checked.
    pub progress: Arc<dyn Fn(&Checked) + Send + Sync>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: Map::new(),
            steps: 10_000,
            episodes: 5,
            seed: 0,
            timeout: Duration::from_secs(30),
            actions: Vec::new(),
            calls: 1000,
            memory: Arc::new(|| crate::resident(std::process::id())),
            progress: Arc::new(|_| {}),
        }
    }
}
