//! `[embeddings]`: where vectors of texts are kept across runs.

use std::path::PathBuf;

use forethought_api::registry::ConfigPath;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::embeddings_file;

/// Where vectors of texts are kept across runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddingsConfig {
    /// The file. By default `~/.cache/forethought/embeddings.sqlite`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("writeOnly" = true))]
    pub file: Option<ConfigPath>,
    /// Megabytes that the file may have. The vectors that were kept first make room for new ones. With 0, none are kept.
    #[schemars(range(max = 1_000_000_000))]
    pub max_mb: u64,
}

impl Default for EmbeddingsConfig {
    fn default() -> Self {
        Self { file: None, max_mb: 1024 }
    }
}

impl EmbeddingsConfig {
    /// The file, unless nothing is kept; `None`, too, without a home folder.
    pub fn path(&self) -> Option<PathBuf> {
        if self.max_mb == 0 {
            return None;
        }
        self.file.as_ref().map(|file| file.0.clone()).or_else(embeddings_file)
    }
}
