//! Trajectories as files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use forethought_api::{Error, Result, error::Context, trajectory::Trajectory};
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

/// The files of trajectories in a folder, one per format.
fn files(out: &Path) -> [PathBuf; 2] {
    ["parquet", "jsonl"].map(|extension| out.join("trajectories").with_extension(extension))
}

/// The least that the trajectory of an episode takes, in bytes, and the least that any files take.
const PER_EPISODE: u64 = 1024;
const LEAST: u64 = 64 * 1024;

/// Makes the folder `out`, and tries whether the trajectories of `episodes` episodes can be written there: before
/// anything is paid for.
///
/// # Errors
/// A folder that cannot be made or written, or has no room.
pub(crate) fn prepare(out: &Path, episodes: u64) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::input(format!("--out {}: trajectories cannot be written there: {error}", out.display()))
    };
    if out.to_str().is_none() {
        return Err(Error::input(format!(
            "--out {out:?} is not UTF-8, so --json could not name it; choose another folder"
        )));
    }
    std::fs::create_dir_all(out).map_err(failed)?;
    trajectories::remove_unfinished(out, "trajectories.").map_err(failed)?;
    for file in files(out) {
        if std::fs::symlink_metadata(&file).is_ok_and(|found| found.is_dir()) {
            return Err(Error::input(format!("--out: {} is a folder", file.display())));
        }
        // Next to what a link points to, because that is where it will be written.
        let place = file.canonicalize().ok();
        let folder = place.as_deref().and_then(Path::parent).unwrap_or(out);
        tempfile::tempfile_in(folder).map_err(failed)?;
        let disk = rustix::fs::statvfs(folder).map_err(|error| failed(error.into()))?;
        let (free, needed) = (disk.f_bavail.saturating_mul(disk.f_frsize), LEAST.max(episodes * PER_EPISODE));
        if free < needed {
            return Err(Error::input(format!(
                "--out {}: there is no room: {free} bytes are free, and {episodes} episodes need at least {needed}",
                folder.display()
            )));
        }
    }
    Ok(())
}

/// Makes the folder of `file`, the value of `flag`, and tries whether the file can be written: before anything is paid for.
///
/// # Errors
/// A folder that cannot be made, or a file that cannot be written.
pub(crate) fn writable(flag: &str, file: &Path) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::input(format!("{flag} {}: cannot be written: {error}", file.display()))
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    if file.exists() {
        std::fs::OpenOptions::new().append(true).open(file).map(drop).map_err(failed)
    } else {
        tempfile::tempfile_in(folder).map(drop).map_err(failed)
    }
}

/// An error if `out` has trajectories of other episodes than `ours`: they would be lost.
///
/// # Errors
/// That one, with the way out.
pub(crate) fn replaceable(out: &Path, ours: &HashSet<String>) -> Result<()> {
    for file in files(out) {
        if std::fs::metadata(&file).map_or(0, |found| found.len()) == 0 {
            continue;
        }
        // What cannot be read is not ours either.
        let others = trajectories::read(&file)
            .map_or(1, |found| found.iter().filter(|one| !ours.contains(&one.episode)).count());
        if others > 0 {
            return Err(Error::input(format!(
                "{} has trajectories that this command would not write again; choose another --out, or give --replace \
                 to lose them",
                file.display()
            )));
        }
    }
    Ok(())
}

/// Writes trajectories into a folder, in both formats. Nothing is not written over something.
pub(crate) fn write(out: &Path, trajectories: &[Trajectory]) -> Result<Written> {
    let failed = || format!("{} could not be created", out.display());
    std::fs::create_dir_all(out).context(failed())?;
    let mut files = Vec::from(files(out));
    if trajectories.is_empty() {
        files.retain(|file| std::fs::metadata(file).map_or(0, |found| found.len()) == 0);
    }
    for file in &files {
        trajectories::write(file, trajectories)?;
    }
    let scores = trajectories.iter().map(Trajectory::score).sum::<f64>() + 0.0; // The sum of nothing is -0.
    Ok(Written {
        trajectories: trajectories.len(),
        steps: trajectories.iter().map(|one| one.steps.len()).sum(),
        mean_score: scores / trajectories.len().max(1) as f64,
        files,
    })
}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { trajectories, steps, mean_score, files } = self;
        writeln!(f, "{trajectories} trajectories, {steps} steps, mean score {mean_score:.3}")?;
        files.iter().try_for_each(|file| writeln!(f, "{}", file.display()))
    }
}
