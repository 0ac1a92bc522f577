//! What is checked: a component of any origin, and how to build it.

use std::sync::Arc;

use forethought_api::{
    Error, Result,
    host::Host,
    registry::{Component, INTERFACES, Registration, linked},
};
use futures_util::future::BoxFuture;
use serde_json::Value;

/// Builds a component from its configuration.
pub type Factory = Arc<dyn Fn(Value, Arc<dyn Host>) -> BoxFuture<'static, Result<Component>> + Send + Sync>;

/// A component to be checked.
#[derive(Clone)]
pub struct Subject {
    /// Interface name and major version, such as `forethought.environment/1`.
    pub interface: String,
    /// Kind name.
    pub kind: String,
    /// The package that provides it.
    pub package: String,
    /// JSON Schema of its configuration.
    pub schema: Value,
    /// Builds it.
    pub create: Factory,
}

impl Subject {
    /// The linked component with an interface's config word, such as `environment`, and a kind.
    ///
    /// # Errors
    /// If no such component is linked; the message lists those that are.
    pub fn linked(word: &str, kind: &str) -> Result<Self> {
        let all = Self::all_linked();
        if let Some(found) = all.iter().find(|one| one.word() == word && one.kind == kind) {
            return Ok(found.clone());
        }
        let known: Vec<_> = all.iter().map(Self::name).collect();
        Err(Error::not_found(format!(
            "no component {word}.{kind} is linked, only {known:?}; `use its_crate as _;` links one"
        )))
    }

    /// Every linked component, sorted by name.
    pub fn all_linked() -> Vec<Self> {
        let mut all: Vec<_> = linked().map(Self::registered).collect();
        all.sort_by_key(Self::name);
        all
    }

    fn registered(registration: &'static Registration) -> Self {
        Self {
            interface: registration.interface.into(),
            kind: registration.kind.into(),
            package: registration.package.into(),
            schema: (registration.schema)().to_value(),
            create: Arc::new(registration.create),
        }
    }

    /// The interface's word in configurations; the interface's name if it has none.
    pub fn word(&self) -> &str {
        let found = INTERFACES.iter().find(|(name, _)| *name == self.interface);
        found.map_or(self.interface.as_str(), |(_, word)| word)
    }

    /// Word and kind, such as `environment.webshop`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.word(), self.kind)
    }
}
