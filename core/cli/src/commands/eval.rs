//! `forethought eval`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use forethought_api::{Error, Result};
use forethought_runtime::{
    evaluate::stats::{PlannerStats, Report, planner_stats},
    run::RunOutcome,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    arguments::RunArguments,
    comparison::{Comparison, Side},
    exit::Exit,
    launch::{Job, dry_run, eval, options},
    session::Session,
    tables::{cost, results},
    written::writable,
};

/// Run several planners on the same episodes and compare them.
///
/// Each planner plays the same tasks with the same seeds, in its own run. Intervals are 95 %: Student's t for the
/// score, Wilson's for the success rate. Several planners are compared with the first as `compare` does.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought eval quickstart --planner react,pnlc --episodes 200
  forethought eval quickstart --planner react-vote,pnlc --budget calls=6 --svg score.svg
  forethought eval my.toml --planner pnlc --json | jq .planners[0].success")]
pub(crate) struct Eval {
    #[command(flatten)]
    arguments: RunArguments,
    /// Planners, separated by commas; by default the one in [seats].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    planner: Vec<String>,
    /// Also write a plot of score against tokens.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    report: Report,
    /// The folders of the planners' runs.
    runs: Vec<PathBuf>,
    seed: u64,
    overrides: BTreeMap<String, Value>,
    #[serde(flatten)]
    comparison: Comparison,
}

impl Eval {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        if let Some(twice) =
            self.planner.iter().enumerate().find(|(at, name)| self.planner[..*at].contains(name))
        {
            return Err(Error::input(format!(
                "--planner: `{}` is named twice; name each planner once",
                twice.1
            )));
        }
        let host = session.host(&self.arguments.config, self.arguments.values()).await?;
        let (seed, overrides) = (host.config().seed, self.arguments.overrides());
        let planners = match self.planner.is_empty() {
            true => vec![None],
            false => self.planner.into_iter().map(Some).collect(),
        };
        let runs = planners.into_iter().map(|planner| options(session, &self.arguments, planner));
        let runs = Job::all(&host, runs.collect::<Vec<_>>());
        if self.arguments.dry_run {
            return dry_run(session, &runs).await;
        }
        if let Some(file) = &self.svg {
            writable("--svg", file)?;
        }
        let (outcomes, exit) = eval(session, &runs).await?;
        let planners: Vec<_> =
            outcomes.iter().map(|(name, outcome)| planner_stats(name, &outcome.episodes)).collect();
        let folders = || -> String {
            outcomes
                .iter()
                .map(|(_, outcome)| format!("{}{}\n", cost(outcome.usd), outcome.folder.display()))
                .collect()
        };
        let runs = outcomes.iter().map(|(_, outcome)| outcome.folder.clone()).collect();
        let side = |(stats, (_, outcome)): (&PlannerStats, &(String, RunOutcome))| {
            Side::ended(stats.clone(), outcome)
        };
        let sides: Vec<_> = planners.iter().zip(&outcomes).map(side).collect();
        let comparison = Comparison::of(&sides);
        if let Some(file) = &self.svg {
            comparison.plot(&sides, file)?;
        }
        let report = Report { planners: planners.clone() };
        let document = Document { report, runs, seed, overrides, comparison };
        session.show(&document, || match sides.len() {
            1 => format!("{}\n{}", results(&planners), folders()),
            _ => format!("{}\n{}\n{}", results(&planners), document.comparison.words(&sides), folders()),
        })?;
        Ok(exit)
    }
}
