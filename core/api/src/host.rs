//! What the program offers to a component while it is built.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Result, behaviour::ScriptedBehaviour, critic::Critic, encoder::TextEncoder, interface, llm::LlmBackend,
    planner::Planner,
};

/// Other components by their configured names, and files by their source.
#[interface("forethought.host/1")]
pub trait Host: Send + Sync {
    /// The planner configured as `[planner.<name>]`: planners are trees.
    async fn planner(&self, name: String) -> Result<Arc<dyn Planner>>;
    /// The encoder configured as `[encoder.<name>]`, behind the runtime's embedding cache.
    async fn encoder(&self, name: String) -> Result<Arc<dyn TextEncoder>>;
    /// The critic configured as `[critic.<name>]`.
    #[wire("value")]
    async fn critic(&self, name: String) -> Result<Arc<dyn Critic>>;
    /// The language model configured as `[llm.<name>]`. Planners get theirs from
    /// [`Models`](crate::planner::Models), where calls are recorded.
    async fn llm(&self, name: String) -> Result<Arc<dyn LlmBackend>>;
    /// Every registered behaviour, by kind name.
    #[wire("skills")]
    async fn behaviours(&self) -> Result<Vec<(String, Arc<dyn ScriptedBehaviour>)>>;
    /// The folder that holds `files` of `source`: a local folder, or `hf:owner/name@revision`, fetched and verified.
    async fn model_files(&self, request: ModelFiles) -> Result<PathBuf>;
}

/// Files of a model, wanted on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ModelFiles {
    /// A folder, `hf:owner/name`, or `hf:owner/name@revision`.
    pub source: String,
    /// Files that must be there, relative to the folder.
    pub required: Vec<String>,
    /// Files that are taken if they are there.
    pub optional: Vec<String>,
}
