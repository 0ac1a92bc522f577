//! `[serve]`: where and how `forethought serve` answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How `forethought serve` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServeConfig {
    /// The address and port to listen on. Another address than loopback needs `token_env`.
    pub address: String,
    /// Decisions in flight at once, at most. Requests beyond it are answered with status 429.
    #[schemars(range(min = 1, max = 65_536))]
    pub concurrency: usize,
    /// Seconds after which a session that waits for its next request is ended.
    #[schemars(range(min = 1.0, max = 1e7))]
    pub idle_s: f64,
    /// The model or role that `record` passes requests on to: a name under `[llm]` or `[roles]`. By default the only
    /// model, or the one called `main` or `actor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// Name of the environment variable that holds the token which clients must send as their API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// The largest request, in bytes.
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub max_body: usize,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:4114".into(),
            concurrency: 256,
            idle_s: 3600.0,
            record: None,
            token_env: None,
            max_body: 16 << 20,
        }
    }
}
