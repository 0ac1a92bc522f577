//! Settings of a check.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::Checked;

/// Settings of a check; the defaults are what `forethought plugin check` uses.
#[derive(Clone)]
pub struct Options {
    /// Keys of the component's configuration. Missing required keys get the schema's default, or a name of the kit's
    /// own where any name will do.
    pub config: Map<String, Value>,
    /// Steps after which memory must not have grown; 0 skips that rule.
    pub steps: u64,
    /// Number of episodes, or other pieces of work, that the rules compare.
    pub episodes: u64,
    /// Seed of everything random in the kit.
    pub seed: u64,
    /// How long one call may take.
    pub timeout: Duration,
    /// Actions to try in an environment that does not list its legal ones. By default the kit tries forms that it
    /// finds in the instructions, such as `search[...]`, filled with words of the observation.
    pub actions: Vec<String>,
    /// Maximum number of calls of models per decision.
    pub calls: u64,
    /// Memory of the process in which the component runs, in bytes; by default that of this process. For a child
    /// process, use [`resident`](crate::resident).
    pub memory: Arc<dyn Fn() -> Option<u64> + Send + Sync>,
    /// Called with every rule that has been checked.
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
