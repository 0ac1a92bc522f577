//! `forethought run`.

use std::path::PathBuf;

use clap::Args;
use forethought_api::Result;
use forethought_runtime::{
    evaluate::stats::{PlannerStats, planner_stats},
    host::RuntimeHost,
    host::assemble::RunOptions,
    run::episode::EpisodeSummary,
    run::folder::{Earlier, RunStatus},
    run::{self, RunOutcome},
};
use serde::Serialize;

use super::{eval::results, report::cost};
use crate::{arguments::RunArguments, exit::Exit, session::Session};

/// Run episodes of one planner.
///
/// The same command again continues an unfinished run: what is done is not done again, and no answer of a model is
/// paid twice.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought run quickstart --episodes 10
  forethought run my.toml --planner react --set llm.actor.model=gpt-4o
  FORETHOUGHT__RUN__CONCURRENCY=32 forethought run my.toml --json")]
pub(crate) struct Run {
    #[command(flatten)]
    arguments: RunArguments,
    /// The planner of the first seat; by default the one that [seats] names.
    #[arg(long, value_name = "NAME")]
    planner: Option<String>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    run: PathBuf,
    status: RunStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    usd: Option<f64>,
    episodes: &'a [EpisodeSummary],
    planners: [PlannerStats; 1],
}

impl Run {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let host = session.host(&self.arguments.config, &self.arguments.settings()).await?;
        let options = options(session, &self.arguments, self.planner);
        if self.arguments.dry_run {
            return dry_run(session, &host, &[options]).await;
        }
        let (name, outcome) = play(session, &host, &options, None).await?;
        let planners = [planner_stats(name, &outcome.episodes)];
        let document = Document {
            run: outcome.folder.clone(),
            status: outcome.status,
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

/// What the flags say about a run of `planner`.
pub(crate) fn options(session: &Session, arguments: &RunArguments, planner: Option<String>) -> RunOptions {
    let earlier = if arguments.fresh { Earlier::Ignore } else { Earlier::Continue };
    RunOptions { planner, earlier, cancel: session.cancel.clone(), ..RunOptions::default() }
}

/// Runs one planner, shown as `label` or else by its name, which is given back with the outcome.
pub(crate) async fn play(
    session: &Session,
    host: &RuntimeHost,
    options: &RunOptions,
    label: Option<&str>,
) -> Result<(String, RunOutcome)> {
    let spec = session.or_interrupted(host.run_spec(options)).await?;
    let name = spec.seats[spec.subject].0.clone();
    let observer = session.reporter.watch(label.unwrap_or(&name));
    let outcome = run::run(spec, observer).await?;
    match outcome.status {
        RunStatus::Budget => session.reporter.say("a budget was reached; a higher one continues here"),
        RunStatus::Interrupted => session.reporter.say("interrupted; the same command continues here"),
        RunStatus::Failed => session.reporter.say("some episodes failed; the same command tries them again"),
        RunStatus::Running | RunStatus::Finished => {}
    }
    Ok((name, outcome))
}

/// Builds and checks what would be run, and says what that is.
pub(crate) async fn dry_run(session: &Session, host: &RuntimeHost, runs: &[RunOptions]) -> Result<Exit> {
    #[derive(Serialize)]
    struct Planned {
        planner: String,
        environment: String,
        episodes: usize,
        models: Vec<String>,
        critics: Vec<String>,
    }
    let mut planned = Vec::new();
    for options in runs {
        let spec = host.run_spec(options).await?;
        planned.push(Planned {
            planner: spec.seats[spec.subject].0.clone(),
            environment: spec.environment.component.spec().await?.name,
            episodes: spec.episodes.len(),
            models: spec.llms.into_keys().collect(),
            critics: spec.critics.into_keys().collect(),
        });
    }
    session.show(&planned, || {
        let lines = planned.iter().map(|run| {
            let (models, critics) = (run.models.join(", "), run.critics.join(", "));
            format!(
                "{} episodes of {} in {} with models [{models}] and critics [{critics}]\n",
                run.episodes, run.planner, run.environment
            )
        });
        lines.collect()
    })?;
    Ok(Exit::Done)
}
