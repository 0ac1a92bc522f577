//! `forethought report`.

use std::path::{Path, PathBuf};

use clap::Args;
use forethought_api::{Error, Result, error::Context};
use forethought_reading::report;
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
    written::writable,
};

/// Show the results of a run.
///
/// With --html, write them as one page to share, of one run or of several side by side: intervals and paired differences,
/// plots, cost, answers that could not be used, failures by cause, the configuration, and the command that repeats it.
/// The page needs no network and runs no script.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought report runs/webshop--pnlc            the newest run in it
  forethought report runs/webshop--pnlc/01K... --json
  forethought report runs/webshop--react runs/webshop--pnlc --html report.html")]
pub(crate) struct Report {
    /// Folders of runs, or of a planner's runs (the newest is used). Several need --html; the first is the one that the
    /// others are compared with.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Write a page of HTML.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    run: PathBuf,
    info: RunInfo,
    failed: usize,
    planners: [PlannerStats; 1],
}

/// What `--json` prints of a page.
#[derive(Serialize)]
struct Page<'a> {
    html: &'a Path,
    bytes: usize,
    planners: Vec<PlannerStats>,
}

impl Report {
    pub(crate) fn execute(self, session: &Session) -> Result<Exit> {
        if let Some(file) = &self.html {
            return self.page(session, file);
        }
        let [run] = &*self.runs else {
            return Err(Error::input(
                "several runs are a page: add --html FILE; `forethought compare` prints their tables",
            ));
        };
        let run = Played::read(run)?;
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

    fn page(&self, session: &Session, file: &Path) -> Result<Exit> {
        writable("--html", file)?;
        let runs = self.runs.iter().map(|run| Played::read(run)).collect::<Result<Vec<_>>>()?;
        let html = report::html(&runs)?;
        std::fs::write(file, &html).context(format!("{} could not be written", file.display()))?;
        let planners = runs.iter().map(Played::stats).collect();
        let page = Page { html: file, bytes: html.len(), planners };
        session.show(&page, || format!("{}\n", file.display()))?;
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
