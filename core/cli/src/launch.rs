//! Runs of planners: one, several in turn, or one whose episodes are kept to train on.

use std::collections::HashSet;
use std::path::Path;

use forethought_api::{Result, trajectory::Trajectory};
use forethought_runtime::{
    host::RuntimeHost,
    host::assemble::RunOptions,
    run::episode::{EpisodeStatus, EpisodeSummary},
    run::folder::{Earlier, RunStatus},
    run::{self, RunOutcome, RunSpec},
};
use serde::Serialize;

use crate::{
    arguments::RunArguments,
    engine::engine,
    exit::Exit,
    session::Session,
    unread,
    written::{Written, prepare, replaceable, write},
};

/// The options of a run of `planner`, by the flags.
pub(crate) fn options(session: &Session, arguments: &RunArguments, planner: Option<String>) -> RunOptions {
    let earlier = if arguments.fresh { Earlier::Ignore } else { Earlier::Reuse };
    RunOptions { planner, earlier, cancel: session.cancel.clone(), ..RunOptions::default() }
}

/// Runs one planner, shown as `label` or by its name. Returns its name and the outcome.
pub(crate) async fn play(
    session: &Session,
    host: &RuntimeHost,
    options: &RunOptions,
    label: Option<&str>,
) -> Result<(String, RunOutcome)> {
    let mut spec = session.or_interrupted(host.run_spec(options)).await?;
    spec.engine = engine(host.config())?;
    warn_of_known_tasks(session, host, &spec).await?;
    play_spec(session, spec, label).await
}

/// Says which critics of a run have learned from its tasks.
async fn warn_of_known_tasks(session: &Session, host: &RuntimeHost, spec: &RunSpec) -> Result<()> {
    for (critic, seen, all) in host.tasks_seen(spec).await? {
        session.reporter.say(format!(
            "warning: the critic `{critic}` was trained on {seen} of these {all} tasks, so the results say little about \
             new tasks; for those, choose others with --first-task"
        ));
    }
    Ok(())
}

/// Runs what is specified, shown as `label` or by the planner's name.
pub(crate) async fn play_spec(
    session: &Session,
    spec: RunSpec,
    label: Option<&str>,
) -> Result<(String, RunOutcome)> {
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

/// A run among several.
pub(crate) struct Job {
    pub(crate) host: RuntimeHost,
    pub(crate) options: RunOptions,
    /// What is different in it, where that is not the planner.
    pub(crate) label: Option<String>,
}

impl Job {
    /// Runs of one configuration.
    pub(crate) fn all(host: &RuntimeHost, runs: impl IntoIterator<Item = RunOptions>) -> Vec<Self> {
        let job = |options| Self { host: host.clone(), options, label: None };
        runs.into_iter().map(job).collect()
    }
}

/// Builds and checks what would be run, and prints what that is.
pub(crate) async fn dry_run(session: &Session, jobs: &[Job]) -> Result<Exit> {
    #[derive(Serialize)]
    struct Planned {
        #[serde(skip_serializing_if = "Option::is_none")]
        point: Option<String>,
        planner: String,
        environment: String,
        episodes: usize,
        models: Vec<String>,
        critics: Vec<String>,
    }
    let mut planned = Vec::new();
    for Job { host, options, label } in jobs {
        let spec = host.run_spec(options).await?;
        planned.push(Planned {
            point: label.clone(),
            planner: spec.seats[spec.subject].0.clone(),
            environment: spec.environment.component.spec().await?.name,
            episodes: run::episodes(&spec).await?.len(),
            models: spec.llms.into_keys().collect(),
            critics: spec.critics.into_keys().collect(),
        });
    }
    session.show(&planned, || {
        let lines = planned.iter().map(|run| {
            let (models, critics) = (run.models.join(", "), run.critics.join(", "));
            let point = run.point.as_ref().map(|point| format!("{point}: ")).unwrap_or_default();
            format!(
                "{point}{} episodes of {} in {} with models [{models}] and critics [{critics}]\n",
                run.episodes, run.planner, run.environment
            )
        });
        lines.collect()
    })?;
    Ok(Exit::Done)
}

/// Runs one after another until one is interrupted. All are checked before the first starts, and all together keep to the
/// limits of the run and of its roles.
pub(crate) async fn eval(session: &Session, jobs: &[Job]) -> Result<(Vec<(String, RunOutcome)>, Exit)> {
    let mut spent = Vec::new();
    for Job { host, options, .. } in jobs {
        let spec = session.or_interrupted(host.run_spec(options)).await?;
        spent.push(run::spent(&spec).await?);
    }
    let (mut outcomes, mut worst) = (Vec::new(), Exit::Done);
    for (index, Job { host, options, label }) in jobs.iter().enumerate() {
        let mut spec = session.or_interrupted(host.run_spec(options)).await?;
        spec.engine = engine(host.config())?;
        for (_, others) in spent.iter().enumerate().filter(|(other, _)| *other != index) {
            for (role, used) in others {
                let sum = spec.elsewhere.entry(role.clone()).or_default();
                *sum = *sum + *used;
            }
        }
        warn_of_known_tasks(session, host, &spec).await?;
        let (name, outcome) = play_spec(session, spec, label.as_deref()).await?;
        spent[index].clone_from(&outcome.spent);
        worst = worst.max(outcome.status.into());
        outcomes.push((name, outcome));
        if worst == Exit::Interrupted {
            break;
        }
    }
    Ok((outcomes, worst))
}

/// The trajectories of the episodes that are done.
pub(crate) fn of_done(episodes: &[EpisodeSummary], mut trajectories: Vec<Trajectory>) -> Vec<Trajectory> {
    let done = |one: &&EpisodeSummary| one.status == EpisodeStatus::Done;
    let done: HashSet<&str> = episodes.iter().filter(done).map(|one| one.episode.as_str()).collect();
    trajectories.retain(|one| done.contains(one.episode.as_str()));
    trajectories
}

/// Runs and writes the trajectories of all finished episodes. Whether they can be written is tried first; unless they
/// may `replace` others, those of the same episodes only.
pub(crate) async fn collect(
    session: &Session,
    host: &RuntimeHost,
    options: RunOptions,
    out: &Path,
    replace: bool,
) -> Result<(RunOutcome, Written)> {
    let options = RunOptions { collect: true, ..options };
    let mut spec = session.or_interrupted(host.run_spec(&options)).await?;
    spec.engine = engine(host.config())?;
    if !replace {
        replaceable(out, &run::episodes(&spec).await?)?;
    }
    prepare(out, spec.episodes.len() as u64)?;
    let (_, mut outcome) = play_spec(session, spec, Some("collect")).await?;
    outcome.trajectories = of_done(&outcome.episodes, outcome.trajectories);
    let written = write(out, &outcome.trajectories).map_err(|error| {
        error.context(format!(
            "the trajectories could not be written; the same command, or `forethought export {} --out DIR`, writes them \
             without playing again",
            outcome.folder.display()
        ))
    })?;
    Ok((outcome, written))
}
