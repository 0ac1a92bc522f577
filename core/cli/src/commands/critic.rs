//! `forethought critic`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use forethought_api::{
    Error, Result,
    critic::{CriticQuery, Estimate, Explanation, TrainingRequest},
    error::{Code, Context as _},
    host::Host as _,
    metrics::ReliabilityBin,
    trajectory::Trajectory,
};
use forethought_runtime::{
    config::{Config, Draft, Sources},
    evaluate::critic::{CriticReport, Look, Rival, Seen, evaluate_closer},
    evaluate::stats::rate,
    host::RuntimeHost,
    trajectories,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    arguments::{ConfigArguments, Values, set},
    commands::train::{only_trainer, train},
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
    /// Prints AUC, Brier score, calibration error and a reliability table, next to those of the base rate, of a
    /// logistic regression on the same embeddings, and of other critics; the same by class of outcome; what is left if
    /// parts of the questions are those of others; how well the critic ranks the thoughts of one state; and whether
    /// revising thoughts by it would have helped. Outcomes count as reached by their meaning if the critic has a
    /// vocabulary, else by their words.
    #[command(after_help = "Examples:
  forethought critic eval --model critic --data data
  forethought critic eval my.toml --critic all --against neighbours,judge --data data
  forethought critic eval my.toml --model critic --data data --sizes 0.1,0.3
  forethought critic eval my.toml --model critic --data data --data new --encoder minilm --json")]
    Eval(Eval),
    /// Ask a critic how likely given outcomes are.
    ///
    /// FILE has one question per line: {"state": "...", "thought": "...", "outcome": "..."}. The answers are in the
    /// same order: the probability, or that the question is outside the critic's data, and as which outcome of its
    /// data it read the outcome. With --why also what the answer rests on, of critics that can say it.
    #[command(after_help = "Examples:
  forethought critic ask my.toml --in questions.jsonl
  forethought critic ask my.toml --critic neighbours --in questions.jsonl --why
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
    /// Also say what each answer rests on.
    #[arg(long)]
    why: bool,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    distance: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<Explanation>,
}

#[derive(Debug, Args)]
struct Eval {
    #[command(flatten)]
    config: ConfigArguments,
    /// Folder of the checkpoint.
    #[arg(long, value_name = "DIR", required_unless_present = "critic", conflicts_with = "critic")]
    model: Option<String>,
    /// In place of --model: a critic of the configuration, as in [critic.NAME].
    #[arg(long, value_name = "NAME")]
    critic: Option<String>,
    /// Other critics of the configuration to ask the same, as in [critic.NAME]. What any of them has seen is not asked
    /// about. One that asks a language model is asked every question: see --most.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    against: Vec<String>,
    /// Also train critics on these shares of what the critic learned from, with the trainer of the configuration: would
    /// more data help?
    #[arg(long, value_name = "SHARES", value_delimiter = ',', value_parser = share)]
    sizes: Vec<f64>,
    /// The trainer for --sizes, as in [trainer.NAME]; not needed if there is only one.
    #[arg(long, value_name = "NAME")]
    trainer: Option<String>,
    /// Ask at most this many questions, about whole episodes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    most: Option<u64>,
    /// Trajectories: a .parquet or .jsonl file, or a folder of them. Can be given again: the rivals learn from those
    /// that the critic learned from.
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
            let Estimate { probability, raw, uncertainty, distance, known, outside } = estimate;
            let known = known.and_then(|index| Some(card.outcomes.get(index as usize)?.text.clone()));
            Answer { query, probability, raw, uncertainty, known, outside, distance, why: None }
        };
        let mut answers: Vec<Answer> = queries.into_iter().zip(estimates).map(answer).collect();
        for answer in answers.iter_mut().filter(|_| self.why) {
            let why = session.or_interrupted(critic.explain(answer.query.clone())).await;
            // A plugin from before critics could explain themselves.
            let why = why.or_else(|error| match error.code {
                Code::Unimplemented => Ok(Explanation::default()),
                _ => Err(error),
            });
            answer.why = Some(why?);
        }
        session.show(&answers, || answers.iter().map(Answer::line).collect())?;
        Ok(Exit::Done)
    }
}

impl Answer {
    fn line(&self) -> String {
        let value = if self.outside { "outside".to_owned() } else { format!("{:.3}", self.probability) };
        let read = self.known.as_deref().filter(|known| *known != self.query.outcome.trim());
        let read = read.map(|known| format!("  (read as: {known})")).unwrap_or_default();
        let mut text = format!("{value:7}  {}{read}\n", self.query.outcome.trim());
        let Some(Explanation { text: why, evidence }) = &self.why else { return text };
        let why = if why.is_empty() { "this critic does not say what its answers rest on" } else { why };
        text += &format!("         {why}\n");
        for one in evidence {
            text += &format!(
                "         {:5.1} %  reached {:.2}  {}, step {}: {} / {} -> {}\n",
                100.0 * one.weight,
                one.reached,
                one.episode,
                one.step,
                one.state,
                one.thought,
                one.outcome
            );
        }
        text
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
        if let Some(model) = &eval.model {
            sources.values.extend(checkpoint("evaluated", &eval.kind, local(model)?, name));
        }
        if !Draft::read(&sources)?.kinds().any(|(section, _)| section == ["encoder", name]) {
            sources.values.push(set(["encoder", name, "kind"], name));
        }
        let host = session.host_of(&sources).await?;
        let evaluated = eval.critic.as_deref().unwrap_or("evaluated");
        let trainer = match eval.sizes.is_empty() {
            true => None,
            false => Some(only_trainer(&host, eval.trainer.clone())?),
        };
        let data = eval.data.iter().map(|path| trajectories::read_of(path, eval.seat));
        let data = data.collect::<Result<Vec<_>>>()?.concat();
        let critic = host.critic(evaluated.into()).await?;
        let encoder = host.encoder(eval.encoder.clone()).await?;
        let seen = seen(host.config(), evaluated)?;
        let mut rivals = Vec::new();
        for name in &eval.against {
            let critic = host.critic(name.clone()).await?;
            rivals.push(Rival { name: name.clone(), critic, seen: self::seen(host.config(), name)? });
        }
        let folder = tempfile::tempdir().context("a folder for critics of less data")?;
        if let Some(trainer) = &trainer {
            for share in &eval.sizes {
                let out = folder.path().join(format!("{share}"));
                let training = Less { data: &data, seen: &seen, share: *share, out };
                rivals.push(training.critic(session, (&sources, &host), trainer, name).await?);
            }
        }
        let look = Look { rivals, closer: true, most: eval.most.map(|most| most as usize) };
        let report = evaluate_closer(&data, &seen, &*critic, &*encoder, host.config().seed, &look);
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

/// A critic of less data.
struct Less<'a> {
    data: &'a [Trajectory],
    seen: &'a Seen,
    share: f64,
    out: PathBuf,
}

impl Less<'_> {
    /// Trains it, in a folder of its own, and builds it.
    async fn critic(
        self,
        session: &Session,
        (sources, host): (&Sources, &RuntimeHost),
        trainer: &str,
        encoder: &str,
    ) -> Result<Rival> {
        let trajectories = self.seen.share(self.data, self.share);
        let count = trajectories.len();
        let name = format!("{:.0} % of the data ({count})", 100.0 * self.share);
        session.reporter.say(format!("training on {name}"));
        let fit = TrainingRequest {
            trajectories,
            out: self.out.clone(),
            seed: host.config().seed,
            configuration: host.world(),
            ..TrainingRequest::default()
        };
        train(session, host, trainer, fit, Arc::new(session.reporter.clone())).await.context(name.clone())?;
        let out =
            self.out.to_str().ok_or_else(|| Error::input("the folder for temporary files is not text"))?;
        let kind = &host.config().trainer[trainer].kind;
        let values = checkpoint("less", kind, out, encoder);
        let mut sources = sources.clone();
        sources.values.extend(values);
        let critic = session.host_of(&sources).await?.critic("less".into()).await?;
        Ok(Rival { name, critic, seen: Seen::read(&self.out)? })
    }
}

/// The keys of a critic that serves this checkpoint.
fn checkpoint(name: &str, kind: &str, model: &str, encoder: &str) -> Values {
    vec![
        set(["critic", name, "kind"], kind),
        set(["critic", name, "model"], model),
        set(["critic", name, "encoder"], encoder),
    ]
}

/// What the critic of this name was trained on: its checkpoint, or those of the critics that it is made of. One without
/// a checkpoint learned nothing.
fn seen(config: &Config, name: &str) -> Result<Seen> {
    let mut all = Seen::default();
    let (mut left, mut done) = (vec![name], Vec::new());
    while let Some(name) = left.pop() {
        let Some(critic) = config.critic.get(name).filter(|_| !done.contains(&name)) else { continue };
        done.push(name);
        let keys = &critic.config;
        if let Some(model) = keys.get("model").and_then(Value::as_str) {
            let model = local(model).context(format!("[critic.{name}]"))?;
            all.join(Seen::read(Path::new(model)).context(format!("[critic.{name}]"))?);
        }
        let members = keys.get("members").and_then(Value::as_array).into_iter().flatten();
        left.extend(members.chain(keys.get("critic")).filter_map(Value::as_str));
    }
    Ok(all)
}

/// A part of `--sizes`.
fn share(said: &str) -> Result<f64, String> {
    let number: Option<f64> = said.trim().parse().ok();
    let fine = number.filter(|share| *share > 0.0 && *share < 1.0);
    fine.ok_or_else(|| format!("`{said}` must be a share between 0 and 1, such as 0.3"))
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
