//! A plugin's root object: what it brings, and how to build it. The same over a library's entry point and over a pipe.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Result, host::Host, interface, registry::Component};

/// What a plugin hands to the program first.
#[interface("forethought.module/1")]
pub trait Module: Send + Sync {
    /// What it is and what it brings.
    async fn describe(&self) -> Result<Description>;
    /// Builds a component.
    ///
    /// # Errors
    /// If it brings no such component, or the component cannot be built from `create.config`.
    async fn create(&self, create: Create, host: Arc<dyn Host>) -> Result<Component>;
    /// Asks it to end what it has under way; nothing is called after that.
    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }
}

/// What a plugin says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Description {
    /// Name of the package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Its components.
    pub components: Vec<Described>,
}

impl Description {
    /// A description of these components.
    pub fn new(package: impl Into<String>, version: impl Into<String>, components: Vec<Described>) -> Self {
        Self { package: package.into(), version: version.into(), components }
    }
}

/// What a plugin says of one of its components.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Described {
    /// Interface name and major version, such as `forethought.environment/1`.
    pub interface: String,
    /// Kind name, as written after `kind =` in a config.
    pub kind: String,
    /// One line for `list`.
    pub summary: String,
    /// JSON Schema of its configuration.
    pub schema: Value,
}

/// Which component to build, and of what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Create {
    /// Interface name and major version.
    pub interface: String,
    /// Kind name.
    pub kind: String,
    /// Its configuration, without the `kind` key.
    pub config: Value,
}
