//! `forethought report`.

use std::path::PathBuf;

use clap::Args;
use forethought_api::Result;
use forethought_runtime::{
    evaluate::stats::PlannerStats,
    run::episode::{EpisodeStatus, EpisodeSummary},
    run::folder::RunInfo,
};
use serde::Serialize;

use crate::{
    exit::Exit,
    played::Played,
    session::Session,
    tables::{cost, results, table},
};

/// Show the results of a run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought report runs/webshop--pnlc            the newest run in it
  forethought report runs/webshop--pnlc/01K... --json")]
pub(crate) struct Report {
    /// Folder of a run, or of a planner's runs (the newest is used).
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

/// Calls and tokens by purpose.
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
