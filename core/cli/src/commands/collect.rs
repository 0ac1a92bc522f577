//! `forethought collect`.

use std::path::{Path, PathBuf};

use clap::Args;
use forethought_api::{Result, trajectory::Trajectory};
use forethought_runtime::{
    host::RuntimeHost, host::assemble::RunOptions, run::RunOutcome, run::episode::EpisodeStatus,
    run::folder::RunStatus, trajectories,
};
use serde::Serialize;

use super::run::{dry_run, options, play};
use crate::{arguments::RunArguments, exit::Exit, session::Session};

/// Run episodes and keep them as trajectories to train on.
///
/// As `run`; in addition the summariser writes down each state in short, and DIR gets `trajectories.parquet` (also
/// readable by pandas and Hugging Face datasets) and `trajectories.jsonl`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought collect quickstart --planner react --episodes 500 --out data
  forethought train quickstart --data data --out critic")]
pub(crate) struct Collect {
    #[command(flatten)]
    arguments: RunArguments,
    /// The planner of the first seat; by default the one that [seats] names.
    #[arg(long, value_name = "NAME")]
    planner: Option<String>,
    /// Folder for the trajectories.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    run: PathBuf,
    status: RunStatus,
    #[serde(flatten)]
    written: Written,
}

/// What was written.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    /// Trajectories.
    pub(crate) trajectories: usize,
    /// Their steps together.
    pub(crate) steps: usize,
    /// Their mean sum of rewards.
    pub(crate) mean_score: f64,
    /// The files.
    pub(crate) files: Vec<PathBuf>,
}

impl Collect {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let host = session.host(&self.arguments.config, &self.arguments.settings()).await?;
        let options = options(session, &self.arguments, self.planner);
        if self.arguments.dry_run {
            return dry_run(session, &host, &[RunOptions { collect: true, ..options }]).await;
        }
        let (outcome, written) = collect(session, &host, options, &self.out).await?;
        let document = Document { run: outcome.folder, status: outcome.status, written };
        session.show(&document, || document.written.to_string())?;
        Ok(document.status.into())
    }
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

/// Writes trajectories into a folder, in both formats.
pub(crate) fn write(out: &Path, trajectories: &[Trajectory]) -> Result<Written> {
    std::fs::create_dir_all(out)?;
    let files = ["parquet", "jsonl"].map(|extension| out.join("trajectories").with_extension(extension));
    for file in &files {
        trajectories::write(file, trajectories)?;
    }
    let scores: f64 = trajectories.iter().map(Trajectory::score).sum();
    Ok(Written {
        trajectories: trajectories.len(),
        steps: trajectories.iter().map(|one| one.steps.len()).sum(),
        mean_score: scores / trajectories.len().max(1) as f64,
        files: files.into(),
    })
}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { trajectories, steps, mean_score, files } = self;
        writeln!(f, "{trajectories} trajectories, {steps} steps, mean score {mean_score:.3}")?;
        files.iter().try_for_each(|file| writeln!(f, "{}", file.display()))
    }
}
