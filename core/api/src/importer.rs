//! Importers: real data into trajectories.

use std::path::PathBuf;
use std::sync::Arc;

use crate::{Result, critic::Progress, interface, trajectory::Trajectory};

/// Turns a data set's own format into trajectories.
#[interface("forethought.importer/1")]
pub trait Importer: Send + Sync {
    /// Reads `path` (a file or the data set's folder).
    ///
    /// # Errors
    /// Malformed input, naming file and line.
    async fn import(&self, path: PathBuf, progress: Arc<dyn Progress>) -> Result<Vec<Trajectory>>;
}
