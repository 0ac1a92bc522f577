//! Verifiers: conformance of an environment to golden outputs, counted.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Result, critic::Progress, interface};

/// Compares an environment with golden outputs of its reference implementation.
#[interface("forethought.verifier/1")]
pub trait Verifier: Send + Sync {
    /// Runs every check that the files under `data` allow.
    ///
    /// # Errors
    /// A missing or malformed file, naming it. A disagreement is no error: it is counted.
    async fn verify(&self, data: PathBuf, progress: Arc<dyn Progress>) -> Result<Vec<Check>>;
}

/// One counted comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Check {
    /// What was compared.
    pub name: String,
    /// Comparisons made.
    pub total: u64,
    /// Comparisons that agreed.
    pub passed: u64,
    /// The first few disagreements, for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

impl Check {
    /// An empty check.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
    /// Counts one comparison; `failure` is written down for the first five that disagree.
    pub fn count(&mut self, agrees: bool, failure: impl FnOnce() -> String) {
        self.total += 1;
        if agrees {
            self.passed += 1;
        } else if self.failures.len() < 5 {
            self.failures.push(failure());
        }
    }
}
