//! The file of trajectories: JSON Lines, refused by line and key.

use std::fs;
use std::path::{Path, PathBuf};

use forethought_sdk::{
    api::text::unmarked,
    prelude::*,
    serde_json::{self, Value},
};

use crate::config::RecordedConfig;

/// A trajectory and its line as it is written, which may have further keys.
pub(crate) struct Line {
    pub(crate) trajectory: Trajectory,
    pub(crate) written: Value,
    /// Where it is written, for errors.
    pub(crate) place: String,
}

/// The trajectories of the configured file or folder.
///
/// # Errors
/// What cannot be read, or has no trajectories; each error in a line names the line.
pub(crate) fn read(config: &RecordedConfig) -> Result<Vec<Line>> {
    let path = &config.data.0;
    if path.as_os_str().is_empty() {
        return Err(Error::config("`data` is missing: a file of trajectories, or a folder of them"));
    }
    let mut lines = Vec::new();
    for file in files(path)? {
        let text = fs::read_to_string(&file)
            .map_err(|error| Error::config(format!("{} cannot be read: {error}", file.display())))?;
        for (index, line) in unmarked(&text).lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let place = format!("{}:{}", file.display(), index + 1);
            let (trajectory, written) =
                parse(line).map_err(|why| Error::input(format!("{place}: not a trajectory: {why}")))?;
            if config.seat.is_none_or(|seat| seat == trajectory.seat) {
                lines.push(Line { trajectory, written, place });
            }
        }
    }
    match (lines.is_empty(), config.seat) {
        (false, _) => Ok(lines),
        (true, None) => Err(Error::input(format!("{} has no trajectories", path.display()))),
        (true, Some(seat)) => {
            Err(Error::input(format!("{} has no trajectories of seat {seat}", path.display())))
        }
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let ends = |path: &Path, ending: &str| path.extension().is_some_and(|found| found == ending);
    let other = |what: &str| {
        Error::config(format!(
            "{} {what}; `forethought import` and `collect` write trajectories.jsonl next to trajectories.parquet",
            path.display()
        ))
    };
    if !path.is_dir() {
        return match ends(path, "parquet") {
            true => Err(other("is Parquet, and this world reads JSON Lines")),
            false => Ok(vec![path.into()]),
        };
    }
    let failed = |error| Error::config(format!("{} cannot be listed: {error}", path.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        files.push(entry.map_err(failed)?.path());
    }
    files.retain(|file| ends(file, "jsonl") && file.is_file());
    files.sort();
    if files.is_empty() { Err(other("has no .jsonl files")) } else { Ok(files) }
}

fn parse(line: &str) -> Result<(Trajectory, Value), String> {
    let plain = |error: serde_json::Error| error.to_string().replace(" at line 1 column ", " at column ");
    let written: Value = serde_json::from_str(line).map_err(plain)?;
    if !written.is_object() {
        return Err("a line must be an object, one trajectory per line".into());
    }
    let missing = |place: String| Err(format!("the key `{place}` is missing"));
    for key in ["episode", "steps"] {
        if written.get(key).is_none() {
            return missing(key.into());
        }
    }
    for (index, step) in written["steps"].as_array().into_iter().flatten().enumerate() {
        for key in ["observation", "action"] {
            if step.get(key).is_none() {
                return missing(format!("steps[{index}].{key}"));
            }
        }
    }
    let trajectory: Trajectory = serde_json::from_str(line).map_err(plain)?;
    match trajectory.steps.is_empty() {
        true => Err("it has no steps".into()),
        false => Ok((trajectory, written)),
    }
}
