//! Runs of planners: one, several in turn, or one whose episodes are kept to train on.

use std::path::Path;

use forethought_api::{Result, trajectory::Trajectory};
use forethought_runtime::{
    host::RuntimeHost,
    host::assemble::RunOptions,
    run::episode::EpisodeStatus,
    run::folder::{Earlier, RunStatus},
    run::{self, RunOutcome},
};
use serde::Serialize;

use crate::{
    arguments::RunArguments,
    exit::Exit,
    session::Session,
    unread,
    written::{Written, write},
};

/// The options of a run of `planner`, by the flags.
pub(crate) fn options(session: &Session, arguments: &RunArguments, planner: Option<String>) -> RunOptions {
    let earlier = if arguments.fresh { Earlier::Ignore } else { Earlier::Continue };
    RunOptions { planner, earlier, cancel: session.cancel.clone(), ..RunOptions::default() }
}

/// Runs one planner, shown as `label` or by its name. Returns its name and the outcome.
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
        RunStatus::Budget => {
            session.reporter.say("budget reached; the same command with a higher one continues this run")
        }
        RunStatus::Interrupted => session.reporter.say("interrupted; the same command continues this run"),
        RunStatus::Failed => session.reporter.say("some episodes failed; the same command retries them"),
        RunStatus::Running | RunStatus::Finished => {}
    }
    if let Some(warning) = unread::warning(&name, &outcome) {
        session.reporter.say(warning);
    }
    Ok((name, outcome))
}

/// Builds and checks what would be run, and prints what that is.
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

/// Runs one after another until one is interrupted. All are checked before the first starts.
pub(crate) async fn eval(
    session: &Session,
    host: &RuntimeHost,
    runs: &[RunOptions],
) -> Result<(Vec<(String, RunOutcome)>, Exit)> {
    for options in runs {
        session.or_interrupted(host.run_spec(options)).await?;
    }
    let (mut outcomes, mut worst) = (Vec::new(), Exit::Done);
    for options in runs {
        let (name, outcome) = play(session, host, options, None).await?;
        worst = worst.max(outcome.status.into());
        outcomes.push((name, outcome));
        if worst == Exit::Interrupted {
            break;
        }
    }
    Ok((outcomes, worst))
}

/// Runs and writes the trajectories of all finished episodes.
pub(crate) async fn collect(
    session: &Session,
    host: &RuntimeHost,
    options: RunOptions,
    out: &Path,
) -> Result<(RunOutcome, Written)> {
    let options = RunOptions { collect: true, ..options };
    let (_, mut outcome) = play(session, host, &options, Some("collect")).await?;
    let done = |trajectory: &Trajectory| {
        let of = outcome.episodes.iter().find(|episode| episode.episode == trajectory.episode);
        of.is_some_and(|episode| episode.status == EpisodeStatus::Done)
    };
    let finished: Vec<_> = outcome.trajectories.iter().filter(|one| done(one)).cloned().collect();
    outcome.trajectories = finished;
    let written = write(out, &outcome.trajectories)?;
    Ok((outcome, written))
}
