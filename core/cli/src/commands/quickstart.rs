//! `forethought quickstart`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use clap::Args;
use forethought_api::{
    Error, Result,
    critic::{Progress, TrainingReport, TrainingRequest},
};
use forethought_runtime::{
    evaluate::stats::{PairedDifference, PlannerStats, paired_difference, planner_stats},
    host::{RuntimeHost, assemble::RunOptions},
    run::folder::{Earlier, RunStatus},
};
use serde::Serialize;
use ulid::Ulid;

use crate::{
    arguments::{ConfigArguments, set},
    exit::Exit,
    launch::{Job, collect, eval},
    progress::Reporter,
    session::Session,
    tables::results,
};

/// The planners to compare: without a critic, once and as a vote that costs what PNLC costs, with a critic, in the
/// paper's form and comparing thoughts, and with three that must not help.
const PLANNERS: [&str; 7] = ["react", VOTE, PNLC, COMPARE, "pnlc-shuffled", "pnlc-random", "pnlc-judge"];
const PNLC: &str = "pnlc";
const COMPARE: &str = "pnlc-compare";
const VOTE: &str = "react-vote";

/// Run the whole loop offline: collect, train, evaluate, report; takes about a minute.
///
/// Collects episodes with a mediocre agent, trains a critic on them (and one on shuffled outcomes), and evaluates
/// planners with and without it on tasks that were not collected on. The language model is simulated, so the figures
/// are simulated figures. If interrupted, the same command continues where it stopped; once finished, it starts a new
/// one. Without CONFIG, the preset `quickstart` is used.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  forethought quickstart
  forethought quickstart --seed 8 --json | jq '.planners[] | {name, success}'")]
pub(crate) struct Quickstart {
    /// Changes to the preset `quickstart`.
    #[command(flatten)]
    config: ConfigArguments,
    /// Seed of everything random.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    /// How often the collecting agent plays each task that is not used in the evaluation.
    #[arg(long, value_name = "N", default_value_t = 3)]
    collect: u64,
    /// Episodes per planner in the evaluation: tasks 0 to N - 1.
    #[arg(long, value_name = "N", default_value_t = 400)]
    episodes: u64,
}

/// What `--json` prints, and `report.json` holds.
#[derive(Serialize)]
struct Document {
    folder: PathBuf,
    collected: u64,
    training: Vec<(String, TrainingReport)>,
    /// PNLC above each other planner, on the same episodes.
    gains: Vec<(String, PairedDifference)>,
    /// The comparing form of PNLC above the vote, on the same episodes.
    compare_above_vote: PairedDifference,
    planners: Vec<PlannerStats>,
}

impl Quickstart {
    pub(crate) async fn execute(mut self, session: &Session) -> Result<Exit> {
        self.config.config.get_or_insert_with(|| "quickstart".into());
        let seed = self.seed.map(|seed| set(["seed"], seed));
        let base = session.host(&self.config, seed.into_iter().collect()).await?;
        let seed = base.config().seed;
        // The first tasks are kept for the evaluation, and what is learned comes from the others.
        let tasks = base.environment().await?.spec().await?.tasks.unwrap_or(2 * self.episodes);
        let others = tasks.checked_sub(self.episodes).filter(|others| *others > 0).ok_or_else(|| {
            Error::config(format!(
                "--episodes {}: leave some of the {tasks} tasks to collect on",
                self.episodes
            ))
        })?;
        let identity = format!(
            "{}\n# collect {} times, evaluate {}\n",
            base.config().to_toml()?,
            self.collect,
            self.episodes
        );
        let folder = open(&base.config().run.out.join("quickstart"), &identity)?;
        session.reporter.say(format!("writing to {}", folder.display()));

        // Nothing else uses this folder: runs in it are continued, never mixed with others.
        let host = async |first_task: u64, episodes: u64, repeats: u64| {
            let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
            let values = vec![
                set(["seed"], seed),
                set(["run", "out"], path("runs")),
                set(["run", "first_task"], first_task),
                set(["run", "episodes"], episodes),
                set(["run", "repeats"], repeats),
                set(["critic", "critic", "model"], path("critic")),
                set(["critic", "shuffled", "model"], path("critic-shuffled")),
            ];
            session.host(&self.config, values).await
        };
        let options = |planner: &str| RunOptions {
            planner: Some(planner.into()),
            earlier: Earlier::Reuse,
            cancel: session.cancel.clone(),
            ..RunOptions::default()
        };

        let collecting = host(self.episodes, others, self.collect).await?;
        let (outcome, _) =
            collect(session, &collecting, options("react"), &folder.join("data"), true).await?;
        if outcome.status != RunStatus::Finished {
            return Ok(outcome.status.into());
        }
        let data = outcome.trajectories;

        // In parallel, because each training uses one core.
        let training = |name: &'static str, shuffle_outcomes| {
            let out = folder.join(name);
            let configuration = collecting.world();
            let trajectories = data.clone();
            let fit =
                TrainingRequest { trajectories, out, seed, shuffle_outcomes, fresh: false, configuration };
            train_once(session, &collecting, "critic", name.to_owned(), fit)
        };
        let (critic, shuffled) =
            tokio::try_join!(training("critic", false), training("critic-shuffled", true))?;

        let evaluating = host(0, self.episodes, 1).await?;
        let (outcomes, exit) = eval(session, &Job::all(&evaluating, PLANNERS.map(options))).await?;
        if outcomes.len() < PLANNERS.len() {
            return Ok(exit);
        }
        let episodes = |planner: &str| {
            let found = outcomes.iter().find(|(name, _)| name == planner);
            &found.expect("every planner was evaluated").1.episodes
        };
        let above = |planner, other| paired_difference(episodes(planner), episodes(other));
        let others = PLANNERS.into_iter().filter(|&planner| planner != PNLC);
        let gains = others.map(|other| Ok((other.into(), above(PNLC, other)?)));
        let document = Document {
            compare_above_vote: above(COMPARE, VOTE)?,
            collected: data.len() as u64,
            training: vec![("critic".into(), critic), ("critic-shuffled".into(), shuffled)],
            gains: gains.collect::<Result<_>>()?,
            planners: outcomes.iter().map(|(name, outcome)| planner_stats(name, &outcome.episodes)).collect(),
            folder,
        };
        if exit == Exit::Done {
            let report = document.folder.join(REPORT);
            std::fs::write(&report, serde_json::to_string_pretty(&document)?)
                .map_err(|error| Error::input(format!("cannot write {}: {error}", report.display())))?;
        }
        session.show(&document, || document.words())?;
        Ok(exit)
    }
}

const REPORT: &str = "report.json";
const IDENTITY: &str = "config.resolved.toml";

/// The unfinished quickstart of this identity, or a new folder for it.
fn open(parent: &Path, identity: &str) -> Result<PathBuf> {
    let complain =
        |error: std::io::Error| Error::input(format!("cannot write to {}: {error}", parent.display()));
    std::fs::create_dir_all(parent).map_err(complain)?;
    let parent = parent.canonicalize().map_err(complain)?;
    let mut folders: Vec<_> =
        std::fs::read_dir(&parent).map_err(complain)?.flatten().map(|one| one.path()).collect();
    folders.sort();
    let unfinished = |folder: &&PathBuf| {
        let same = std::fs::read_to_string(folder.join(IDENTITY)).is_ok_and(|text| text == identity);
        same && !folder.join(REPORT).exists()
    };
    if let Some(folder) = folders.iter().rev().find(unfinished) {
        return Ok(folder.clone());
    }
    let folder = parent.join(Ulid::generate().to_string());
    std::fs::create_dir(&folder).map_err(complain)?;
    std::fs::write(folder.join(IDENTITY), identity).map_err(complain)?;
    Ok(folder)
}

/// Trains, unless that was done before: a checkpoint appears complete or not at all.
pub(crate) async fn train_once(
    session: &Session,
    host: &RuntimeHost,
    trainer: &str,
    label: String,
    fit: TrainingRequest,
) -> Result<TrainingReport> {
    let kept = fit.out.with_extension("report.json");
    if let Ok(text) = std::fs::read_to_string(&kept)
        && fit.out.join("config.json").exists()
    {
        return serde_json::from_str(&text)
            .map_err(|error| Error::input(format!("{}: {error}; delete it to train again", kept.display())));
    }
    let progress = Arc::new(Labelled { name: label, reporter: session.reporter.clone() });
    let report = super::train::train(session, host, trainer, fit, progress).await?;
    std::fs::write(&kept, serde_json::to_string_pretty(&report)?)?;
    Ok(report)
}

/// Progress of one of several trainings.
struct Labelled {
    name: String,
    reporter: Reporter,
}

#[async_trait]
impl Progress for Labelled {
    async fn report(&self, stage: String, done: u64, total: u64, note: String) -> Result<()> {
        self.reporter.report_now(&format!("{} ({stage})", self.name), done, total, &note);
        Ok(())
    }
}

impl Document {
    /// What both forms of PNLC gain on a vote, and what they cost.
    fn at_equal_cost(&self) -> String {
        let calls = |name: &str| {
            let found = self.planners.iter().find(|planner| planner.name == name);
            found.map_or(f64::NAN, |planner| planner.calls_per_decision)
        };
        let line = |name: &str, gain: &PairedDifference| {
            let verdict = match (gain.success.low, gain.success.high) {
                (low, _) if low > 0.0 => format!("{name} succeeds more often"),
                (_, high) if high < 0.0 => "the vote succeeds more often".into(),
                _ => "no significant difference in success".into(),
            };
            let (own, vote) = (calls(name), calls(VOTE));
            format!("{name}, {own:.1} calls per decision, against {VOTE}, {vote:.1}: {verdict}.\n")
        };
        let (_, pnlc) = self.gains.iter().find(|(name, _)| name == VOTE).expect("the vote was evaluated");
        line(PNLC, pnlc) + &line(COMPARE, &self.compare_above_vote)
    }

    fn words(&self) -> String {
        let mut words = results(&self.planners);
        words += "\nPNLC above the others, on the same episodes (95 %):\n";
        for (name, PairedDifference { score, success, .. }) in &self.gains {
            words += &format!(
                "  {name:<14} success {:+5.1} % ({:+.1} to {:+.1})   score {:+.3} ({:+.3} to {:+.3})\n",
                100.0 * success.mean,
                100.0 * success.low,
                100.0 * success.high,
                score.mean,
                score.low,
                score.high
            );
        }
        words += &self.at_equal_cost();
        words += "\nHeld-out outcomes, as the critics see them:\n";
        for (name, report) in &self.training {
            let metric =
                |name: &str| report.metrics.get(name).map_or("-".into(), |value| format!("{value:.3}"));
            words += &format!("  {name:<16} AUC {}  Brier {}\n", metric("auc"), metric("brier"));
        }
        words += "\nThe language model is simulated, and so are these figures: docs/simulated-llm.md says what they show.\n";
        words += &format!("Everything was written to {}\n", self.folder.display());
        words
    }
}
