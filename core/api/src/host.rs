//! What the program offers to a component while building it.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result, behaviour::ScriptedBehaviour, critic::Critic, encoder::TextEncoder, interface,
    llm::LlmBackend, planner::Planner,
};

/// Other components by their configured names, and files by their source.
///
/// Each method has a default body for hosts that do not offer it: no such component, no behaviours, no files.
#[interface("forethought.host/1")]
pub trait Host: Send + Sync {
    /// The planner configured as `[planner.<name>]`: planners are trees.
    async fn planner(&self, name: String) -> Result<Arc<dyn Planner>> {
        Err(Error::not_found(format!("this host has no planner `{name}`")))
    }
    /// The encoder configured as `[encoder.<name>]`, behind the runtime's embedding cache.
    async fn encoder(&self, name: String) -> Result<Arc<dyn TextEncoder>> {
        Err(Error::not_found(format!("this host has no encoder `{name}`")))
    }
    /// The critic configured as `[critic.<name>]`.
    #[wire("value")]
    async fn critic(&self, name: String) -> Result<Arc<dyn Critic>> {
        Err(Error::not_found(format!("this host has no critic `{name}`")))
    }
    /// The language model configured as `[llm.<name>]`. Planners get theirs from
    /// [`Models`](crate::planner::Models), where calls are recorded.
    async fn llm(&self, name: String) -> Result<Arc<dyn LlmBackend>> {
        Err(Error::not_found(format!("this host has no language model `{name}`")))
    }
    /// Every registered behaviour, by kind name.
    #[wire("skills")]
    async fn behaviours(&self) -> Result<Vec<(String, Arc<dyn ScriptedBehaviour>)>> {
        Ok(Vec::new())
    }
    /// The folder that holds the requested files: a local folder, or `hf:owner/name@revision`, fetched and verified.
    async fn model_files(&self, request: ModelFiles) -> Result<PathBuf> {
        Err(Error::not_found(format!("this host fetches no model files, not even `{}`", request.source)))
    }
}

/// Files of a model that a component needs on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ModelFiles {
    /// A folder, `hf:owner/name`, or `hf:owner/name@revision`.
    pub source: String,
    /// Required files, relative to the folder.
    pub required: Vec<String>,
    /// Files to fetch if the source has them.
    pub optional: Vec<String>,
    /// The same, but without a part in the ids of episodes: for settings that the component's own identity has, such as
    /// an encoder's id, and that older versions did not read.
    pub aside: Vec<String>,
}
