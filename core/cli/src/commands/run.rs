//! `forethought run`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use forethought_api::Result;
use forethought_runtime::{
    evaluate::stats::{PlannerStats, planner_stats},
    run::episode::EpisodeSummary,
    run::folder::RunStatus,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    arguments::RunArguments,
    exit::Exit,
    launch::{Job, dry_run, options, play},
    session::Session,
    tables::{cost, results},
};

/// Run episodes of one planner.
///
/// The same command continues an unfinished run: finished episodes are not repeated, and no answer of a model is paid
/// for twice.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought run quickstart --episodes 10
  forethought run my.toml --planner react --set llm.actor.model=gpt-4o
  FORETHOUGHT__RUN__CONCURRENCY=32 forethought run my.toml --json")]
pub(crate) struct Run {
    #[command(flatten)]
    arguments: RunArguments,
    /// The planner of the first seat; by default the one in [seats].
    #[arg(long, value_name = "NAME")]
    planner: Option<String>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    run: PathBuf,
    status: RunStatus,
    seed: u64,
    overrides: BTreeMap<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usd: Option<f64>,
    episodes: &'a [EpisodeSummary],
    planners: [PlannerStats; 1],
}

impl Run {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let host = session.host(&self.arguments.config, self.arguments.values()).await?;
        let (seed, overrides) = (host.config().seed, self.arguments.overrides());
        let options = options(session, &self.arguments, self.planner);
        if self.arguments.dry_run {
            return dry_run(session, &Job::all(&host, [options])).await;
        }
        let (name, outcome) = play(session, &host, &options, None).await?;
        let planners = [planner_stats(name, &outcome.episodes)];
        let document = Document {
            run: outcome.folder.clone(),
            status: outcome.status,
            seed,
            overrides,
            usd: outcome.usd,
            episodes: &outcome.episodes,
            planners: planners.clone(),
        };
        session.show(&document, || {
            format!("{}\n{}{}\n", results(&planners), cost(outcome.usd), outcome.folder.display())
        })?;
        Ok(outcome.status.into())
    }
}
