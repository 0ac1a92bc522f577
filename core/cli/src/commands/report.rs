//! `forethought report`.

use std::path::{Path, PathBuf};

use clap::Args;
use forethought_api::{Error, Result};
use forethought_runtime::{
    evaluate::stats::{PlannerStats, planner_stats},
    run::episode::{EpisodeStatus, EpisodeSummary},
    run::folder::{self, RunInfo},
};
use serde::Serialize;

use super::{eval::results, view::pick};
use crate::{exit::Exit, session::Session, table::table};

/// Show the results of a run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought report runs/webshop--pnlc            the newest run in it
  forethought report runs/webshop--pnlc/01K... --json")]
pub(crate) struct Report {
    /// A run's folder, or the folder of a planner's runs.
    run: PathBuf,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    run: PathBuf,
    info: RunInfo,
    failed: usize,
    planners: [PlannerStats; 1],
}

/// A run that was read back.
pub(crate) struct Played {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// What it says of itself.
    pub(crate) info: RunInfo,
    /// Its episodes.
    pub(crate) episodes: Vec<EpisodeSummary>,
}

impl Played {
    /// Reads a run from its folder, or the newest of a folder of runs.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let folder = if path.join("run.json").is_file() { path.to_path_buf() } else { newest(path)? };
        let info = folder::read_info(&folder)?;
        let mut episodes = folder::read_episodes(&folder)?;
        // They were written as they ended; sums of floating-point numbers depend on the order.
        episodes.sort_by_key(|episode| (episode.task, episode.seed));
        Ok(Self { folder, info, episodes })
    }

    /// Whether there is a run, or a folder of runs.
    pub(crate) fn is_at(path: &Path) -> bool {
        path.join("run.json").is_file() || newest(path).is_ok()
    }

    /// The episode whose id begins with `wanted`.
    pub(crate) fn episode(&self, wanted: &str) -> Result<&EpisodeSummary> {
        let id = pick(self.episodes.iter().map(|one| one.episode.as_str()), wanted, &self.folder)?;
        self.episodes.iter().find(|one| one.episode == id).ok_or_else(|| Error::not_found(id))
    }

    /// Its planner's results.
    pub(crate) fn stats(&self) -> PlannerStats {
        planner_stats(&self.info.planner, &self.episodes)
    }
}

/// Folders of runs are named so that the newest sorts last.
fn newest(path: &Path) -> Result<PathBuf> {
    let unreadable = |error| Error::input(format!("{} cannot be listed: {error}", path.display()));
    let entries = std::fs::read_dir(path).map_err(unreadable)?;
    let runs =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|run| run.join("run.json").is_file());
    runs.max().ok_or_else(|| {
        Error::not_found(format!("{} is no run, and holds none: a run has a run.json", path.display()))
    })
}

impl Report {
    pub(crate) fn execute(self, session: &Session) -> Result<Exit> {
        let run = Played::read(&self.run)?;
        let failed = run.episodes.iter().filter(|episode| episode.status == EpisodeStatus::Failed).count();
        let document = Document { planners: [run.stats()], run: run.folder, info: run.info, failed };
        session.show(&document, || {
            let info = &document.info;
            format!(
                "{} in {}, {} of {} episodes done, {failed} failed\n\n{}\n{}\n{}{}\n",
                info.planner,
                info.environment,
                document.planners[0].episodes,
                info.episodes,
                results(&document.planners),
                purposes(&run.episodes),
                cost(info.usd),
                document.run.display()
            )
        })?;
        Ok(Exit::Done)
    }
}

/// A line on what a run has cost, where that is known and not nothing.
pub(crate) fn cost(usd: Option<f64>) -> String {
    usd.filter(|usd| *usd > 0.0).map(|usd| format!("{usd:.4} US dollars\n")).unwrap_or_default()
}

/// What the models were asked for.
fn purposes(episodes: &[EpisodeSummary]) -> String {
    let mut sums = std::collections::BTreeMap::new();
    for (purpose, count) in episodes.iter().flat_map(|episode| &episode.calls) {
        let sum: &mut (u64, u64) = sums.entry(*purpose).or_default();
        *sum = (sum.0 + count.calls, sum.1 + count.tokens());
    }
    let rows: Vec<_> = sums
        .into_iter()
        .map(|(purpose, (calls, tokens))| {
            [format!("{purpose:?}").to_lowercase(), calls.to_string(), tokens.to_string()]
        })
        .collect();
    table(["purpose", "calls", "tokens"], &rows)
}
