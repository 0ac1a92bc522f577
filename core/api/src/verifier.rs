//! Verifiers: agreement of an environment with golden outputs, counted.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Result, critic::Progress, interface};

/// Compares an environment with golden outputs of its reference implementation.
///
/// ```
/// use forethought_api::{Result, critic::*, error::Context, verifier::*};
/// # use std::{path::PathBuf, sync::Arc};
///
/// /// Checks an implementation of doubling against lines such as `2 4`.
/// struct Doubling;
///
/// #[async_trait::async_trait]
/// impl Verifier for Doubling {
///     async fn verify(&self, data: PathBuf, _: Arc<dyn Progress>) -> Result<Vec<Check>> {
///         let mut check = Check::new("doubles");
///         for line in std::fs::read_to_string(&data).context(data.display().to_string())?.lines() {
///             let (number, golden) = line.split_once(' ').unwrap_or_default();
///             let doubled = number.parse::<u32>()? * 2;
///             check.count(golden == doubled.to_string(), || format!("{doubled}, not {golden}"));
///         }
///         Ok(vec![check])
///     }
/// }
///
/// # futures::executor::block_on(async {
/// # let data = std::env::temp_dir().join(format!("forethought-doubles-{}", std::process::id()));
/// std::fs::write(&data, "2 4\n3 7")?;
/// let checks = Doubling.verify(data.clone(), Arc::new(NoProgress)).await?;
/// assert_eq!((checks[0].passed, checks[0].total), (1, 2));
/// # std::fs::remove_file(data)?;
/// # Result::<()>::Ok(()) }).unwrap();
/// ```
#[interface("forethought.verifier/1")]
pub trait Verifier: Send + Sync {
    /// Runs every check that the files under `data` allow.
    ///
    /// # Errors
    /// If a file is missing or malformed; the message names it. A disagreement is counted and is not an error.
    async fn verify(&self, data: PathBuf, progress: Arc<dyn Progress>) -> Result<Vec<Check>>;
}

/// Comparisons of one kind, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Check {
    /// What is compared.
    pub name: String,
    /// Number of comparisons.
    pub total: u64,
    /// Number of comparisons that agreed.
    pub passed: u64,
    /// The first few disagreements, for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

impl Check {
    /// A check without comparisons.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
    /// Counts one comparison; `failure` describes it if it is among the first five that disagree.
    pub fn count(&mut self, agrees: bool, failure: impl FnOnce() -> String) {
        self.total += 1;
        if agrees {
            self.passed += 1;
        } else if self.failures.len() < 5 {
            self.failures.push(failure());
        }
    }
}
