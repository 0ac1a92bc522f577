//! `[run] engine`: what plays the episodes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What plays the episodes of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// This process, with a journal in SQLite.
    #[default]
    Sqlite,
    /// Workers that a Restate server calls.
    Restate,
}

impl EngineKind {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `[run.restate]`: where the Restate server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RestateConfig {
    /// The address of its ingress, which takes episodes.
    pub ingress: String,
    /// The address of its admin interface, at which workers register.
    pub admin: String,
    /// Name of the environment variable that holds the token which the server asks for, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
}

impl RestateConfig {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for RestateConfig {
    fn default() -> Self {
        Self {
            ingress: "http://127.0.0.1:8080".into(),
            admin: "http://127.0.0.1:9070".into(),
            token_env: None,
        }
    }
}
