//! `forethought critic`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use forethought_api::{Error, Result, host::Host as _};
use forethought_runtime::{
    critic::{Seen, evaluate},
    registry::Registry,
    trajectories,
};

use crate::{
    arguments::ConfigArguments,
    exit::Exit,
    session::{Session, sources},
};

/// Judge critics.
#[derive(Debug, Args)]
pub(crate) struct Critic {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure a critic on trajectories that it has not seen.
    ///
    /// AUC, Brier score, calibration error and a reliability table, beside the base rate and a logistic regression on
    /// the same embeddings.
    #[command(after_help = "Examples:
  forethought critic eval --model critic --data data
  forethought critic eval my.toml --model critic --data data --encoder minilm --json")]
    Eval(Eval),
}

#[derive(Debug, Args)]
struct Eval {
    #[command(flatten)]
    config: ConfigArguments,
    /// The checkpoint: a folder, or hf:owner/name@revision.
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Trajectories: a .parquet or .jsonl file, or a folder of them.
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// The encoder it was trained with: a name under [encoder], or a kind with its default settings.
    #[arg(long, value_name = "NAME", default_value = "hash")]
    encoder: String,
    /// Kind of the critic.
    #[arg(long, value_name = "KIND", default_value = "goal-q")]
    kind: String,
}

impl Critic {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let Command::Eval(eval) = self.command;
        let mut settings = vec![
            format!("value.evaluated.kind={}", eval.kind),
            format!("value.evaluated.model={:?}", absolute(&eval.model)?),
            format!("value.evaluated.encoder={:?}", eval.encoder),
        ];
        let configured =
            forethought_runtime::config::Config::load(&sources(&eval.config)?, &Registry::linked()?)?;
        if !configured.encoder.contains_key(&eval.encoder) {
            settings.push(format!("encoder.{0:?}.kind={0:?}", eval.encoder));
        }
        let host = session.host(&eval.config, &settings)?;
        let data = trajectories::read(&eval.data)?;
        let critic = host.value("evaluated".into()).await?;
        let encoder = host.encoder(eval.encoder.clone()).await?;
        let seen = Seen::read(Path::new(&eval.model))?;
        let report = evaluate(&data, &seen, &*critic, &*encoder, host.config().seed);
        let report = session.or_interrupted(report).await?;
        session.show(&report, || report.to_string())?;
        Ok(Exit::Done)
    }
}

fn absolute(model: &str) -> Result<String> {
    if model.starts_with("hf:") {
        return Err(Error::config(
            "critic eval reads which episodes a critic has seen from its folder: fetch the model first, and name its folder",
        ));
    }
    Ok(std::path::absolute(model)?.to_string_lossy().into_owned())
}
