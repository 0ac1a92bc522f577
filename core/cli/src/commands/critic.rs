//! `forethought critic`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use forethought_api::{Error, Result, host::Host as _};
use forethought_runtime::{
    config::Draft,
    evaluate::critic::{Seen, evaluate},
    trajectories,
};

use crate::{
    arguments::{ConfigArguments, set},
    exit::Exit,
    session::Session,
};

/// Evaluate critics.
#[derive(Debug, Args)]
pub(crate) struct Critic {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure a critic on trajectories that it has not seen.
    ///
    /// Prints AUC, Brier score, calibration error and a reliability table, next to those of the base rate and of a
    /// logistic regression on the same embeddings, and how well the critic ranks the thoughts of one state. Outcomes
    /// count as reached by their meaning if the critic has a vocabulary, else by their words.
    #[command(after_help = "Examples:
  forethought critic eval --model critic --data data
  forethought critic eval my.toml --model critic --data data --data new --encoder minilm --json")]
    Eval(Eval),
}

#[derive(Debug, Args)]
struct Eval {
    #[command(flatten)]
    config: ConfigArguments,
    /// Folder of the checkpoint.
    #[arg(long, value_name = "DIR")]
    model: String,
    /// Trajectories: a .parquet or .jsonl file, or a folder of them. Can be given again: the rivals learn from those that
    /// the critic learned from.
    #[arg(long, value_name = "PATH", required = true)]
    data: Vec<PathBuf>,
    /// Ask only about what this seat did, counted from 0.
    #[arg(long, value_name = "SEAT")]
    seat: Option<usize>,
    /// The encoder that the critic was trained with: a name under [encoder], or a kind with its default settings.
    #[arg(long, value_name = "NAME", default_value = "hash")]
    encoder: String,
    /// Kind of the critic.
    #[arg(long, value_name = "KIND", default_value = "goal-q")]
    kind: String,
}

impl Critic {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let Command::Eval(eval) = self.command;
        let mut sources = session.sources(&eval.config)?;
        let name = eval.encoder.as_str();
        sources.values = vec![
            set(["critic", "evaluated", "kind"], eval.kind),
            set(["critic", "evaluated", "model"], local(&eval.model)?),
            set(["critic", "evaluated", "encoder"], name),
        ];
        if !Draft::read(&sources)?.kinds().any(|(section, _)| section == ["encoder", name]) {
            sources.values.push(set(["encoder", name, "kind"], name));
        }
        let host = session.host_of(&sources).await?;
        let data = eval.data.iter().map(|path| trajectories::read_of(path, eval.seat));
        let data = data.collect::<Result<Vec<_>>>()?.concat();
        let critic = host.critic("evaluated".into()).await?;
        let encoder = host.encoder(eval.encoder.clone()).await?;
        let seen = Seen::read(Path::new(&eval.model))?;
        let report = evaluate(&data, &seen, &*critic, &*encoder, host.config().seed);
        let report = session.or_interrupted(report).await?;
        report.warnings.iter().for_each(|warning| session.reporter.say(format!("warning: {warning}")));
        session.show(&report, || report.to_string())?;
        Ok(Exit::Done)
    }
}

fn local(model: &str) -> Result<&str> {
    if model.starts_with("hf:") {
        return Err(Error::config(
            "`critic eval` reads from the model's folder which episodes it has seen; download it and name the folder",
        ));
    }
    Ok(model)
}
