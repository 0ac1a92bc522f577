//! Episodes of other programs' agents as trajectories, and episodes of this program in the formats of others.
//!
//! Importers of kind `openai-chat`, `atif`, `inspect`, `verifiers` and `otel-genai`, one file each; their formats'
//! published descriptions are named in its first lines. What they have in common: `conversation` makes steps of
//! messages, `json` names the field that is wrong, `files` bounds what is read, `report` counts what is dropped.
//! [`export`] writes trajectories as ATIF, OpenAI chat messages and Inspect logs.
//!
//! May depend on `forethought-sdk` and plain libraries; never on the runtime or another plugin.

mod chat;
mod conversation;
pub mod export;
mod files;
mod growth;
pub mod import;
mod json;
mod report;

use forethought_sdk::prelude::*;

/// What every importer can be told.
#[config]
#[derive(Default)]
#[serde(default)]
pub struct RecordConfig {
    /// Which of the file's scores is the reward: the name of a score, or a path such as `metadata.judge.score`. By
    /// default the reward of the format, if it has one: see docs/recorded.md.
    pub reward: String,
    /// Environment's name in the trajectories. By default what the file says of its task.
    pub environment: String,
}
