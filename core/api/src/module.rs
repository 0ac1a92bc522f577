//! A plugin's root object, which lists its components and builds them. The same for a library and over a pipe.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Result, host::Host, interface, registry::Component};

/// The first object that a plugin hands to the program.
#[interface("forethought.module/1")]
pub trait Module: Send + Sync {
    /// The package, its version and its components.
    async fn describe(&self) -> Result<Description>;
    /// Builds a component.
    ///
    /// # Errors
    /// If the plugin has no such component, or the component cannot be built from `create.config`.
    async fn create(&self, create: Create, host: Arc<dyn Host>) -> Result<Component>;
    /// Asks the plugin to stop what is in flight; nothing is called after this.
    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }
}

/// Describes a plugin.
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
    /// A description of a plugin with these components.
    pub fn new(package: impl Into<String>, version: impl Into<String>, components: Vec<Described>) -> Self {
        Self { package: package.into(), version: version.into(), components }
    }
}

/// Describes a component of a plugin.
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

/// Which component to build, and its configuration.
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
