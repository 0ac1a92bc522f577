//! `forethought critic`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use forethought_api::{
    Error, Result,
    critic::{CriticQuery, Estimate},
    error::Context as _,
    host::Host as _,
    metrics::ReliabilityBin,
};
use forethought_runtime::{
    config::Draft,
    evaluate::critic::{CriticReport, Seen, evaluate},
    evaluate::stats::rate,
    trajectories,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    arguments::{ConfigArguments, set},
    exit::Exit,
    session::Session,
    svg::{Bin, reliability},
    written::writable,
};

/// Evaluate critics, and ask them.
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
    /// Ask a critic how likely given outcomes are.
    ///
    /// FILE has one question per line: {"state": "...", "thought": "...", "outcome": "..."}. The answers are in the
    /// same order: the probability, or that the question is outside the critic's data, and as which outcome of its
    /// data it read the outcome.
    #[command(after_help = "Examples:
  forethought critic ask my.toml --in questions.jsonl
  forethought critic ask my.toml --critic judge --in questions.jsonl --json")]
    Ask(Ask),
}

#[derive(Debug, Args)]
struct Ask {
    #[command(flatten)]
    config: ConfigArguments,
    /// The questions: JSON Lines.
    #[arg(long = "in", value_name = "FILE")]
    questions: PathBuf,
    /// Name of the critic, as in [critic.NAME].
    #[arg(long, value_name = "NAME", default_value = "critic")]
    critic: String,
}

/// An answer, as it is shown.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    query: CriticQuery,
    probability: f64,
    raw: f64,
    uncertainty: f64,
    /// The outcome of the critic's data that this one was read as.
    known: Option<String>,
    outside: bool,
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
    /// Also write the critic's reliability diagram.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl Critic {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        match self.command {
            Command::Eval(eval) => eval.execute(session).await,
            Command::Ask(ask) => ask.execute(session).await,
        }
    }
}

impl Ask {
    async fn execute(self, session: &Session) -> Result<Exit> {
        let host = session.host(&self.config, Vec::new()).await?;
        let critic = host.critic(self.critic).await?;
        let queries = questions(&self.questions)?;
        let card = critic.style_card().await?;
        let estimates = session.or_interrupted(critic.estimate(queries.clone())).await?;
        if estimates.len() != queries.len() {
            let (asked, answered) = (queries.len(), estimates.len());
            return Err(Error::malformed(format!("the critic gave {answered} answers to {asked} questions")));
        }
        let answer = |(query, estimate): (CriticQuery, Estimate)| {
            let Estimate { probability, raw, uncertainty, known, outside } = estimate;
            let known = known.and_then(|index| Some(card.outcomes.get(index as usize)?.text.clone()));
            Answer { query, probability, raw, uncertainty, known, outside }
        };
        let answers: Vec<Answer> = queries.into_iter().zip(estimates).map(answer).collect();
        session.show(&answers, || answers.iter().map(Answer::line).collect())?;
        Ok(Exit::Done)
    }
}

impl Answer {
    fn line(&self) -> String {
        let value = if self.outside { "outside".to_owned() } else { format!("{:.3}", self.probability) };
        let read = self.known.as_deref().filter(|known| *known != self.query.outcome.trim());
        let read = read.map(|known| format!("  (read as: {known})")).unwrap_or_default();
        format!("{value:7}  {}{read}\n", self.query.outcome.trim())
    }
}

/// The questions of a file, refused by line.
fn questions(path: &Path) -> Result<Vec<CriticQuery>> {
    const KEYS: [&str; 3] = ["state", "thought", "outcome"];
    let text = std::fs::read_to_string(path).context(format!("cannot read {}", path.display()))?;
    let mut queries = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let bad = |why: String| Error::input(format!("{}:{}: {why}", path.display(), index + 1));
        let value: Value = serde_json::from_str(line).map_err(|error| bad(error.to_string()))?;
        if let Some(missing) = KEYS.iter().find(|key| !value[**key].is_string()) {
            return Err(bad(format!("`{missing}` is not a text: a question has state, thought and outcome")));
        }
        queries.push(serde_json::from_value(value).map_err(|error| bad(error.to_string()))?);
    }
    if queries.is_empty() {
        return Err(Error::input(format!("{} has no questions", path.display())));
    }
    Ok(queries)
}

impl Eval {
    async fn execute(self, session: &Session) -> Result<Exit> {
        let eval = self;
        if let Some(file) = &eval.svg {
            writable("--svg", file)?;
        }
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
        if let Some(file) = &eval.svg {
            std::fs::write(file, diagram(&report))
                .context(format!("{} could not be written", file.display()))?;
        }
        session.show(&report, || report.to_string())?;
        Ok(Exit::Done)
    }
}

/// What the critic said against what happened, as a picture.
fn diagram(report: &CriticReport) -> String {
    let bin = |bin: &ReliabilityBin| {
        let count = bin.count.round();
        let share = rate((bin.observed * count).round() as u64, count as u64);
        Bin { said: bin.predicted, share: [share.low, bin.observed, share.high], count: count as u64 }
    };
    let bins: Vec<_> = report.reliability.iter().filter(|bin| bin.count > 0.0).map(bin).collect();
    let axes = ["probability that the critic gave", "share that was reached"];
    reliability("Reliability of the critic (95 % intervals)", axes, &bins)
}

fn local(model: &str) -> Result<&str> {
    if model.starts_with("hf:") {
        return Err(Error::config(
            "`critic eval` reads from the model's folder which episodes it has seen; download it and name the folder",
        ));
    }
    Ok(model)
}
