//! `forethought improve`.

use std::path::{Path, PathBuf};

use clap::Args;
use forethought_api::{
    Error, Result,
    critic::TrainingRequest,
    environment::Reset,
    error::{Code, Context as _},
    seed,
    trajectory::Trajectory,
};
use forethought_runtime::{
    evaluate::stats::{PairedDifference, PlannerStats, paired_difference, planner_stats},
    host::{RuntimeHost, assemble::RunOptions},
    run::{
        RunOutcome,
        episode::EpisodeSummary,
        folder::{Earlier, RunStatus},
    },
};
use serde::Serialize;

use crate::{
    arguments::{ConfigArguments, set},
    commands::{quickstart::train_once, train::only_trainer},
    exit::Exit,
    launch::{of_done, play, play_spec},
    session::Session,
    tables::table,
    written::{prepare, write},
};

/// Improve an agent round by round: play, learn from what happened, check, keep or roll back.
///
/// Round 0 is the agent without a critic (--start). Each round collects episodes with the agent as it is, plays the
/// tasks that failed once more, trains a critic on all episodes so far, and compares the agent with it and without it
/// on tasks that are used for nothing else. The new critic is kept if the agent's mean score on these is not lower,
/// else the round is rolled back; its episodes stay. At the end, each round's agent plays further tasks, which decide
/// nothing: that is the curve. If interrupted, the same command continues; a step that is done is not repeated.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought improve quickstart --start react --planner pnlc-compare --out improved
  forethought improve my.toml --start react --planner pnlc --rounds 5 --collect 200 --out improved --json")]
pub(crate) struct Improve {
    #[command(flatten)]
    config: ConfigArguments,
    /// Folder for everything: runs, episodes, critics, and the result.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Rounds of improvement.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// The planner without a critic: round 0.
    #[arg(long, value_name = "NAME")]
    start: String,
    /// The planner with the critic.
    #[arg(long, value_name = "NAME")]
    planner: String,
    /// The critic that the planner uses, as in [critic.NAME]; its checkpoint is replaced round by round.
    #[arg(long, value_name = "NAME", default_value = "critic")]
    critic: String,
    /// The trainer, if there are several.
    #[arg(long, value_name = "NAME")]
    trainer: Option<String>,
    /// Tasks that are collected on in each round, all different.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    collect: u64,
    /// Tasks on which a round is kept or rolled back.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    gate: u64,
    /// Tasks of the curve: the first ones.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    episodes: u64,
    /// A control: in this round, outcomes are shuffled before training. It should be rolled back.
    #[arg(long, value_name = "ROUND")]
    shuffle_round: Option<u64>,
}

/// What `--json` prints, and `report.json` holds.
#[derive(Serialize)]
struct Document {
    folder: PathBuf,
    rounds: Vec<Round>,
    /// The last round's agent above round 0, on the tasks of the curve.
    gain: PairedDifference,
}

/// One round: how it was decided, and the agent after it.
#[derive(Serialize)]
struct Round {
    round: u64,
    /// Episodes that its critic was trained on; 0 in round 0.
    trained_on: u64,
    kept: bool,
    /// The agent with the new critic above the agent before, on the gate's tasks.
    gate: Option<PairedDifference>,
    /// The agent after the round, on the tasks of the curve.
    agent: PlannerStats,
}

/// The agent of a round: a planner, and the checkpoint that it uses.
#[derive(Clone, PartialEq)]
struct Agent {
    planner: String,
    critic: Option<PathBuf>,
}

/// What a step has to play.
struct Part<'a> {
    /// Names the step, for progress.
    label: String,
    agent: &'a Agent,
    first_task: u64,
    episodes: u64,
    seed: u64,
}

const REPORT: &str = "report.json";
const IDENTITY: &str = "config.resolved.toml";

impl Improve {
    pub(crate) async fn execute(self, session: &Session) -> Result<Exit> {
        let base = session.host(&self.config, Vec::new()).await?;
        let trainer = only_trainer(&base, self.trainer.clone())?;
        if !base.config().critic.contains_key(&self.critic) {
            return Err(Error::config(format!("--critic: there is no [critic.{}]", self.critic)));
        }
        for (flag, planner) in [("--start", &self.start), ("--planner", &self.planner)] {
            if !base.config().planner.contains_key(planner) {
                return Err(Error::config(format!("{flag}: there is no [planner.{planner}]")));
            }
        }
        let needed = self.rounds.saturating_mul(self.collect);
        let needed = needed.saturating_add(self.episodes).saturating_add(self.gate);
        if let Some(tasks) = base.environment().await?.spec().await?.tasks.filter(|tasks| *tasks < needed) {
            return Err(Error::config(format!(
                "there are {tasks} tasks, and {needed} are needed: {} for the curve, {} for the gate, {} for each of {} \
                 rounds; ask for fewer with --episodes, --gate, --collect or --rounds",
                self.episodes, self.gate, self.collect, self.rounds
            )));
        }
        let folder = self.open(&base)?;
        let seed = base.config().seed;
        let start = Agent { planner: self.start.clone(), critic: None };
        let (mut agents, mut data) = (vec![start], Vec::<Trajectory>::new());
        let mut decided: Vec<(bool, u64, Option<PairedDifference>)> = vec![(true, 0, None)];
        for round in 1..=self.rounds {
            let before = agents.last().expect("round 0 is there").clone();
            let first_task = self.episodes + self.gate + (round - 1) * self.collect;
            let label = format!("round {round}: collect");
            let part = Part { label, agent: &before, first_task, episodes: self.collect, seed };
            let Some(fresh) = self.collect(session, &folder, &part, round).await? else {
                return Ok(Exit::Interrupted);
            };
            data.extend(fresh);
            let out = folder.join(format!("round-{round}/critic"));
            let host = self.host(session, &folder, &part).await?;
            let fit = TrainingRequest {
                trajectories: data.clone(),
                out: out.clone(),
                seed,
                shuffle_outcomes: self.shuffle_round == Some(round),
                fresh: false,
                configuration: host.world(),
            };
            train_once(session, &host, &trainer, format!("round {round}"), fit).await?;
            let after = Agent { planner: self.planner.clone(), critic: Some(out) };
            let mut sides = Vec::new();
            for (name, agent) in [("before", &before), ("after", &after)] {
                let label = format!("round {round}: {name}");
                let part = Part { label, agent, first_task: self.episodes, episodes: self.gate, seed };
                let Some(outcome) = self.play(session, &folder, &part).await? else {
                    return Ok(Exit::Interrupted);
                };
                sides.push(outcome.episodes);
            }
            let gate = paired_difference(&sides[1], &sides[0])?;
            let kept = gate.score.mean >= 0.0;
            session.reporter.say(format!(
                "round {round}: score {:+.3}, {}",
                gate.score.mean,
                if kept { "kept" } else { "rolled back" }
            ));
            decided.push((kept, data.len() as u64, Some(gate)));
            agents.push(if kept { after } else { before });
        }
        self.report(session, &folder, seed, &agents, decided).await
    }

    /// Plays the tasks of the curve with the agent of each round.
    async fn report(
        &self,
        session: &Session,
        folder: &Path,
        seed: u64,
        agents: &[Agent],
        decided: Vec<(bool, u64, Option<PairedDifference>)>,
    ) -> Result<Exit> {
        let (mut rounds, mut played) = (Vec::new(), Vec::<Vec<EpisodeSummary>>::new());
        for (round, (agent, (kept, trained_on, gate))) in (0..).zip(agents.iter().zip(decided)) {
            let label = format!("round {round}: curve");
            let part = Part { label, agent, first_task: 0, episodes: self.episodes, seed };
            // An agent that was not changed has played already: the run is found again.
            let Some(outcome) = self.play(session, folder, &part).await? else {
                return Ok(Exit::Interrupted);
            };
            let agent = planner_stats(&agent.planner, &outcome.episodes);
            rounds.push(Round { round, trained_on, kept, gate, agent });
            played.push(outcome.episodes);
        }
        let gain = paired_difference(played.last().expect("round 0 is there"), &played[0])?;
        let document = Document { folder: folder.to_owned(), rounds, gain };
        let file = folder.join(REPORT);
        std::fs::write(&file, serde_json::to_string_pretty(&document)?)
            .context(format!("writing {}", file.display()))?;
        session.show(&document, || document.words())?;
        Ok(Exit::Done)
    }

    /// The folder, which is new or holds the same improvement.
    fn open(&self, base: &RuntimeHost) -> Result<PathBuf> {
        let Self { rounds, start, planner, critic, trainer, collect, gate, episodes, shuffle_round, .. } =
            self;
        let identity = format!(
            "{}\n# {:?}\n",
            base.config().to_toml()?,
            (rounds, start, planner, critic, trainer, collect, gate, episodes, shuffle_round)
        );
        let writing = || format!("--out {}", self.out.display());
        std::fs::create_dir_all(&self.out).context(writing())?;
        let folder = self.out.canonicalize().context(writing())?;
        let file = folder.join(IDENTITY);
        match std::fs::read_to_string(&file) {
            Ok(found) if found == identity => {}
            Ok(_) => {
                return Err(Error::input(format!(
                    "{} has an improvement with another configuration or other flags; choose another --out",
                    folder.display()
                )));
            }
            Err(_) if std::fs::read_dir(&folder).context(writing())?.next().is_some() => {
                return Err(Error::input(format!(
                    "{} has other things in it; choose another --out",
                    folder.display()
                )));
            }
            Err(_) => std::fs::write(&file, identity).context(writing())?,
        }
        Ok(folder)
    }

    async fn host(&self, session: &Session, folder: &Path, part: &Part<'_>) -> Result<RuntimeHost> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let mut values = vec![
            set(["seed"], part.seed),
            set(["run", "out"], path(&folder.join("runs"))),
            set(["run", "first_task"], part.first_task),
            set(["run", "episodes"], part.episodes),
            set(["run", "repeats"], 1u64),
        ];
        if let Some(critic) = &part.agent.critic {
            values.push(set(["critic", &self.critic, "model"], path(critic)));
        }
        session.host(&self.config, values).await
    }

    fn options(session: &Session, agent: &Agent) -> RunOptions {
        RunOptions {
            planner: Some(agent.planner.clone()),
            earlier: Earlier::Reuse,
            cancel: session.cancel.clone(),
            ..RunOptions::default()
        }
    }

    /// Plays a part; `None` if it was interrupted.
    async fn play(&self, session: &Session, folder: &Path, part: &Part<'_>) -> Result<Option<RunOutcome>> {
        let host = self.host(session, folder, part).await?;
        let (_, outcome) =
            play(session, &host, &Self::options(session, part.agent), Some(&part.label)).await?;
        finished(outcome)
    }

    /// The episodes of a round: those of its tasks, and those of the failed ones once more; `None` if it was
    /// interrupted.
    async fn collect(
        &self,
        session: &Session,
        folder: &Path,
        part: &Part<'_>,
        round: u64,
    ) -> Result<Option<Vec<Trajectory>>> {
        let options = RunOptions { collect: true, ..Self::options(session, part.agent) };
        let host = self.host(session, folder, part).await?;
        let mut spec = session.or_interrupted(host.run_spec(&options)).await?;
        let (_, outcome) = play_spec(session, spec.clone(), Some(&part.label)).await?;
        let Some(outcome) = finished(outcome)? else { return Ok(None) };
        let failed = |one: &&EpisodeSummary| match one.success {
            Some(success) => !success,
            None => one.score <= 0.0,
        };
        let mut failed: Vec<u64> = outcome.episodes.iter().filter(failed).map(|one| one.task).collect();
        failed.sort_unstable();
        let mut data = of_done(&outcome.episodes, outcome.trajectories);
        // The same task played well and badly says more than either.
        if !failed.is_empty() {
            let again = seed::derive(part.seed, "improve/again");
            spec.episodes = failed
                .into_iter()
                .map(|task| Reset { task, seed: seed::derive(again, &task.to_string()) })
                .collect();
            let (_, outcome) = play_spec(session, spec, Some(&format!("{} again", part.label))).await?;
            let Some(outcome) = finished(outcome)? else { return Ok(None) };
            data.extend(of_done(&outcome.episodes, outcome.trajectories));
        }
        let out = folder.join(format!("round-{round}/data"));
        prepare(&out, data.len() as u64)?;
        write(&out, &data)?;
        Ok(Some(data))
    }
}

/// A run that ended; one that was interrupted is `None`.
fn finished(outcome: RunOutcome) -> Result<Option<RunOutcome>> {
    match outcome.status {
        RunStatus::Finished => Ok(Some(outcome)),
        RunStatus::Interrupted | RunStatus::Running => Ok(None),
        RunStatus::Budget => Err(Error::new(
            Code::Budget,
            format!(
                "the limits of [run] were reached in {}; the same command with higher ones continues",
                outcome.folder.display()
            ),
        )),
        RunStatus::Failed => Err(Error::other(format!(
            "some episodes in {} failed; the same command retries them",
            outcome.folder.display()
        ))),
    }
}

impl Document {
    fn words(&self) -> String {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let rows: Vec<_> = self
            .rounds
            .iter()
            .map(|Round { round, trained_on, kept, gate, agent }| {
                let gate = gate.as_ref().map_or(String::new(), |gate| format!("{:+.3}", gate.score.mean));
                let success = &agent.success;
                [
                    round.to_string(),
                    trained_on.to_string(),
                    gate,
                    if *kept { "yes".into() } else { "no".into() },
                    format!("{:.3}", agent.score.mean),
                    percent(success.rate),
                    format!("{}-{}", percent(success.low), percent(success.high)),
                ]
            })
            .collect();
        let head = ["round", "episodes", "gate", "kept", "score", "success", "95 %"];
        let PairedDifference { success, score, .. } = &self.gain;
        format!(
            "{}\nthe last round above round 0, on the same tasks: success {:+.1} % ({:+.1} to {:+.1}), score {:+.3} \
             ({:+.3} to {:+.3})\n{}\n",
            table(head, &rows),
            100.0 * success.mean,
            100.0 * success.low,
            100.0 * success.high,
            score.mean,
            score.low,
            score.high,
            self.folder.display()
        )
    }
}
