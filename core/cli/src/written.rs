//! Trajectories as files.

use std::path::{Path, PathBuf};

use forethought_api::{Result, trajectory::Trajectory};
use forethought_runtime::trajectories;
use serde::Serialize;

/// What was written.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    /// Trajectories.
    pub(crate) trajectories: usize,
    /// Their steps together.
    pub(crate) steps: usize,
    /// Their mean sum of rewards.
    pub(crate) mean_score: f64,
    /// The files.
    pub(crate) files: Vec<PathBuf>,
}

/// Writes trajectories into a folder, in both formats.
pub(crate) fn write(out: &Path, trajectories: &[Trajectory]) -> Result<Written> {
    std::fs::create_dir_all(out)?;
    let files = ["parquet", "jsonl"].map(|extension| out.join("trajectories").with_extension(extension));
    for file in &files {
        trajectories::write(file, trajectories)?;
    }
    let scores: f64 = trajectories.iter().map(Trajectory::score).sum();
    Ok(Written {
        trajectories: trajectories.len(),
        steps: trajectories.iter().map(|one| one.steps.len()).sum(),
        mean_score: scores / trajectories.len().max(1) as f64,
        files: files.into(),
    })
}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { trajectories, steps, mean_score, files } = self;
        writeln!(f, "{trajectories} trajectories, {steps} steps, mean score {mean_score:.3}")?;
        files.iter().try_for_each(|file| writeln!(f, "{}", file.display()))
    }
}
