//! Runs that were read back from their folders.

use std::path::{Path, PathBuf};

use forethought_api::{Error, Result};
use forethought_runtime::{
    evaluate::stats::{PlannerStats, planner_stats},
    run::episode::EpisodeSummary,
    run::events,
    run::folder::{self, RunInfo, events_path},
};

/// A run that was read back.
pub struct Played {
    /// Its folder.
    pub folder: PathBuf,
    /// Its description.
    pub info: RunInfo,
    /// Its episodes.
    pub episodes: Vec<EpisodeSummary>,
}

impl Played {
    /// Reads a run from its folder, or the newest of a folder of runs.
    ///
    /// # Errors
    /// If there is no run, or its description or list of episodes cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let folder = folder_of(path)?;
        let info = folder::read_info(&folder)?;
        let mut episodes = folder::read_episodes(&folder)?;
        // They were written in the order in which they ended; sums of floating-point numbers depend on the order.
        episodes.sort_by_key(|episode| (episode.task, episode.seed));
        Ok(Self { folder, info, episodes })
    }

    /// Whether there is a run, or a folder of runs.
    pub fn is_at(path: &Path) -> bool {
        is_run(path) || newest(path).is_ok()
    }

    /// The episode whose id begins with `wanted`.
    ///
    /// # Errors
    /// If no episode begins so, or several do.
    pub fn episode(&self, wanted: &str) -> Result<&EpisodeSummary> {
        let id = pick(self.episodes.iter().map(|one| one.episode.as_str()), wanted, &self.folder)?;
        self.episodes.iter().find(|one| one.episode == id).ok_or_else(|| Error::not_found(id))
    }

    /// Its planner's results.
    pub fn stats(&self) -> PlannerStats {
        planner_stats(&self.info.planner, &self.episodes)
    }
}

/// The folder of a run: `path` itself, or the newest run in it.
///
/// # Errors
/// If there is no run.
pub fn folder_of(path: &Path) -> Result<PathBuf> {
    if is_run(path) { Ok(path.to_path_buf()) } else { newest(path) }
}

/// Whether this is the folder of a run, if perhaps a damaged one.
fn is_run(path: &Path) -> bool {
    ["run.json", "config.resolved.toml"].iter().any(|name| path.join(name).is_file())
}

/// Folders of runs are named so that the newest sorts last.
fn newest(path: &Path) -> Result<PathBuf> {
    let unreadable = |error| Error::input(format!("{} cannot be listed: {error}", path.display()));
    let entries = std::fs::read_dir(path).map_err(unreadable)?;
    let runs =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|run| run.join("run.json").is_file());
    runs.max().ok_or_else(|| {
        Error::not_found(format!("{} is not a run and contains none: there is no run.json", path.display()))
    })
}

/// The only id that begins with `wanted`, or that equals it. `place` is where they are, for the error.
///
/// # Errors
/// If no id begins so, or several do.
pub fn pick<'a>(ids: impl Iterator<Item = &'a str>, wanted: &str, place: &Path) -> Result<&'a str> {
    let mut found: Vec<_> = ids.filter(|id| id.starts_with(wanted)).collect();
    found.dedup();
    match found.as_slice() {
        [only] => Ok(only),
        [] => Err(Error::not_found(format!(
            "no episode begins with `{wanted}`; `forethought view {}` lists them",
            place.display()
        ))),
        several => several.iter().copied().find(|id| *id == wanted).ok_or_else(|| {
            let some = several.iter().take(5).copied().collect::<Vec<_>>().join(", ");
            let more = if several.len() > 5 { ", ..." } else { "" };
            Error::input(format!(
                "{} episodes begin with `{wanted}`: {some}{more}; give more of the id",
                several.len()
            ))
        }),
    }
}

/// Whether an episode's id begins with `needle`, its task is it, or its log contains it. `needle` is in lower case.
pub fn mentions(run: &Path, one: &EpisodeSummary, needle: &str) -> bool {
    if one.episode.starts_with(needle) || one.task.to_string() == needle {
        return true;
    }
    let Ok(lines) = events::read_lines(&events_path(run, &one.episode)) else { return false };
    // In the log it is written as in JSON.
    let needle = serde_json::to_string(needle).unwrap_or_default();
    lines.to_lowercase().contains(needle.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_is_picked_by_its_beginning() {
        let pick = |wanted| pick(["ab1", "ab1", "ab12", "c"].into_iter(), wanted, Path::new("data"));
        assert_eq!(pick("c").unwrap(), "c");
        assert_eq!(pick("ab1").unwrap(), "ab1", "a whole id wins over the beginning of another");
        let error = pick("a").unwrap_err().to_string();
        assert!(error.contains("2 episodes begin with `a`: ab1, ab12; give more of the id"), "{error}");
        assert!(pick("d").unwrap_err().to_string().contains("`forethought view data` lists them"));
    }
}
