//! `forethought train`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use forethought_api::{
    Error, Result,
    critic::{Progress, TrainingReport, TrainingRequest},
    trajectory::Trajectory,
};
use forethought_runtime::{host::RuntimeHost, trajectories};

use crate::{
    arguments::{ConfigArguments, Values},
    exit::Exit,
    session::Session,
};

/// Train a critic on trajectories.
///
/// The checkpoint is a folder like those on the Hugging Face Hub: model.safetensors, config.json, README.md. The same
/// data and seed give the same weights. If interrupted, the same command continues from its last snapshot.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought train quickstart --data data --out critic
  forethought train avalon --data data --seat 0 --out critic
  forethought train my.toml --trainer large --data data --out control --shuffle-outcomes")]
pub(crate) struct Train {
    #[command(flatten)]
    recorded: Recorded,
    /// Folder for the checkpoint.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Shuffle outcomes between trajectories: a control that must not help.
    #[arg(long)]
    shuffle_outcomes: bool,
    /// Start over: do not continue from the snapshots of an interrupted training.
    #[arg(long)]
    fresh: bool,
}

/// What a trainer learns from, and which one it is.
#[derive(Debug, Args)]
pub(crate) struct Recorded {
    #[command(flatten)]
    config: ConfigArguments,
    /// Trajectories: a .parquet or .jsonl file, or a folder of them or of runs.
    #[arg(long, value_name = "PATH")]
    pub(crate) data: PathBuf,
    /// Learn only from what this seat did, counted from 0: a critic for one of several roles.
    #[arg(long, value_name = "SEAT")]
    pub(crate) seat: Option<usize>,
    /// The trainer that is configured as [trainer.NAME]; not needed if there is only one.
    #[arg(long, value_name = "NAME")]
    pub(crate) trainer: Option<String>,
}

impl Recorded {
    /// The configured components, and the trainer's name.
    pub(crate) async fn trainer(&self, session: &Session) -> Result<(RuntimeHost, String)> {
        let host = self.host(session).await?;
        let name = self.trainer_in(&host)?;
        Ok((host, name))
    }

    /// The configured components.
    pub(crate) async fn host(&self, session: &Session) -> Result<RuntimeHost> {
        session.host(&self.config, Values::new()).await
    }

    /// The trainer's name.
    pub(crate) fn trainer_in(&self, host: &RuntimeHost) -> Result<String> {
        only_trainer(host, self.trainer.clone())
    }

    /// The recorded episodes.
    pub(crate) fn trajectories(&self) -> Result<Vec<Trajectory>> {
        trajectories::read_of(&self.data, self.seat)
    }
}

impl Train {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let (host, trainer) = self.recorded.trainer(session).await?;
        let data = self.recorded.trajectories()?;
        for doubt in trajectories::doubts(&data).into_iter().chain(unlabelled(&data, &self.recorded.data)) {
            session.reporter.say(format!("warning: {doubt}"));
        }
        let fit = TrainingRequest {
            trajectories: data,
            out: self.out.clone(),
            seed: host.config().seed,
            shuffle_outcomes: self.shuffle_outcomes,
            fresh: self.fresh,
            configuration: host.world(),
        };
        let report = train(session, &host, &trainer, fit, Arc::new(session.reporter.clone())).await?;
        session.show(&report, || {
            let metrics = report.metrics.iter().map(|(name, value)| format!("{name} {value:.4}\n"));
            let passes = report.details["passes"].as_f64();
            let passes =
                passes.map(|passes| format!(" ({passes:.1} passes over the data)")).unwrap_or_default();
            format!(
                "kept step {} of {}{passes}; {} trajectories, {} held out\n{}{}\n",
                report.best_step,
                report.steps,
                report.train_trajectories,
                report.validation_trajectories,
                metrics.collect::<String>(),
                self.out.display()
            )
        })?;
        Ok(Exit::Done)
    }
}

/// Trains with the trainer configured as `[trainer.<name>]`.
pub(crate) async fn train(
    session: &Session,
    host: &RuntimeHost,
    trainer: &str,
    fit: TrainingRequest,
    progress: Arc<dyn Progress>,
) -> Result<TrainingReport> {
    let trainer = host.trainer(trainer).await?;
    let report = session.or_interrupted(trainer.fit(fit, progress)).await?;
    let warnings = report.details["warnings"].as_array().into_iter().flatten();
    for warning in warnings.filter_map(|warning| warning.as_str()) {
        session.reporter.say(format!("warning: {warning}"));
    }
    Ok(report)
}

/// What to do about trajectories without states, as importers write them.
pub(crate) fn unlabelled(data: &[Trajectory], path: &Path) -> Option<String> {
    let without = |one: &&Trajectory| one.steps.iter().any(|step| step.state.is_empty());
    let count = data.iter().filter(without).count();
    (count > 0).then(|| {
        format!(
            "{count} of {} trajectories have steps without a state, and a critic learns from states what followed what; \
             `forethought label --data {} --out DIR` fills them in",
            data.len(),
            path.display()
        )
    })
}

/// The trainer of this name, or the only one that is configured.
pub(crate) fn only_trainer(host: &RuntimeHost, name: Option<String>) -> Result<String> {
    let trainers: Vec<_> = host.config().trainer.keys().cloned().collect();
    match (name, trainers.as_slice()) {
        (Some(name), _) => Ok(name),
        (None, [only]) => Ok(only.clone()),
        (None, []) => Err(Error::config(
            "the configuration has no trainer; add [trainer.critic] with kind = \"goal-q\" and encoder = \"...\"",
        )),
        (None, several) => Err(Error::config(format!(
            "there are several trainers; choose one with --trainer: {}",
            several.join(", ")
        ))),
    }
}
