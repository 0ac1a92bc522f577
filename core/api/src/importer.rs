//! Importers: trajectories from real data.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Result, critic::Progress, interface, trajectory::Trajectory};

/// Converts a data set's own format into trajectories.
///
/// ```
/// use forethought_api::{Result, critic::*, error::Context, importer::Importer, trajectory::*};
/// # use std::{path::PathBuf, sync::Arc};
///
/// /// One trajectory per line, one action per word.
/// struct Words;
///
/// #[async_trait::async_trait]
/// impl Importer for Words {
///     async fn import(&self, path: PathBuf, _: Arc<dyn Progress>) -> Result<Vec<Trajectory>> {
///         let text = std::fs::read_to_string(&path).context(path.display().to_string())?;
///         let step = |word: &str| Step { action: word.into(), ..Default::default() };
///         let steps = |line: &str| line.split(' ').map(step).collect();
///         Ok(text.lines().map(|line| Trajectory { steps: steps(line), ..Default::default() }).collect())
///     }
/// }
///
/// # futures::executor::block_on(async {
/// # let path = std::env::temp_dir().join(format!("forethought-words-{}", std::process::id()));
/// std::fs::write(&path, "look take drop\nlook")?;
/// let trajectories = Words.import(path.clone(), Arc::new(NoProgress)).await?;
/// assert_eq!(trajectories[0].steps[1].action, "take");
/// # std::fs::remove_file(path)?;
/// # Result::<()>::Ok(()) }).unwrap();
/// ```
#[interface("forethought.importer/1")]
pub trait Importer: Send + Sync {
    /// Reads `path`, a file or the data set's folder.
    ///
    /// # Errors
    /// If the input is missing or malformed; the message names file and line.
    async fn import(&self, path: PathBuf, progress: Arc<dyn Progress>) -> Result<Vec<Trajectory>>;
    /// Reads `path`, and says what of it the trajectories do not have.
    ///
    /// # Errors
    /// As [`Importer::import`].
    async fn read(&self, path: PathBuf, progress: Arc<dyn Progress>) -> Result<Imported> {
        let trajectories = self.import(path, progress).await?;
        Ok(Imported { trajectories, ..Imported::default() })
    }
}

/// What an importer made of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Imported {
    /// The trajectories.
    pub trajectories: Vec<Trajectory>,
    /// What the file has and the trajectories have not, such as `images`, and how often.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<String, u64>,
    /// What else should be known of them, such as `trajectories without a reward`, and how often.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, u64>,
}
